"""Files that no commit names are deleted, and no others: neither young ones nor what belongs to the job."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedstack.errors import BadRequest
from embedstack.jobs import layout
from embedstack.jobs.collecting import collect
from embedstack.jobs.ledger import Ledger
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Entry, Missing
from support.tables import commit, job, planned

SHARDS = [{"a.md": ["a red bird"], "bad.md": []}, {"b.md": ["two birds"]}]
ORPHANS = [
    "data/part-000000-ffffffff.parquet",
    "dead/part-000001-ffffffff.jsonl",
    "_plan/shards-000000000000.jsonl",
    "_probe/left",
]
DAY_S = 86_400


def aged(storage: LocalStorage, key: str, age_s: float) -> None:
    os.utime(storage.root / key, (storage.root.stat().st_mtime - age_s,) * 2)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    made = job(tmp_path / "job", SHARDS)
    made.put("_plan/estimate.json", b"{}")
    for key in ORPHANS:
        made.put(key, b"orphan")
    for path in [path for path in made.root.rglob("*") if path.is_file()]:
        aged(made, path.relative_to(made.root).as_posix(), 2 * DAY_S)
    return made


def keys(storage: LocalStorage) -> set[str]:
    return {entry.key for entry in storage.list()}


def test_old_orphans_are_deleted_and_nothing_else(storage: LocalStorage) -> None:
    before = keys(storage)

    found = collect(storage)

    assert before - keys(storage) == set(ORPHANS)
    assert (found.orphans, found.bytes, found.young) == (4, 24, 0)
    assert set(found.first) == set(ORPHANS)


def test_young_orphans_are_left(storage: LocalStorage) -> None:
    aged(storage, ORPHANS[0], DAY_S - 600)

    found = collect(storage)

    assert ORPHANS[0] in keys(storage)
    assert (found.orphans, found.young) == (3, 1)


def test_a_dry_run_names_and_deletes_nothing(storage: LocalStorage) -> None:
    before = keys(storage)

    found = collect(storage, dry_run=True)

    assert keys(storage) == before
    assert (found.orphans, found.dry_run) == (4, True)


def test_folded_commits_keep_their_files(storage: LocalStorage) -> None:
    Ledger(storage, planned(LocalStorage(storage.root), SHARDS)).fold_rest()

    collect(storage)

    assert {"data/part-000000-0000aaaa.parquet", "dead/part-000000-0000aaaa.jsonl"} <= keys(storage)


def test_what_killed_writers_left_unfinished_is_deleted(storage: LocalStorage) -> None:
    left = storage.root / "data" / f".part-000000-ffffffff.parquet.{'0' * 32}.partial"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))

    found = collect(storage)

    assert not left.exists()
    assert found.orphans == 5


class HoursAhead(LocalStorage):
    """The clock that stamps its files is not this machine's."""

    def entry(self, key: str) -> Entry | None:
        found = super().entry(key)
        return found and Entry(found.key, found.size, found.version, found.modified_s + 10 * DAY_S)

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        for found in super().list(prefix, after):
            yield Entry(found.key, found.size, found.version, found.modified_s + 10 * DAY_S)


def test_the_age_is_by_the_clock_of_the_storage(storage: LocalStorage) -> None:
    ahead = HoursAhead(storage.root)
    aged(ahead, ORPHANS[0], 0)

    found = collect(ahead)

    assert (found.orphans, found.young) == (3, 1)


class CommitsMeanwhile(LocalStorage):
    """Somebody commits a shard after its file was listed."""

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        yield from super().list(prefix, after)
        if prefix == layout.DEAD:
            plan = planned(LocalStorage(self.root), SHARDS)
            commit(LocalStorage(self.root), Ledger(LocalStorage(self.root), plan), plan, 0, SHARDS[0])


def test_what_is_committed_meanwhile_stays(tmp_path: Path) -> None:
    storage = CommitsMeanwhile(tmp_path / "job")
    planned(storage, SHARDS)
    key = layout.part_key(0, "0000aaaa")
    storage.put(key, b"uploaded, and not committed yet")
    aged(storage, key, 2 * DAY_S)

    assert collect(storage).orphans == 0
    assert storage.entry(key) is not None


def test_no_age_at_all_takes_every_orphan(storage: LocalStorage) -> None:
    storage.put("data/part-000001-eeeeeeee.parquet", b"just now")
    aged(storage, "data/part-000001-eeeeeeee.parquet", 1)

    assert collect(storage, 0).orphans == 5


@pytest.mark.parametrize("age_s", [-1.0, float("nan")])
def test_a_negative_age_is_refused(storage: LocalStorage, age_s: float) -> None:
    with pytest.raises(BadRequest, match="below 0"):
        collect(storage, age_s)


def test_a_place_without_a_job_is_left_alone(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put("data/part-000000-ffffffff.parquet", b"of somebody")

    with pytest.raises(Missing):
        collect(storage, 0)

    assert keys(storage) == {"data/part-000000-ffffffff.parquet"}
