"""A finished table as one file of another kind."""

import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.jobs import layout
from embedstack.jobs.digests import content_hash
from embedstack.jobs.exporting import export
from embedstack.storage.local import LocalStorage
from support.tables import DIM, IDENTITY, WISH, job, vectors_of

SHARDS = [{"a.md": ["a red bird", "two birds"], "empty.md": []}, {"bad.md": []}, {"b.md": ["птица"]}]
TEXTS = ["a red bird", "two birds", "птица"]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return job(tmp_path / "job", SHARDS)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("storing", ["float32", "float16"])
def test_a_matrix_holds_all_vectors_as_they_are_stored(tmp_path: Path, storing: str) -> None:
    wish = replace(WISH, storing=storing)

    made = export(job(tmp_path / "job", SHARDS, wish), "npy", tmp_path / "out.npy")

    matrix = np.load(tmp_path / "out.npy")
    assert (matrix.dtype, matrix.shape, made.rows) == (np.dtype(storing), (3, DIM), 3)
    assert np.array_equal(matrix.astype(np.float32), vectors_of(TEXTS, wish))


def test_beside_a_matrix_stands_what_its_rows_are(storage: LocalStorage, tmp_path: Path) -> None:
    made = export(storage, "npy", tmp_path / "out.npy")

    assert made.files == (tmp_path / "out.npy", tmp_path / "out.npy.ids.jsonl")
    assert [(line["doc_id"], line["chunk_index"], line["text"]) for line in lines(made.files[1])] == [
        ("a.md", 0, "a red bird"),
        ("a.md", 1, "two birds"),
        ("b.md", 0, "птица"),
    ]


def test_lines_hold_everything(storage: LocalStorage, tmp_path: Path) -> None:
    export(storage, "jsonl", tmp_path / "out.jsonl")

    found = lines(tmp_path / "out.jsonl")
    assert np.array_equal(np.array([line.pop("embedding") for line in found], np.float32), vectors_of(TEXTS))
    assert found[2] == {
        "doc_id": "b.md",
        "chunk_id": content_hash("b.md 0", "id"),
        "chunk_index": 0,
        "text": "птица",
        "metadata": {"headings": ["one"], "title": "b.md"},
        "tokens": 1,
        "fingerprint": IDENTITY.fingerprint,
    }


def test_lines_hold_sparse_weights_and_no_text_where_none_is_kept(tmp_path: Path) -> None:
    wish = replace(WISH, sparse=True, with_text=False)

    export(job(tmp_path / "job", SHARDS, wish), "jsonl", tmp_path / "out.jsonl")

    first = lines(tmp_path / "out.jsonl")[0]
    assert "text" not in first
    assert isinstance(first["sparse"], dict)
    assert len(first["sparse"]["indices"]) == len(first["sparse"]["values"]) == 3


def test_lines_go_to_stdout_where_no_file_is_named(storage: LocalStorage, capfdbinary: object) -> None:
    made = export(storage, "jsonl", None)

    out = capfdbinary.readouterr().out  # type: ignore[attr-defined]
    assert (out.count(b"\n"), made.files) == (3, ())


def test_a_matrix_does_not_go_to_stdout(storage: LocalStorage) -> None:
    with pytest.raises(BadRequest, match="--output FILE"):
        export(storage, "npy", None)


def test_it_says_how_far_it_is(storage: LocalStorage, tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []

    export(storage, "npy", tmp_path / "out.npy", lambda done, of: said.append((done, of)))

    assert said == [(2, 3), (3, 3)]


def test_a_table_of_no_rows_is_a_matrix_of_none(tmp_path: Path) -> None:
    export(job(tmp_path / "job", [{"empty.md": []}]), "npy", tmp_path / "out.npy")

    assert np.load(tmp_path / "out.npy").shape == (0, DIM)


def test_a_job_that_is_not_finished_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="is not finished; run: embedstack job run"):
        export(job(tmp_path / "job", SHARDS, is_finished=False), "npy", tmp_path / "out.npy")

    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("form", ["npy", "jsonl"])
def test_nothing_is_left_of_an_export_that_failed(storage: LocalStorage, tmp_path: Path, form: str) -> None:
    storage.delete(layout.part_key(2, "0000aaaa"))
    (tmp_path / "out").mkdir()

    with pytest.raises(Mismatch, match=r"part-000002-0000aaaa.parquet' is missing"):
        export(storage, form, tmp_path / "out" / "file")  # type: ignore[arg-type]

    assert list((tmp_path / "out").iterdir()) == []


def test_an_output_that_cannot_be_written_is_named(storage: LocalStorage, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/out.jsonl' cannot be written: .*--output"):
        export(storage, "jsonl", tmp_path / "nowhere" / "out.jsonl")
