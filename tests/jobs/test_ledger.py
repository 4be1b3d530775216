"""Commits and checkpoints of a job, with others at work beside it."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from embedstack.errors import Mismatch, Upstream
from embedstack.jobs.commit import Checkpoint, Commit
from embedstack.jobs.layout import MANIFEST, SUCCESS, checkpoint_key, commit_key
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.plan import Plan
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Entry, Storage
from support.small_job import Passing, small_job


def commit(plan: Plan, shard: int, attempt: str = "aaaaaaaa") -> Commit:
    return Commit(
        plan=plan.digest, shard=shard, attempt=attempt, part=f"data/{shard}-{attempt}", part_bytes=1, part_sha256="",
        dead="", dead_bytes=0, docs=2, docs_out=2, docs_dead=0, docs_failed=0, chunks=3, rows=3, chunks_dead=0,
        reused=0, tokens=9, input_bytes=7, rows_digest="", vectors_digest="", first_id="a", last_id="b", lengths={},
        reasons={}, exact="", began_at=0.0, took_s=1.0, encode_s=0.5, store_s=0.1,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_power_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk is most of these tests."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return small_job(tmp_path).planned()  # 6 shards, 2 in a checkpoint


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return small_job(tmp_path).storage


@pytest.fixture
def ledger(plan: Plan, storage: Storage) -> Ledger:
    return Ledger(storage, plan)


def test_the_first_commit_of_a_shard_counts(plan: Plan, ledger: Ledger) -> None:
    assert ledger.commit(commit(plan, 0, "aaaaaaaa"))
    assert not ledger.commit(commit(plan, 0, "bbbbbbbb"))


def test_a_commit_whose_answer_was_lost_counts_when_it_is_tried_again(plan: Plan, ledger: Ledger) -> None:
    ledger.commit(commit(plan, 0))

    assert ledger.commit(commit(plan, 0))


def test_what_is_committed_is_known_to_others(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    ledger.commit(commit(plan, 3))
    other = Ledger(storage, plan)

    assert other.committed() == {3}
    assert other.is_committed(3)
    assert not other.is_committed(2)


def test_a_commit_of_another_plan_is_refused(plan: Plan, storage: Storage) -> None:
    before = msgspec.structs.replace(plan, tokens=99)
    Ledger(storage, before).commit(commit(before, 1))

    with pytest.raises(Mismatch, match="was made by plan"):
        Ledger(storage, plan).committed()


def test_a_shard_that_another_plan_did_cannot_be_committed(plan: Plan, storage: Storage) -> None:
    before = msgspec.structs.replace(plan, tokens=99)
    Ledger(storage, before).commit(commit(before, 1))

    with pytest.raises(Mismatch, match="was made by plan"):
        Ledger(storage, plan).commit(commit(plan, 1))


@pytest.mark.parametrize("data", [b'{"schema": 1', b'{"plan": "\xff"}'])
def test_a_damaged_commit_is_named(plan: Plan, storage: Storage, ledger: Ledger, data: bytes) -> None:
    storage.put(commit_key(0), data)

    with pytest.raises(Mismatch, match=r"000000\.json' cannot be read"):
        list(ledger.records())


# ------------------------------------------------------------------------------------------------ checkpoints


def test_a_whole_group_becomes_a_checkpoint(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    ledger.commit(commit(plan, 2))
    before = storage.entry(checkpoint_key(1))
    ledger.commit(commit(plan, 3))
    made = msgspec.json.decode(storage.get(checkpoint_key(1)), type=Checkpoint)

    assert before is None
    assert [one.shard for one in made.commits] == [2, 3]


def test_a_group_that_several_did_is_folded_at_the_end(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    ledger.commit(commit(plan, 0))
    Ledger(storage, plan).commit(commit(plan, 1))

    assert storage.entry(checkpoint_key(0)) is None
    assert ledger.fold_rest() == 1
    assert storage.entry(checkpoint_key(0)) is not None


def test_the_last_group_may_be_smaller(tmp_path: Path) -> None:
    job = small_job(tmp_path, 5)
    plan = job.planned()
    ledger = Ledger(job.storage, plan)
    ledger.commit(commit(plan, 2))

    assert job.storage.entry(checkpoint_key(1)) is not None


def test_two_that_fold_at_once_make_one(plan: Plan, storage: Storage) -> None:
    first, second = Ledger(storage, plan), Ledger(storage, plan)
    first.commit(commit(plan, 0))
    second.committed()
    second.commit(commit(plan, 1))

    assert first.fold_rest() == 0
    assert [one.shard for one in first.records()] == [0, 1]


def test_records_are_in_the_order_of_shards(plan: Plan, ledger: Ledger) -> None:
    for shard in (5, 2, 0, 3):
        ledger.commit(commit(plan, shard))

    assert [one.shard for one in ledger.records()] == [0, 2, 3, 5]


def test_records_of_a_checkpoint_need_no_look_at_its_commits(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    for shard in range(4):
        ledger.commit(commit(plan, shard))
    counting = Counting(storage)

    assert len(list(Ledger(counting, plan).records())) == 4
    assert counting.gets == [checkpoint_key(0), checkpoint_key(1)]


def test_a_checkpoint_is_not_believed_over_another_commit_of_equal_size(
    plan: Plan, storage: Storage, ledger: Ledger
) -> None:
    for shard in range(2):
        ledger.commit(commit(plan, shard))
    replace(storage, commit(plan, 1, "bbbbbbbb"))

    assert [one.attempt for one in ledger.records()] == ["aaaaaaaa", "bbbbbbbb"]


def test_a_checkpoint_without_versions_is_not_believed(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    old = Checkpoint(plan=plan.digest, first=0, commits=(commit(plan, 0, "aaaaaaaa"), commit(plan, 1, "aaaaaaaa")))
    storage.put(checkpoint_key(0), msgspec.json.encode(old))
    for shard in range(2):
        ledger.commit(commit(plan, shard, "bbbbbbbb"))

    assert [one.attempt for one in ledger.records()] == ["bbbbbbbb", "bbbbbbbb"]


def test_a_commit_of_another_shard_is_refused(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    storage.put(commit_key(0), msgspec.json.encode(commit(plan, 1)))

    with pytest.raises(Mismatch, match="holds shard 1"):
        ledger.commit_of(0)


def test_a_checkpoint_of_another_group_is_refused(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    for shard in range(2):
        ledger.commit(commit(plan, shard))
    storage.put(
        checkpoint_key(0), msgspec.json.encode(Checkpoint(plan=plan.digest, first=2, commits=(commit(plan, 2),)))
    )

    with pytest.raises(Mismatch, match="holds shard 2"):
        list(ledger.records())


def test_a_commit_past_the_last_shard_is_none_of_the_plan(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    storage.put(commit_key(6), msgspec.json.encode(commit(plan, 6)))

    assert (ledger.committed(), list(ledger.records())) == (set(), [])


def test_a_group_is_listed_alone(plan: Plan, storage: Storage) -> None:
    counting = Counting(storage)
    ledger = Ledger(counting, plan)
    for shard in (0, 1, 4, 5, 2):
        ledger.commit(commit(plan, shard))
    counting.listed.clear()
    ledger.commit(commit(plan, 3))

    assert counting.listed == [commit_key(shard) for shard in (2, 3, 4)] * 2


def test_what_was_withdrawn_by_another_is_not_known_to_be_done(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    for shard in range(3):
        ledger.commit(commit(plan, shard))
    Ledger(storage, plan).withdraw(1)
    list(ledger.records())

    assert not ledger.is_committed(1)


def test_who_loses_against_a_commit_that_is_gone_does_not_know_it(plan: Plan, storage: Storage) -> None:
    other = Ledger(storage, plan)
    other.commit(commit(plan, 0, "bbbbbbbb"))
    ledger = Ledger(After(storage, commit_key(0), lambda: other.withdraw(0)), plan)

    assert not ledger.commit(commit(plan, 0))
    assert not ledger.is_committed(0)


def test_sums_before_the_end_come_from_checkpoints_alone(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    for shard in range(3):
        ledger.commit(commit(plan, shard))
    counting = Counting(storage)
    other = Ledger(counting, plan)
    other.committed()
    counting.gets.clear()

    assert [one.shard for one in other.folded()] == [0, 1]
    assert counting.gets == [checkpoint_key(0)]


def test_a_checkpoint_is_not_believed_over_a_commit_that_is_gone(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    for shard in range(2):
        ledger.commit(commit(plan, shard))
    storage.delete(commit_key(1))

    assert [one.shard for one in ledger.records()] == [0]


def test_a_checkpoint_that_cannot_be_written_loses_no_commit(plan: Plan, storage: Storage) -> None:
    ledger = Ledger(Refusing(storage, "_checkpoints/"), plan)
    ledger.commit(commit(plan, 0))

    assert ledger.commit(commit(plan, 1))
    assert [one.shard for one in ledger.records()] == [0, 1]


# ------------------------------------------------------------------------------------------------ withdrawing


def test_a_withdrawn_shard_is_not_done(plan: Plan, ledger: Ledger) -> None:
    ledger.commit(commit(plan, 0))

    assert ledger.withdraw(0)
    assert ledger.committed() == set()
    assert not ledger.is_committed(0)


def test_with_a_commit_go_its_checkpoint_its_files_and_the_manifest(
    plan: Plan, storage: Storage, ledger: Ledger
) -> None:
    for shard in range(2):
        ledger.commit(commit(plan, shard))
    for key in (MANIFEST, SUCCESS, commit(plan, 0).part):
        storage.put(key, b"x")
    ledger.withdraw(0)

    assert [entry.key for entry in storage.list() if not entry.key.startswith(("_plan", "plan"))] == [commit_key(1)]


def test_only_the_attempt_that_was_looked_at_is_withdrawn(plan: Plan, ledger: Ledger) -> None:
    ledger.commit(commit(plan, 0, "bbbbbbbb"))

    assert not ledger.withdraw(0, "aaaaaaaa")
    assert ledger.committed() == {0}


def test_nothing_is_withdrawn_twice(plan: Plan, ledger: Ledger) -> None:
    ledger.commit(commit(plan, 0))
    ledger.withdraw(0)

    assert not ledger.withdraw(0)


def test_a_withdrawn_shard_can_be_done_and_folded_again(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    for shard in range(2):
        ledger.commit(commit(plan, shard))
    ledger.withdraw(1)
    ledger.commit(commit(plan, 1, "bbbbbbbb"))
    made = msgspec.json.decode(storage.get(checkpoint_key(0)), type=Checkpoint)

    assert [one.attempt for one in made.commits] == ["aaaaaaaa", "bbbbbbbb"]


def test_a_commit_that_is_withdrawn_while_it_is_folded_is_in_no_checkpoint(plan: Plan, storage: Storage) -> None:
    other = Ledger(storage, plan)
    busy = Beside(storage, checkpoint_key(0), lambda: other.withdraw(1))
    ledger = Ledger(busy, plan)
    for shard in range(2):
        ledger.commit(commit(plan, shard))

    assert storage.entry(checkpoint_key(0)) is None
    assert [one.shard for one in other.records()] == [0]


@pytest.mark.parametrize("deletes", range(6))
def test_a_kill_while_a_commit_is_withdrawn_leaves_nothing_wrong(
    plan: Plan, storage: Storage, ledger: Ledger, deletes: int
) -> None:
    for shard in range(2):
        ledger.commit(commit(plan, shard))
    with suppress(Killed):
        Ledger(Dying(storage, deletes), plan).withdraw(1)
    again = Ledger(storage, plan)
    is_done = 1 in again.committed()
    if not is_done:
        replace(storage, commit(plan, 1, "bbbbbbbb"))
        again.fold_rest()

    assert [one.attempt for one in again.records()] == ["aaaaaaaa", "aaaaaaaa" if is_done else "bbbbbbbb"]


def test_a_kill_while_a_group_is_folded_leaves_nothing_wrong(plan: Plan, storage: Storage) -> None:
    def overtaken() -> None:
        Ledger(storage, plan).withdraw(1)
        replace(storage, commit(plan, 1, "bbbbbbbb"))

    ledger = Ledger(After(Beside(storage, checkpoint_key(0), overtaken), checkpoint_key(0), die), plan)
    ledger.commit(commit(plan, 0))
    with suppress(Killed):
        ledger.commit(commit(plan, 1))

    assert storage.entry(checkpoint_key(0))
    assert [one.attempt for one in Ledger(storage, plan).records()] == ["aaaaaaaa", "bbbbbbbb"]


def test_a_commit_that_comes_while_another_is_withdrawn_stays(plan: Plan, storage: Storage, ledger: Ledger) -> None:
    ledger.commit(commit(plan, 0))
    busy = AfterDelete(storage, SUCCESS, lambda: replace(storage, commit(plan, 0, "bbbbbbbb")))

    assert not Ledger(busy, plan).withdraw(0)
    assert [one.attempt for one in ledger.records()] == ["bbbbbbbb"]


def test_a_checkpoint_that_comes_while_its_commit_is_withdrawn_goes_too(
    plan: Plan, storage: Storage, ledger: Ledger
) -> None:
    for shard in range(2):
        ledger.commit(commit(plan, shard))
    busy = AfterDelete(storage, SUCCESS, Ledger(storage, plan).fold_rest)

    assert Ledger(busy, plan).withdraw(1)
    assert storage.entry(checkpoint_key(0)) is None


def test_with_another_attempt_goes_the_checkpoint_that_holds_the_one_before(
    plan: Plan, storage: Storage, ledger: Ledger
) -> None:
    for shard in range(2):
        ledger.commit(commit(plan, shard))
    replace(storage, commit(plan, 1, "bbbbbbbb"))

    assert not ledger.withdraw(1, "aaaaaaaa")
    assert storage.entry(checkpoint_key(0)) is None


def replace(storage: Storage, commit: Commit) -> None:
    """Another attempt's record, some time later."""
    assert isinstance(storage, LocalStorage)
    key = commit_key(commit.shard)
    storage.put(key, msgspec.json.encode(commit))
    path = storage.root / key
    os.utime(path, (path.stat().st_mtime + 9,) * 2)


