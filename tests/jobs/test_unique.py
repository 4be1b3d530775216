"""A table is none while two of its documents have one id."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from embedstack.documents.document import Reading
from embedstack.jobs.layout import MANIFEST, SUCCESS
from embedstack.jobs.planning import load_plan
from embedstack.jobs.unique import may_repeat
from embedstack.jobs.verifying import verify
from support.small_job import SmallJob, small_job

WORDS = " ".join(f"w{number}" for number in range(40))  # some chunks


@pytest.fixture(autouse=True)
def no_power_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk is nine tenths of a small job."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def ran(folder: Path, doc_ids: Sequence[str], **wished: object) -> SmallJob:
    """A file of rows in shards of two; one without an id has no text."""
    path = folder / "r.jsonl"
    rows = [{"doc_id": doc_id, "text": WORDS if doc_id else ""} for doc_id in doc_ids]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = small_job(folder, 0, inputs=(str(path),), reading=Reading(id_field="doc_id"), **wished)
    job.planned()
    return job


def test_an_id_in_two_shards_makes_no_table_and_both_places_are_told(tmp_path: Path) -> None:
    job = ran(tmp_path, ["a", "b", "x", "", "c", "d", "e", "x", "f"])
    ended = job.run(error_budget=9)

    assert ended.exit_code == 3
    assert "'x' of document 2 of 'r.jsonl' and document 7 of 'r.jsonl'" in ended.error
    assert f"--since {job.storage.url}" in ended.error
    assert "--id-field" in ended.error
    assert (job.storage.entry(SUCCESS), job.storage.entry(MANIFEST)) == (None, None)
    assert len(job.commits()) == 5


def test_it_is_told_each_time_and_nothing_is_left_in_the_spool(tmp_path: Path) -> None:
    job = ran(tmp_path, ["x", "b", "x"])

    assert job.run().error == job.run().error != ""
    assert list((tmp_path / "spool").iterdir()) == []


def test_vectors_that_cannot_be_taken_over_are_not_promised(tmp_path: Path) -> None:
    job = ran(tmp_path, ["x", "b", "x"], late_chunking=True)

    assert "--since" not in job.run().error


def test_an_id_that_comes_again_in_its_shard_is_a_dead_letter_and_the_table_is_sound(tmp_path: Path) -> None:
    job = ran(tmp_path, ["a", "a", "b", "c"])
    ended = job.run(error_budget=1)

    assert ended.error == ""
    assert [(one.docs_out, one.docs_dead, one.reasons) for one in job.commits()] == [
        (1, 1, {"duplicate_id": 1}),
        (2, 0, {}),
    ]
    assert verify(job.storage, deep=True).problems == ()


def test_where_most_ids_come_again_the_run_stops_early(tmp_path: Path) -> None:
    job = ran(tmp_path, ["a", "a"] * 20)
    ended = job.run()

    assert ended.exit_code == 7
    assert "for duplicate_id name a column" in ended.error
    assert len(job.commits()) < 20


@pytest.mark.parametrize(
    ("id_field", "docs", "files", "may"), [("", 5, 5, False), ("", 6, 5, True), ("doc_id", 5, 5, True)]
)
def test_ids_that_begin_with_a_file_of_their_own_cannot_be_equal(
    tmp_path: Path, id_field: str, docs: int, files: int, may: bool
) -> None:
    made = small_job(tmp_path).planned()
    wish = replace(made.wish, reading=Reading(id_field=id_field))

    assert may_repeat(replace(load_plan(small_job(tmp_path).storage), wish=wish, docs=docs, files=files)) == may
