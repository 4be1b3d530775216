"""All shards are committed: the manifest, or what is in its way."""

from pathlib import Path

import pytest

from embedstack.errors import ConfigError, TooManyDead
from embedstack.jobs.counting import Failed
from embedstack.jobs.finishing import Stored, check_failed, finish, look, most_failed
from embedstack.jobs.layout import MANIFEST, SUCCESS, commit_key
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.planning import load_plan
from support.small_job import Passing, SmallJob, small_job


@pytest.fixture
def job(tmp_path: Path) -> SmallJob:
    made = small_job(tmp_path)
    made.planned()
    made.run()
    return made


def finished(job: SmallJob) -> bool:
    return finish(job.storage, load_plan(job.storage), folder=job.folder) is not None


def test_a_manifest_names_every_part_with_its_size(job: SmallJob) -> None:
    sizes = {entry.key: entry.size for entry in job.storage.list("data/")}

    assert {part.key: part.bytes for part in job.manifest().parts} == sizes


def test_finishing_twice_changes_nothing(job: SmallJob) -> None:
    before = job.manifest()

    assert finished(job)
    assert job.manifest() == before


def test_with_a_part_goes_the_manifest_and_the_sign_of_success(job: SmallJob) -> None:
    job.storage.delete(job.commits()[3].part)

    assert not finished(job)
    assert (job.storage.entry(MANIFEST), job.storage.entry(SUCCESS)) == (None, None)
    assert job.ledger().committed() == {0, 1, 2, 4, 5}


def test_what_is_whole_is_not_withdrawn(job: SmallJob) -> None:
    assert look(job.storage, job.ledger()).done == set(range(6))
    assert job.ledger().committed() == set(range(6))


def test_what_is_torn_is_withdrawn(job: SmallJob) -> None:
    job.storage.put(job.commits()[2].part, b"PAR1")

    assert look(job.storage, job.ledger()).done == {0, 1, 3, 4, 5}
    assert job.ledger().committed() == {0, 1, 3, 4, 5}


def test_what_another_withdrew_meanwhile_is_not_done(job: SmallJob) -> None:
    job.storage.delete(job.commits()[2].part)
    busy = Withdrawing(job, 2)

    assert look(busy, Ledger(busy, load_plan(job.storage))).done == {0, 1, 3, 4, 5}


class Withdrawing(Passing):
    """Somebody else withdraws a shard right before it is looked at."""

    def __init__(self, job: SmallJob, shard: int) -> None:
        super().__init__(job.storage)
        self.job, self.key = job, commit_key(shard)

    def get(self, key: str) -> bytes:
        if key == self.key:
            self.job.ledger().withdraw(2)
        return super().get(key)


def test_what_is_torn_is_no_failure_for_now(tmp_path: Path) -> None:
    job = small_job(tmp_path, 4)
    (tmp_path / "in" / "02.txt").write_bytes(b"\xff")
    job.planned()
    job.run(error_budget=9)
    before = look(job.storage, job.ledger()).failed
    job.storage.delete(job.commits()[1].part)

    assert (before.docs, look(job.storage, job.ledger()).failed.docs) == (1, 0)


@pytest.mark.parametrize(("budget", "most"), [(0, 0), (0.01, 10), (0.0104, 10), (0.0001, 1), (1, 1), (25, 25)])
def test_a_budget_is_a_share_below_1_and_a_number_above(budget: float, most: int) -> None:
    assert most_failed(budget, 1000) == most


@pytest.mark.parametrize(("percent", "docs"), [(29, 100), (57, 100), (7, 10**8)])
def test_a_share_is_counted_as_it_is_written(percent: int, docs: int) -> None:
    assert most_failed(percent / 100, docs) == percent * docs // 100


def ended(folder: Path, texts: list[bytes], budget: float) -> int:
    job = small_job(folder, len(texts))
    for number, text in enumerate(texts):
        (folder / "in" / f"{number:02d}.txt").write_bytes(text)
    job.planned()
    return job.run(error_budget=budget).exit_code


BAD, GOOD, EMPTY = b"\xff", b"some words", b""


@pytest.mark.parametrize(
    ("texts", "budget", "code"),
    [
        ([GOOD, GOOD, BAD, GOOD, GOOD, GOOD], 0.01, 0),
        ([GOOD, GOOD, BAD, BAD, GOOD, GOOD], 0.01, 7),
        ([GOOD, GOOD, BAD, GOOD, GOOD, GOOD], 0, 7),
        ([BAD], 0.01, 7),
        ([BAD, EMPTY, EMPTY], 0.01, 7),
        ([BAD], 1, 0),
    ],
)
def test_by_a_share_one_of_a_few_may_fail_and_never_all(
    tmp_path: Path, texts: list[bytes], budget: float, code: int
) -> None:
    assert ended(tmp_path, texts, budget) == code


def test_ids_that_come_again_are_told_with_the_way_out(job: SmallJob) -> None:
    with pytest.raises(TooManyDead, match=r"for duplicate_id name a column .* with --id-field"):
        check_failed(Failed(5, {"duplicate_id": 5}), 4, load_plan(job.storage))


def test_a_budget_below_0_is_refused() -> None:
    with pytest.raises(ConfigError, match="below 0"):
        most_failed(-1, 10)


def test_too_many_failures_are_told_with_their_reasons(job: SmallJob) -> None:
    with pytest.raises(TooManyDead, match=r"5 of 12 documents failed \(bad_json 4, panic 1\) and 4 may"):
        check_failed(Failed(5, {"panic": 1, "bad_json": 4}), 4, load_plan(job.storage))


# ------------------------------------------------------------------------------------------------ files


def torn(job: SmallJob) -> list[int]:
    stored = Stored(job.storage)
    return [commit.shard for commit in job.commits() if stored.is_torn(commit)]


def test_files_of_a_whole_job_are_not_torn(job: SmallJob) -> None:
    assert torn(job) == []


def test_a_part_that_is_missing_or_cut_is_found(job: SmallJob) -> None:
    commits = job.commits()
    job.storage.delete(commits[1].part)
    job.storage.put(commits[4].part, b"PAR1")

    assert torn(job) == [1, 4]


def test_dead_letters_that_are_missing_are_found(tmp_path: Path) -> None:
    job = small_job(tmp_path, ["a text", "", "another"])
    job.planned()
    job.run()
    (commit, _) = job.commits()
    job.storage.delete(commit.dead)

    assert torn(job) == [0]


def test_files_that_no_commit_names_are_no_problem(job: SmallJob) -> None:
    job.storage.put("data/part-000001-00000000.parquet", b"of an attempt that died")

    assert torn(job) == []
