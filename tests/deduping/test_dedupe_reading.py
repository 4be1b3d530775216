"""A file becomes things: pictures with their pixels, documents with their characters, rows with their places."""

import gzip
import hashlib
from pathlib import Path

import pytest

from embedstack.deduping.files import walk
from embedstack.deduping.reading import shown, things_of
from embedstack.deduping.thing import How, Thing
from embedstack.types import Image
from support.doubled import files, png


def things(path: Path, how: How | None = None) -> list[Thing]:
    (file,) = walk([path]).files
    return list(things_of(file, how or How()))


def only(path: Path, how: How | None = None) -> Thing:
    (thing,) = things(path, how)
    return thing


def test_a_picture_has_its_bytes_their_digest_and_its_pixels(tmp_path: Path) -> None:
    thing = only(files(tmp_path, a__png=png(30, 20)) / "a.png")

    assert (thing.type, thing.content) == ("image", Image(png(30, 20)))
    assert (thing.item.pixels, thing.item.size_bytes) == (600, len(png(30, 20)))
    assert thing.item.digest == hashlib.sha256(png(30, 20)).hexdigest()
    assert thing.item.modified_s == (tmp_path / "a.png").stat().st_mtime


def test_a_document_is_all_of_its_text_so_that_no_front_matter_is_lost(tmp_path: Path) -> None:
    thing = only(files(tmp_path, a__md="---\ntitle: x\n---\nvêr\r\n") / "a.md")

    assert (thing.type, thing.content, thing.item.characters) == ("text", "---\ntitle: x\n---\nvêr\n", 21)


def test_equal_texts_in_other_bytes_have_one_key_and_two_digests(tmp_path: Path) -> None:
    folder = files(tmp_path, a__txt="one\ntwo", b__txt="one\r\ntwo", c__txt__gz=gzip.compress(b"one\ntwo"))

    found = [only(folder / name) for name in ("a.txt", "b.txt", "c.txt.gz")]
    assert len({thing.key for thing in found}) == 1
    assert len({thing.item.digest for thing in found}) == 3


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.txt", b"", "the file has no text"),
        ("a.txt", b"\xff\xfe", "is not UTF-8"),
        ("a.txt.gz", b"\x1f\x8b\x08", "is damaged or ends too early"),
        ("a.jpg", b"<html>", "not PNG, JPEG, WebP or GIF, it seems to be a web page"),
        ("a.heic", b"\0\0\0\x18ftypheic1234", "it seems to be HEIC"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "broken before its size"),
    ],
)
def test_what_cannot_be_read_has_a_problem_and_no_content(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)

    thing = only(tmp_path / name)

    assert thing.content is None
    assert problem in thing.problem


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", b""), ("a.png", b"\x89PNG\r\n\x1a\n"), ("a.txt.gz", b"\x1f\x8b\x08")]
)
def test_a_file_that_cannot_be_understood_still_has_the_key_of_its_bytes(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)

    assert only(tmp_path / name).key == f"bytes:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        (How(max_image_bytes=100), "the limit is 100; raise --max-image-mb"),
        (How(max_image_pixels=100), "30 x 20 pixels, the limit is 100"),
    ],
)
def test_a_picture_over_a_limit_has_a_problem(tmp_path: Path, how: How, problem: str) -> None:
    thing = only(files(tmp_path, a__png=png(30, 20)) / "a.png", how)

    assert problem in thing.problem
    assert thing.item.digest == hashlib.sha256(png(30, 20)).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("a.jsonl", '{"text": "x"}\n{"text": "y", "id": 7}\n', ["a.jsonl#0", "a.jsonl#id=7"]),
        ("a.csv", "id,text\nx,one\ny,two\n", ["a.csv#id=x", "a.csv#id=y"]),
    ],
)
def test_each_row_is_a_thing(tmp_path: Path, name: str, content: str, names: list[str]) -> None:
    (tmp_path / name).write_text(content)

    assert [thing.item.name for thing in things(tmp_path / name)] == [str(tmp_path / one) for one in names]
    assert all(isinstance(thing.content, str) and thing.item.size_bytes for thing in things(tmp_path / name))


def test_rows_have_their_text_in_the_field_that_was_named(tmp_path: Path) -> None:
    folder = files(tmp_path, a__csv="id,question\nx,why\n")

    assert only(folder / "a.csv", How(text_field="question")).content == "why"


def test_a_row_that_cannot_be_read_is_named_and_has_no_key(tmp_path: Path) -> None:
    found = things(files(tmp_path, a__jsonl='{"text": "x"}\nnone\n{"text": ""}\n') / "a.jsonl")

    assert [bool(thing.problem) for thing in found] == [False, True, True]
    assert [thing.key for thing in found[1:]] == ["", ""]
    assert found[1].item.name.endswith("a.jsonl#1")


def test_each_line_is_a_thing_where_that_is_wished(tmp_path: Path) -> None:
    folder = files(tmp_path, a__txt=b"\xef\xbb\xbfone\r\n\n  \ntwo\n\xff\nthree")

    found = things(folder / "a.txt", How(is_by_line=True))

    assert [(thing.item.name.rpartition(":")[2], thing.content) for thing in found] == [
        ("1", "one"),
        ("4", "two"),
        ("5", None),
        ("6", "three"),
    ]


def test_a_table_without_the_field_is_named_with_what_to_do(tmp_path: Path) -> None:
    thing = only(files(tmp_path, a__csv="id,body\nx,why\n") / "a.csv")

    assert thing.problem.startswith("it cannot be read: ")
    assert "--text-field" in thing.problem


def test_a_name_that_begins_with_a_dash_is_shown_as_a_path() -> None:
    assert shown(Path("-rf")) == "./-rf"
    assert shown(Path("a") / "-rf") == "a/-rf"
