"""Files that cannot be read, and documents that cannot be written: named, counted, and no reason to stop."""

import gzip
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embedstack.chunks.chunk import Chunking
from embedstack.databases.database import Points
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.documents.document import Reading
from embedstack.errors import BadRequest, ConfigError
from embedstack.types import Encode, Encoded, Text
from support.indexed import Listening, Shelf, words

GOOD = {"good.txt": "a text that can be read"}
POISON = "poison"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("latin.txt", b"caf\xe9 \xff\xfe", "bad_utf8"),
        ("utf16.md", "text".encode("utf-16"), "bad_utf8"),
        ("empty.md", b"", "empty"),
        ("blank.txt", b" \n\t ", "empty"),
        ("scripts.html", b"<html><script>x()</script><style>p{}</style></html>", "empty"),
        ("deep.html", b"<div>" * 5000, "too_large"),
        ("front.md", b"---\na: [1\n---\ntext", "bad_front_matter"),
        ("torn.txt.gz", gzip.compress(b"text" * 100, mtime=0)[:-20], "torn"),
        ("large.txt", b"word " * 300_000, "too_large"),
        ("none.csv", b"title,body\nx,y\n", "unreadable"),
        ("quotes.csv", b'text\n"never closed\n', "unreadable"),
        ("torn.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 100, mtime=0)[:-20], "unreadable"),
        ("no.parquet", b"PAR1 not really", "unreadable"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_the_others_are_there(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    shelf = Shelf(tmp_path, {**GOOD, name: content})

    done = shelf.index(reading=Reading(max_document_bytes=1 << 20))

    assert shelf.told.codes == {name: code}
    assert (done.new, dict(done.left_out), sorted(shelf.texts())) == (1, {code: 1}, ["good.txt"])


def test_rows_that_cannot_be_read_are_named_and_the_others_are_there(tmp_path: Path) -> None:
    rows = [
        b'{"text": "one"}',
        b"no json",
        b'{"text": 5}',
        b'{"title": "x"}',
        b"\xff",
        b'{"text": "\\ud800"}',
        b'{"text": "two"}',
    ]
    shelf = Shelf(tmp_path, {"rows.jsonl": b"\n".join(rows)})
    shelf.index()

    assert shelf.told.codes == {
        "rows.jsonl#1": "bad_json",
        "rows.jsonl#2": "no_text",
        "rows.jsonl#3": "no_text",
        "rows.jsonl#4": "bad_utf8",
        "rows.jsonl#5": "bad_json",
    }
    assert sorted(shelf.texts()) == ["rows.jsonl#0", "rows.jsonl#6"]


def test_none_readable_is_an_error_and_what_is_there_stays(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, GOOD)
    shelf.index()
    shelf.put({"good.txt": b"\xff\xff"})

    with pytest.raises(BadRequest, match=r"no document of the input can be indexed \(bad_utf8: 1\)"):
        shelf.index()
    assert sorted(shelf.texts()) == ["good.txt"]


def test_a_folder_of_other_files_is_an_error_and_nothing_is_made(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"photo.jpg": b"\xff\xd8", ".hidden.md": "text"})

    with pytest.raises(ConfigError, match="nothing that can be read"):
        shelf.index()
    assert not (tmp_path / "store").exists()


def test_a_document_that_can_no_longer_be_read_stays_as_it_was(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {**GOOD, "bad.txt": "was well"})
    shelf.index()
    shelf.put({"bad.txt": b"\xff\xff"})

    done = shelf.index()

    assert shelf.texts()["bad.txt"] == ["was well"]
    assert (done.gone, done.unchanged, dict(done.left_out)) == (0, 1, {"bad_utf8": 1})


def test_of_a_file_with_a_bad_row_nothing_is_deleted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {"rows.jsonl": '{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}'})
    shelf.index()
    shelf.put({"rows.jsonl": '{"id": 1, "text": "one"}\n{"id": 2, "text": "tw'})

    shelf.index()

    assert sorted(shelf.texts()) == ["rows.jsonl#id=1", "rows.jsonl#id=2"]


def test_a_list_of_links_is_left_out_if_wished_and_then_gone(tmp_path: Path) -> None:
    links = "\n".join(f"- [page {number}](p{number}.md)" for number in range(9))
    shelf = Shelf(tmp_path, {**GOOD, "index.md": links})
    shelf.index()
    assert "index.md" in shelf.texts()

    done = shelf.index(chunking=Chunking(strategy="window", tokens=8, skip_index=True))

    assert (done.gone, dict(done.left_out)) == (1, {"index_page": 1})
    assert sorted(shelf.texts()) == ["good.txt"]


# ------------------------------------------------------------------------------------------------ while it is done


class Poisoned(Listening):
    """Fails over a word."""

    async def encode(self, request: Encode) -> Encoded:
        if any(POISON in item.text for item in request.items if isinstance(item, Text)):
            raise BadRequest("a text that no model takes; leave it out")
        return await super().encode(request)


def test_a_document_that_the_model_does_not_take_is_named_and_the_others_are_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {**GOOD, "bad.txt": f"{words(20)} {POISON}", "last.txt": "more"})
    shelf.encoder = Poisoned(shelf.spec)

    done = shelf.index()

    assert shelf.told.codes == {"bad.txt": "bad_request"}
    assert (done.new, sorted(shelf.texts())) == (2, ["good.txt", "last.txt"])


