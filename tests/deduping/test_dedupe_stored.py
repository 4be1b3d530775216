"""Vectors that are there already: of jobs, of files and of collections; no model is asked."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from embedstack.databases.database import Collection, Field, Points, UnknownCollection
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.deduping.thing import How
from embedstack.errors import BadRequest, Mismatch
from support.doubled import Noted, Remembering, groups, looked, reasons
from support.loadable import columns_of, lines_of, written_lines, written_parquet
from support.tables import IDENTITY, job

ANGLES = {"a": 0, "b": 10, "c": 20, "d": 100, "e": 101}  # degrees


def vector(degrees: float) -> list[float]:
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]


ROWS = [{"id": name, "vector": vector(degrees)} for name, degrees in ANGLES.items()]
NUMBERED = "00000000-0000-0000-0000-00000000000"


def database(folder: Path, **fields: Field) -> Path:
    """A collection, with the rows above in each of its fields, and a last point without any."""
    with closing(EmbeddedDatabase(folder)) as made:
        made.create(Collection(name="docs", fields=fields))
        rows = np.array([vector(degrees) for degrees in ANGLES.values()], np.float32)
        payloads = [{"doc_id": name} for name in ANGLES]
        points = Points(ids=range(5), vectors=dict.fromkeys(fields, rows), payloads=payloads)
        made.write("docs", points)
    return folder


def test_lines_with_vectors_are_compared_as_they_are(tmp_path: Path) -> None:
    model = Remembering()

    report = looked(written_lines(tmp_path / "a.jsonl", ROWS), model=model, threshold=0.99)

    assert groups(report) == [("d", ["e"])]
    assert model.given == []
    assert report.models == {}


def test_a_chain_of_rows_keeps_its_far_end(tmp_path: Path) -> None:
    report = looked(written_lines(tmp_path / "a.jsonl", ROWS), threshold=np.cos(np.radians(11)))

    assert groups(report) == [("a", ["b"]), ("d", ["e"])]
    assert [item.name for item in report.groups[0].also_kept] == ["c"]


def test_a_chain_of_rows_keeps_one_where_that_is_wished(tmp_path: Path) -> None:
    report = looked(written_lines(tmp_path / "a.jsonl", ROWS), threshold=np.cos(np.radians(11)), is_chained=True)

    assert groups(report) == [("a", ["b", "c"]), ("d", ["e"])]


def test_rows_without_ids_are_called_by_their_places(tmp_path: Path) -> None:
    lines = written_lines(tmp_path / "a.jsonl", [{"vector": [1, 2]}, {"vector": [1, 2]}])
    table = written_parquet(tmp_path / "a.parquet", columns_of(["one", "one"], id=None))

    assert groups(looked(lines)) == [("a.jsonl:1", ["a.jsonl:2"])]
    assert groups(looked(table)) == [("a.parquet:0", ["a.parquet:1"])]


def test_rows_of_one_text_are_the_same_text_where_their_vectors_are_one_too(tmp_path: Path) -> None:
    rows = [{"id": n, "body": "bird", "vector": vector} for n, vector in enumerate([[1, 0], [1, 0], [0, 1]])]

    report = looked(written_lines(tmp_path / "a.jsonl", rows), how=How(text_field="body"))

    assert reasons(report) == {"1": "same text as 0"}


@pytest.mark.parametrize("again", ["./a.jsonl", "../here/a.jsonl"])
def test_a_table_is_named_once_however_it_is_spelled(
    again: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    written_lines(Path("a.jsonl"), ROWS)

    with pytest.raises(BadRequest, match="name it once"):
        looked("a.jsonl", again)


def test_rows_that_cannot_be_compared_are_named(tmp_path: Path) -> None:
    rows = [*ROWS, {"id": "z", "vector": [0, 0]}, {"id": "w", "vector": [1]}, {"id": "n"}, [1]]

    report = looked(written_lines(tmp_path / "a.jsonl", rows), threshold=0.99)

    assert groups(report) == [("d", ["e"])]
    assert [one.name for one in report.left_out] == ["z", "a.jsonl:7", "a.jsonl:8", "a.jsonl:9"]
    assert report.left_out[0].reason == "its vector is all zeros, which is like nothing"


def test_a_finished_jobs_rows_are_called_by_their_chunks(tmp_path: Path) -> None:
    job(tmp_path / "job", [{"one": ["one bird", "two fish"]}, {"two": ["one bird"]}])

    report = looked(tmp_path / "job", rules=("first",))

    (group,) = report.groups
    assert (len(group.keep.name), group.keep.about) == (32, "one")
    assert [item.about for item, _ in group.duplicates] == ["two"]
    assert report.models["vectors"].space == IDENTITY.space


def test_jobs_of_two_models_are_not_compared(tmp_path: Path) -> None:
    job(tmp_path / "a", [{"one": ["one bird"]}])
    job(tmp_path / "b", [{"one": ["one bird"]}], identity=replace(IDENTITY, space="6" * 32))

    with pytest.raises(Mismatch, match="vectors of two spaces cannot be compared"):
        looked(tmp_path / "a", tmp_path / "b")


def test_two_sources_of_one_model_are_compared(tmp_path: Path) -> None:
    job(tmp_path / "a", [{"one": ["one bird"]}])
    job(tmp_path / "b", [{"two": ["one bird"]}])
    watching = Noted()

    report = looked(tmp_path / "a", tmp_path / "b", watching=watching)

    (group,) = report.groups
    assert group.keep.name.startswith(str(tmp_path))
    assert watching.notes == []


def test_two_sources_that_do_not_say_whose_they_are_are_compared_with_a_note(tmp_path: Path) -> None:
    watching = Noted()
    paths = [written_lines(tmp_path / name, ROWS[:1]) for name in ("a.jsonl", "b.jsonl")]

    report = looked(*paths, watching=watching)

    assert groups(report) == [("a.jsonl#a", ["b.jsonl#a"])]
    assert "does not say whose vectors it holds" in watching.notes[0]


def test_two_sources_of_two_widths_are_refused(tmp_path: Path) -> None:
    narrow = written_lines(tmp_path / "a.jsonl", ROWS)
    wide = written_lines(tmp_path / "b.jsonl", [{"id": "x", "vector": [1, 2, 3]}])

    with pytest.raises(Mismatch, match="has 3 numbers, and those before have 2"):
        looked(narrow, wide)


def test_a_collection_is_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstack.deduping.stored.ROWS_AT_ONCE", 2)
    folder = database(tmp_path / "db", **{"": Field(dim=2)})

    report = looked(f"{folder}#docs", threshold=0.99)

    assert groups(report) == [("3", ["4"])]
    assert report.items == {"vectors": 5}
    assert report.groups[0].keep.about == "d"


def test_of_several_fields_the_one_that_was_named_is_read(tmp_path: Path) -> None:
    folder = database(tmp_path / "db", one=Field(dim=2), two=Field(dim=2))

    assert groups(looked(f"{folder}#docs", threshold=0.99, how=How(vector="two"))) == [("3", ["4"])]
    assert groups(looked(f"{folder}#docs/two", threshold=0.99)) == [("3", ["4"])]


@pytest.mark.parametrize(
    ("behind", "vector", "said"),
    [
        ("", "", "'docs' has several dense vectors; it has: 'one', 'two'; name one as DATABASE#docs/VECTOR"),
        ("", "three", "'docs' has no dense vector 'three'; it has: 'one', 'two'"),
        ("/three", "", "'docs' has no dense vector 'three'; it has: 'one', 'two'"),
        ("/one", "two", "--vector 'two' is another than 'one' behind the collection; name one of them"),
    ],
)
def test_of_several_fields_one_must_be_named(tmp_path: Path, behind: str, vector: str, said: str) -> None:
    folder = database(tmp_path / "db", one=Field(dim=2), two=Field(dim=2))

    with pytest.raises(BadRequest, match=said):
        looked(f"{folder}#docs{behind}", how=How(vector=vector))


def test_a_point_without_a_vector_is_named(tmp_path: Path) -> None:
    folder = database(tmp_path / "db", one=Field(dim=2), two=Field(dim=2))
    with closing(EmbeddedDatabase(folder)) as made:
        made.write("docs", Points(ids=[9], vectors={"one": np.ones((1, 2), np.float32)}, payloads=[{}]))

    report = looked(f"{folder}#docs", how=How(vector="two"), threshold=0.99)

    assert [(one.name, one.reason) for one in report.left_out] == [("9", "it has no vector")]


def test_a_collection_that_is_not_there_is_refused_and_no_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(UnknownCollection, match="collection 'docs' is not there; it has: none"):
        looked(f"{tmp_path / 'db'}#docs")

    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_file_without_a_row_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)

    with pytest.raises(BadRequest, match="nothing can be compared: "):
        looked(tmp_path / "a.jsonl")


def test_lines_of_two_fingerprints_are_refused(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "fingerprint": "f"}, {**ROWS[1], "fingerprint": "g"}]

    with pytest.raises(Mismatch, match="two models"):
        looked(written_lines(tmp_path / "a.jsonl", rows))


def test_a_pattern_is_all_files_that_match(tmp_path: Path) -> None:
    for name, row in zip(("a.jsonl", "b.jsonl"), (ROWS[3], ROWS[4]), strict=True):
        (tmp_path / name).write_bytes(lines_of([row]))

    assert groups(looked(f"{tmp_path}/*.jsonl", threshold=0.99)) == [("d", ["e"])]
    assert json.loads((tmp_path / "a.jsonl").read_text())["id"] == "d"
