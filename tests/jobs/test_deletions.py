"""Chunks that the job before had and this one has not."""

from pathlib import Path

import duckdb
import msgspec
import polars as pl
import pytest

from embedstack.errors import Mismatch
from embedstack.jobs import layout
from embedstack.jobs.dead import letter
from embedstack.jobs.deletions import DELETED, read_deleted, write_deleted
from embedstack.jobs.digests import content_hash, of_file
from embedstack.jobs.finished import finished
from embedstack.storage.local import LocalStorage
from support.tables import job

BEFORE = [{"a.md": ["one", "two"], "b.md": ["three"]}, {"c.md": ["four"]}]
AFTER = [{"a.md": ["one"], "c.md": ["four, but other words"]}, {"d.md": ["five"]}]
GONE = [("a.md", content_hash("a.md 1", "id")), ("b.md", content_hash("b.md 0", "id"))]


def compared(tmp_path: Path, after: list[dict[str, list[str]]]) -> LocalStorage:
    before, storage = job(tmp_path / "before", BEFORE), job(tmp_path / "after", after)
    write_deleted(before, storage, finished(storage).manifest, tmp_path / "spool")
    return storage


def test_chunks_that_are_gone_are_listed_in_order(tmp_path: Path) -> None:
    assert list(read_deleted(compared(tmp_path, AFTER))) == GONE


def test_a_list_of_nothing_is_there_too(tmp_path: Path) -> None:
    assert list(read_deleted(compared(tmp_path, BEFORE))) == []


def test_documents_that_fail_today_are_not_gone(tmp_path: Path) -> None:
    before = job(tmp_path / "before", [{"bad.md": ["one", "two"], "empty.md": ["three"], "c.md": ["four"]}])
    now = job(tmp_path / "now", [{"bad.md": [], "empty.md": []}])

    write_deleted(before, now, finished(now).manifest, tmp_path / "spool")

    assert [doc_id for doc_id, _ in read_deleted(now)] == ["empty.md", "c.md"]


@pytest.mark.parametrize("code", ["duplicate_id", "no_text"])
def test_a_document_that_shrank_is_not_kept_by_another_one_of_its_id(tmp_path: Path, code: str) -> None:
    storage = job(tmp_path / "now", [{"a.md": ["one"], "b.md": ["three"]}, {"c.md": ["four"]}])
    storage.put("dead/more.jsonl", msgspec.json.encode(letter("a.md", "a.md", 1, code, "why", 0)) + b"\n")
    manifest = finished(storage).manifest
    now = msgspec.structs.replace(manifest, dead=(*manifest.dead, "dead/more.jsonl"))

    write_deleted(job(tmp_path / "before", BEFORE), storage, now, tmp_path / "spool")

    assert list(read_deleted(storage)) == GONE[:1]


def test_the_list_is_stated_as_it_lies_there(tmp_path: Path) -> None:
    before, now = job(tmp_path / "before", BEFORE), job(tmp_path / "now", AFTER)

    made = write_deleted(before, now, finished(now).manifest, tmp_path / "spool")

    assert (made.bytes, made.sha256) == ((now.root / DELETED).stat().st_size, of_file(now.root / DELETED))


def test_all_is_gone_where_nothing_is_left(tmp_path: Path) -> None:
    assert len(list(read_deleted(compared(tmp_path, [{"bad.md": []}])))) == 4


def test_other_readers_read_the_list(tmp_path: Path) -> None:
    storage = compared(tmp_path, AFTER)
    path = str(storage.root / "_deleted.parquet")

    with duckdb.connect() as base:
        assert base.execute("select doc_id, chunk_id from read_parquet(?)", [path]).fetchall() == GONE
    assert pl.read_parquet(path).rows() == GONE


def test_nothing_of_the_comparison_is_left(tmp_path: Path) -> None:
    compared(tmp_path, AFTER)

    assert list((tmp_path / "spool").iterdir()) == []


def test_a_damaged_table_is_no_list_of_deletions(tmp_path: Path) -> None:
    storage, before = job(tmp_path / "after", AFTER), job(tmp_path / "before", BEFORE)
    storage.delete(layout.part_key(0, "0000aaaa"))

    with pytest.raises(Mismatch, match=r"part-000000-0000aaaa.parquet' is missing"):
        write_deleted(before, storage, finished(storage).manifest, tmp_path)