class Killed(BaseException):
    """This process is gone."""


def die() -> None:
    raise Killed


class Dying(Passing):
    """Is killed before one of its deletes, counted from 0."""

    def __init__(self, inner: Storage, left: int) -> None:
        super().__init__(inner)
        self.left = left

    def delete(self, key: str) -> None:
        if not self.left:
            raise Killed
        self.left -= 1
        super().delete(key)


class Counting(Passing):
    """Notes what was read."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.gets: list[str] = []
        self.listed: list[str] = []

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        for entry in super().list(prefix, after):
            self.listed.append(entry.key)
            yield entry

    def get(self, key: str) -> bytes:
        self.gets.append(key)
        return super().get(key)


class Refusing(Passing):
    """Creates nothing below a prefix."""

    def __init__(self, inner: Storage, prefix: str) -> None:
        super().__init__(inner)
        self.prefix = prefix

    def put_new(self, key: str, data: bytes) -> bool:
        if key.startswith(self.prefix):
            raise Upstream("the bucket is away; try again", retry=True)
        return super().put_new(key, data)


class Beside(Passing):
    """Somebody else does something right before a key is created."""

    def __init__(self, inner: Storage, key: str, what: Callable[[], object]) -> None:
        super().__init__(inner)
        self.key, self.what = key, what

    def put_new(self, key: str, data: bytes) -> bool:
        if key == self.key:
            self.what()
        return super().put_new(key, data)


class After(Beside):
    """The same, right behind that."""

    def put_new(self, key: str, data: bytes) -> bool:
        is_new = self.inner.put_new(key, data)
        if key == self.key:
            self.what()
        return is_new


class AfterDelete(Beside):
    """The same, right behind a delete."""

    def delete(self, key: str) -> None:
        super().delete(key)
        if key == self.key:
            self.what()
