"""The one waiting line of a device, with a clock that the test holds."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from embedstack.engine.scheduler import Call, Job, Line, Scheduler
from embedstack.errors import NotReady
from embedstack.types import Encoding


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scheduler(clock: Clock) -> Scheduler:
    return Scheduler(100, clock)


def ask(
    loop, scheduler: Scheduler, *texts: str, caller: str = "", priority: str = "interactive", whole: bool = False
) -> Call:
    """A request whose texts are as long as they read: "aaa" costs 3."""
    call = Call(loop, loop.create_future(), [None] * len(texts), 0.0)
    call.jobs = [
        Job(Encoding(np.zeros(len(text), np.int32)), text, [(call, place)]) for place, text in enumerate(texts)
    ]
    call.missing = len(texts)
    scheduler.submit(Line("m", call.jobs.copy(), priority, caller, 0.0, is_whole=whole))  # type: ignore[arg-type]
    return call


def taken(scheduler: Scheduler) -> list[str]:
    group, jobs = scheduler.take()
    assert group == "m"
    return [str(job.key) for job in jobs]


def test_equal_texts_of_several_callers_are_taken_once_and_told_to_all(loop, scheduler: Scheduler) -> None:
    first, second = ask(loop, scheduler, "aa"), ask(loop, scheduler, "aa", caller="other")

    _, jobs = scheduler.take()

    assert [len(jobs), scheduler.waiting_tokens] == [1, 0]
    assert scheduler.finish(jobs) == [[(first, 0), (second, 0)]]


def test_a_text_that_is_running_is_waited_for(loop, scheduler: Scheduler) -> None:
    first = ask(loop, scheduler, "aa")
    _, running = scheduler.take()
    second = ask(loop, scheduler, "aa")

    assert scheduler.waiting_tokens == 0
    assert scheduler.finish(running) == [[(first, 0), (second, 0)]]


def test_a_text_that_is_done_is_computed_again(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, "aa")
    scheduler.finish(scheduler.take()[1])
    ask(loop, scheduler, "aa")

    assert taken(scheduler) == ["aa"]


def test_an_equal_text_at_the_end_of_a_long_request_is_not_waited_for(loop, scheduler: Scheduler) -> None:
    """It waits in both lines, and the first to be served takes it."""
    long = ask(loop, scheduler, *["x" * 90 + str(n) for n in range(9)], "aa", caller="greedy")
    scheduler.finish(scheduler.take()[1])
    short = ask(loop, scheduler, "aa", caller="modest")

    _, jobs = scheduler.take()
    seen = [str(job.key) for job in jobs]
    told = scheduler.finish(jobs)
    while scheduler.waiting_tokens:
        seen += taken(scheduler)

    assert "aa" in [str(job.key) for job in jobs]
    assert [(long, 9), (short, 0)] in told
    assert sorted(seen) == sorted(["aa", *("x" * 90 + str(n) for n in range(1, 9))])


def test_a_text_twice_in_one_request_while_it_waits_elsewhere_is_taken_once(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, "aa")
    twice = ask(loop, scheduler, "aa", "aa")

    _, jobs = scheduler.take()

    assert len(jobs) == 1
    assert [place for call, place in scheduler.finish(jobs)[0] if call is twice] == [0, 1]


def test_bulk_does_not_share_with_others_but_with_itself(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, "aa")
    ask(loop, scheduler, "aa", "aa", priority="bulk")

    assert taken(scheduler) == ["aa", "aa"]


def test_a_whole_request_shares_nothing(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, "aa", "aa", whole=True)
    ask(loop, scheduler, "aa")

    assert taken(scheduler) == ["aa", "aa"]
    assert taken(scheduler) == ["aa"]


def test_a_caller_pays_for_what_it_was_served(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, *["x" * 60 + str(n) for n in range(5)], caller="greedy")
    ask(loop, scheduler, *["y" * 60 + str(n) for n in range(5)], caller="modest")

    assert [taken(scheduler)[0][0] for _ in range(6)] == ["x", "y", "x", "y", "x", "y"]


def test_a_caller_that_was_away_does_not_come_back_with_credit(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, *["x" * 60 + str(n) for n in range(9)], caller="first")
    for _ in range(4):
        scheduler.take()
    ask(loop, scheduler, *["y" * 60 + str(n) for n in range(5)], caller="late")

    assert [taken(scheduler)[0][0] for _ in range(6)].count("y") <= 4


def test_who_leaves_takes_only_what_nobody_else_wants(loop, scheduler: Scheduler) -> None:
    leaving = ask(loop, scheduler, "aa", "bbb")
    staying = ask(loop, scheduler, "bbb", "cccc")

    scheduler.leave(leaving)

    assert scheduler.waiting_tokens == 7
    _, jobs = scheduler.take()
    assert {job.key for job in jobs} == {"bbb", "cccc"}
    assert {call for row in scheduler.finish(jobs) for call, _ in row} == {staying}


def test_a_text_that_was_left_can_be_asked_for_again(loop, scheduler: Scheduler) -> None:
    scheduler.leave(ask(loop, scheduler, "aa"))
    call = ask(loop, scheduler, "aa")

    _, jobs = scheduler.take()

    assert scheduler.finish(jobs) == [[(call, 0)]]


def test_leaving_a_long_line_does_not_read_the_others(loop, scheduler: Scheduler) -> None:
    """Ten thousand callers whose deadline passes together must not stop the loop: each touches its own line alone."""
    calls = [ask(loop, scheduler, f"text {n}", caller=f"c{n}") for n in range(10_000)]
    read = []
    for line in list(scheduler._lines)[1:]:
        line.jobs = Watched(line.jobs, read)

    scheduler.leave(calls[0])

    assert read == []


class Watched(list):
    def __init__(self, items: list[Job], read: list[int]) -> None:
        super().__init__(items)
        self.read = read

    def __iter__(self):
        self.read.append(1)
        return super().__iter__()


def test_after_the_stop_nothing_is_taken_and_what_waited_comes_back_once(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, "aa", "bbb")
    ask(loop, scheduler, "bbb")

    assert sorted(str(job.key) for job in scheduler.stop()) == ["aa", "bbb"]
    assert scheduler.take() is None
    with pytest.raises(NotReady):
        ask(loop, scheduler, "aa")
