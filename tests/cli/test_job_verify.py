"""What `job verify` says at its end, and whether it fails."""

import pytest

from embedstack.cli.job_verify import judge
from embedstack.errors import Mismatch
from embedstack.jobs.verifying import Problem, Verified

TORN = Problem("torn", "a file is missing", 1, is_mendable=True)
UNFINISHED = Problem("unfinished", "there is _SUCCESS and no _manifest.json", is_mendable=True)
TWICE = Problem("chunk_id_twice", "documents with equal ids")


def found(*problems: Problem, repair: bool = False, withdrawn: tuple[int, ...] = ()) -> Verified:
    return Verified(
        shards=3, committed=3, is_finished=True, docs=5, rows=3, bytes=9, deep=True, problems=problems, repair=repair,
        withdrawn=withdrawn,
    )  # fmt: skip


def test_what_is_mended_is_no_failure_and_the_next_step_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    judge(found(TORN, UNFINISHED, repair=True, withdrawn=(1,)), [], "out")

    assert "withdrawn: 1 shards; go on with: embedstack job run out" in capsys.readouterr().err


@pytest.mark.parametrize("problem", [TORN, UNFINISHED])
def test_without_repair_it_is_offered(problem: Problem) -> None:
    with pytest.raises(Mismatch, match="1 problems in 'out'; --repair"):
        judge(found(problem), [], "out")


def test_a_shard_that_was_not_withdrawn_after_all_is_a_failure() -> None:
    with pytest.raises(Mismatch, match="1 problems in 'out'"):
        judge(found(TORN, UNFINISHED, repair=True), [], "out")


def test_what_no_shard_that_is_done_again_mends_is_said_to_be_so() -> None:
    with pytest.raises(Mismatch, match="does not mend"):
        judge(found(TWICE, repair=True), [], "out")


def test_a_sound_job_fails_for_its_probes_alone() -> None:
    judge(found(), [], "out")

    with pytest.raises(Mismatch, match="other vectors for 1 probes"):
        judge(found(), ["probe 'short' has cosine 0.1"], "out")
