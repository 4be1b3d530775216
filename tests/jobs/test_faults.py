"""What becomes of a job on a disk and in a bucket when a process, a file, storage or the clock fails: the short form.

`bench/faults.py` is the long one.
"""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import faults
from support.buckets import Bucket, moto
from support.cases import Disk
from support.corpus import UNREADABLE
from support.faults import Outcome, Stage
from support.killing import At
from support.runs import variables

pytestmark = pytest.mark.faults
AT_ONCE = 3  # a process that starts or syncs a file leaves the processors to others


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    return Disk(tmp_path_factory.mktemp("disk"))


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with moto() as made, variables(**made.variables()):
        yield made


@pytest.fixture(params=["disk", "bucket"])
def place(request: pytest.FixtureRequest) -> Disk | Bucket:
    return request.getfixturevalue(request.param)


def good(outcome: Outcome) -> Outcome:
    assert not outcome.wrong, outcome
    return outcome


def killed(stage: Stage, place: Disk | Bucket, moments: Sequence[At]) -> list[Outcome]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda at: faults.killed_at(stage, place, at), moments))


# ------------------------------------------------------------------------------------------------ killed


@pytest.mark.timeout(300)
def test_a_job_killed_before_or_after_any_write_to_a_disk_goes_on_where_it_was(stage: Stage, disk: Disk) -> None:
    outcomes = killed(stage, disk, faults.every_write(stage, disk))

    assert [outcome for outcome in outcomes if outcome.wrong] == []


@pytest.mark.timeout(300)
def test_a_job_killed_at_any_write_to_a_bucket_goes_on_where_it_was(stage: Stage, bucket: Bucket) -> None:
    outcomes = killed(stage, bucket, faults.each_write_once(stage, bucket))

    assert [outcome for outcome in outcomes if outcome.wrong] == []


def test_the_library_has_dead_letters_of_every_kind(stage: Stage, disk: Disk) -> None:
    truth = stage.truth(disk)

    assert truth.reasons == UNREADABLE


def test_a_disk_and_a_bucket_hold_the_same_bytes(stage: Stage, disk: Disk, bucket: Bucket) -> None:
    here, there = stage.truth(disk), stage.truth(bucket)

    assert here.parts == there.parts


# ------------------------------------------------------------------------------------------------ two of them


def test_two_runners_share_the_shards(stage: Stage, place: Disk | Bucket) -> None:
    good(faults.two_runners(stage, place))


def test_a_runner_that_wakes_up_too_late_changes_nothing(stage: Stage, place: Disk | Bucket) -> None:
    good(faults.zombie(stage, place))


# ------------------------------------------------------------------------------------------------ storage


def test_a_full_disk_ends_the_run_with_a_clear_error(stage: Stage, disk: Disk) -> None:
    outcome = good(faults.disk_full(stage, disk))

    assert outcome.facts["exit_code"] == faults.CONFIG


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_committed_part_that_is_damaged_is_done_again(stage: Stage, place: Disk | Bucket, is_gone: bool) -> None:
    good(faults.truncated_part(stage, place, is_gone=is_gone))


def test_a_bucket_that_refuses_ends_the_run_with_a_clear_error(stage: Stage, bucket: Bucket) -> None:
    outcome = good(faults.refusing_bucket(stage, bucket, 403, "s3://"))

    assert outcome.facts["exit_code"] == faults.CONFIG


def test_a_bucket_that_stumbles_is_asked_again(stage: Stage, bucket: Bucket) -> None:
    outcome = good(faults.stumbling_bucket(stage, bucket))

    assert outcome.facts["refused"]


# ------------------------------------------------------------------------------------------------ clock, input, model


def test_a_jumping_clock_changes_nothing(stage: Stage, disk: Disk) -> None:
    good(faults.jumping_clock(stage, disk))


@pytest.mark.parametrize("is_gone", [False, True])
def test_an_input_file_that_changed_is_refused_by_name(stage: Stage, disk: Disk, is_gone: bool) -> None:
    good(faults.changed_input(stage, disk, is_gone=is_gone))


def test_another_model_is_refused(stage: Stage, disk: Disk) -> None:
    good(faults.changed_model(stage, disk))


# ------------------------------------------------------------------------------------------------ documents


@pytest.mark.parametrize("how", ["fails", "panics"])
def test_a_poisonous_document_is_a_dead_letter_and_no_more(stage: Stage, disk: Disk, how: str) -> None:
    good(faults.poison(stage, disk, how))


def test_a_line_that_is_too_long_is_never_in_memory(stage: Stage, disk: Disk) -> None:
    good(faults.long_line(stage, disk, megabytes=256))


# ------------------------------------------------------------------------------------------------ the checks themselves


def test_what_is_missing_is_noticed(stage: Stage, disk: Disk) -> None:
    with stage.case(disk) as case:
        case.run()
        case.storage.delete("_SUCCESS")

        wrong = faults.faults_of(case, stage.truth(disk))

    assert wrong[0] == "_SUCCESS differs"


def test_work_done_again_without_need_is_noticed(stage: Stage, disk: Disk) -> None:
    with stage.case(disk) as case:
        killed = case.start(at=At(key="_manifest", sends=signal.SIGKILL))
        killed.ended()

        wrong = faults.rework_of(killed, case.committed(), killed)

    assert len(wrong) == 1