class Picky(EmbeddedDatabase):
    """Takes no text with a word in it, as PostgreSQL takes no NUL."""

    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        if any(POISON in str(payload["text"]) for payload in points.payloads):
            raise BadRequest("a payload that cannot be kept; mend it")
        super().write(name, points, only_new=only_new)


def test_a_document_that_the_database_does_not_take_is_named_and_the_others_are_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {**GOOD, "bad.txt": f"{words(20)} {POISON}", "last.txt": "more"})
    with closing(Picky(tmp_path / "store")) as database:
        done = shelf.index(database=database)

    assert shelf.told.codes == {"bad.txt": "bad_request"}
    assert done.new == 2
    assert {"good.txt", "last.txt"} <= shelf.texts().keys()


class Changing(EmbeddedDatabase):
    """Something happens when it is described for the first time: after the input was listed once, before it is read."""

    happens: Callable[[], object] = staticmethod(lambda: None)

    def create(self, wanted) -> bool:
        self.happens()
        return super().create(wanted)


def test_a_file_that_changes_between_the_look_and_the_work_is_left_for_the_next_time(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {**GOOD, "moving.txt": "as it was"})
    with closing(Changing(tmp_path / "store")) as database:
        database.happens = lambda: shelf.put({"moving.txt": "as it is now, and longer"})
        shelf.index(database=database)
    named = shelf.told.codes

    done = shelf.index()

    assert named == {"moving.txt": "changed"}
    assert (done.new, shelf.texts()["moving.txt"]) == (1, ["as it is now, and longer"])


def test_a_file_that_goes_away_between_the_look_and_the_work_is_left_out(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {**GOOD, "moving.txt": "as it was"})
    with closing(Changing(tmp_path / "store")) as database:
        database.happens = lambda: shelf.put({"moving.txt": None})
        shelf.index(database=database)

    assert shelf.told.codes == {"moving.txt": "changed"}


def test_points_that_somebody_else_wrote_meanwhile_are_not_deleted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, {**GOOD, "gone.txt": words(30)})
    shelf.index()
    shelf.put({"gone.txt": None, "good.txt": "another text"})
    with closing(Changing(shelf.root / "store")) as database:
        page = database.read("documents", vectors=("",)).points
        theirs = next(one for one in page if one.payload["doc_id"] == "gone.txt")
        payload = {**theirs.payload, "doc_digest": "of a newer one"}
        vectors = {"": np.stack([theirs.vectors[""]])}
        database.happens = lambda: database.write(
            "documents", Points(ids=[theirs.id], vectors=vectors, payloads=[payload])
        )
        done = shelf.index(database=database)

    assert done.deleted == len(page) - 2
    assert {one for one, (payload, *_) in shelf.points().items() if payload["doc_id"] == "gone.txt"} == {theirs.id}


def test_metadata_that_cannot_be_json_leaves_the_document_out(tmp_path: Path) -> None:
    nested = "[" * 200 + "]" * 200
    shelf = Shelf(tmp_path, {**GOOD, "rows.jsonl": f'{{"text": "a", "deep": {nested}}}'})
    shelf.index()

    assert list(shelf.told.codes) == ["rows.jsonl#0"]
    assert sorted(shelf.texts()) == ["good.txt"]


def test_a_collection_that_somebody_drops_meanwhile_ends_it(tmp_path: Path) -> None:
    class Dropping(EmbeddedDatabase):
        def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
            self.drop(name)
            super().write(name, points, only_new=only_new)

    with closing(Dropping(tmp_path / "store")) as database, pytest.raises(BadRequest, match="is not there"):
        Shelf(tmp_path, GOOD).index(database=database)
