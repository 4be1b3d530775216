"""A job that runs, as people and machines see it."""

import json
import signal
import threading
from collections.abc import Set

import pytest
from msgspec.structs import replace

from embedstack.cli.job_board import TOTALS_S, Board, say_end
from embedstack.errors import Upstream
from embedstack.jobs.events import Ended, Lost
from embedstack.jobs.progress import Done
from embedstack.jobs.working import stopped
from support.job_events import did, progress, started, took
from support.job_plans import PLAN

PATIENCE_S = 30
NOTE = "the last bits of vectors may differ"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines_of(captured: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.readouterr().out.splitlines()]


def test_each_event_is_a_line_with_its_process(capsys: pytest.CaptureFixture[str]) -> None:
    with Board(PLAN, Done(), is_json=True) as board:
        board.told(1, took(3))

    assert lines_of(capsys)[0] == {"process": 1, "event": "took", "shard": 3}


def test_totals_come_after_each_shard_and_else_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Board(PLAN, Done(), is_json=True, clock=clock) as board:
        board.told(0, progress(100))
        board.told(0, progress(200))
        board.told(0, did(0))
        clock.now += TOTALS_S
        board.told(0, progress(300))

    assert [line["event"] for line in lines_of(capsys)].count("totals") == 3


def test_the_end_is_said_once_for_all_processes(capsys: pytest.CaptureFixture[str]) -> None:
    with Board(PLAN, Done(), is_json=True) as board:
        board.told(0, Ended(done=1, lost=0))
        board.told(1, Ended(done=2, lost=0))
    say_end(Ended(done=3, lost=0))

    ends = [line for line in lines_of(capsys) if line["event"] == "ended"]
    assert [line["done"] for line in ends] == [3]


def test_why_bytes_may_differ_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Board(PLAN, Done(), is_json=False) as board:
        for seat in (0, 1):
            board.told(seat, started(exact_note=NOTE))

    assert capsys.readouterr().err.count(NOTE) == 1


def test_nothing_of_it_goes_to_stdout_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with Board(PLAN, Done(), is_json=False) as board:
        board.told(0, did(0))
        board.note("a line")

    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "a line\n")


def test_the_end_says_what_all_processes_did_also_where_a_signal_came() -> None:
    with Board(PLAN, Done(), is_json=True) as board:
        board.told(0, did(0))
        board.told(1, did(1))
        board.told(1, Lost(shard=2))

    assert board.counted(stopped(signal.SIGINT)) == replace(stopped(signal.SIGINT), done=2, lost=1)


def test_what_others_commit_meanwhile_is_seen_now_and_then() -> None:
    looked = threading.Event()

    def done_of(shards: Set[int]) -> Done:
        looked.set()
        return Done(shards=len(shards))

    with Board(PLAN, Done(), is_json=True) as board:
        board.watch(lambda: {7, 8}, done_of, every_s=0.001)
        assert looked.wait(PATIENCE_S)
        board.told(0, took(3))

        assert board.tally.now().shards_done == 2


def test_a_place_that_cannot_be_looked_at_ends_nothing() -> None:
    tried: list[bool] = []
    again = threading.Event()

    def fails() -> Set[int]:
        tried.append(True)
        if len(tried) > 1:
            again.set()
        raise Upstream("no answer")

    with Board(PLAN, Done(), is_json=True) as board:
        board.watch(fails, lambda shards: Done(), every_s=0.001)

        assert again.wait(PATIENCE_S)


def test_files_that_the_plan_does_not_have_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Board(PLAN, Done(), is_json=False) as board:
        for seat in (0, 1):
            board.told(seat, started(new_files=3))

    assert capsys.readouterr().err.count("not in the plan: 3 new files") == 1


def test_files_that_a_sample_leaves_out_are_not_called_new(capsys: pytest.CaptureFixture[str]) -> None:
    with Board(PLAN, Done(), is_json=False, is_sample=True) as board:
        board.told(0, started(new_files=3))
        board.new_files(3)

    assert "new files" not in capsys.readouterr().err
