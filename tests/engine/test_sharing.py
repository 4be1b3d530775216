"""Equal texts of several requests are computed once; who leaves or is late stands in no line."""

import asyncio
from collections.abc import Iterator

import pytest

from embedstack.engine.line import Job
from embedstack.engine.scheduler import Scheduler
from support.lines import Clock, ask, taken


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


def test_equal_texts_of_several_callers_are_taken_once_and_told_to_all(loop, scheduler: Scheduler) -> None:
    first, second = ask(loop, scheduler, "aa"), ask(loop, scheduler, "aa", caller="other")

    jobs = scheduler.take().jobs

    assert [len(jobs), scheduler.waiting_tokens] == [1, 0]
    assert scheduler.finish(jobs) == [[(first, 0), (second, 0)]]


def test_a_text_that_is_running_is_waited_for(loop, scheduler: Scheduler) -> None:
    first = ask(loop, scheduler, "aa")
    running = scheduler.take().jobs
    second = ask(loop, scheduler, "aa")

    assert scheduler.waiting_tokens == 0
    assert scheduler.finish(running) == [[(first, 0), (second, 0)]]


def test_a_text_that_is_done_is_computed_again(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, "aa")
    scheduler.finish(scheduler.take().jobs)
    ask(loop, scheduler, "aa")

    assert taken(scheduler) == ["aa"]


def test_an_equal_text_at_the_end_of_a_long_request_is_not_waited_for(loop, scheduler: Scheduler) -> None:
    """It waits in both lines, and the first to be served takes it."""
    long = ask(loop, scheduler, *["x" * 90 + str(n) for n in range(9)], "aa", caller="greedy")
    scheduler.finish(scheduler.take().jobs)
    short = ask(loop, scheduler, "aa", caller="modest")

    jobs = scheduler.take().jobs
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

    jobs = scheduler.take().jobs

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


def test_two_models_share_no_text(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, "aa", group="a")
    ask(loop, scheduler, "aa", group="b")

    assert [scheduler.take().group for _ in range(2)] == ["a", "b"]


def test_who_leaves_takes_only_what_nobody_else_wants(loop, scheduler: Scheduler) -> None:
    leaving = ask(loop, scheduler, "aa", "bbb")
    staying = ask(loop, scheduler, "bbb", "cccc")

    scheduler.leave(leaving)

    assert scheduler.waiting_tokens == 7
    jobs = scheduler.take().jobs
    assert {job.key for job in jobs} == {"bbb", "cccc"}
    assert {call for row in scheduler.finish(jobs) for call, _ in row} == {staying}


def test_who_leaves_stands_in_line_no_more_though_another_wants_its_text(loop, scheduler: Scheduler) -> None:
    leaving = ask(loop, scheduler, "aa", caller="first")
    ask(loop, scheduler, "bb", caller="second")
    ask(loop, scheduler, "aa", caller="third")

    scheduler.leave(leaving)

    assert [line.caller for line in scheduler._lines] == ["second", "third"]


def test_what_expires_stands_in_line_no_more_though_another_wants_its_text(
    loop, scheduler: Scheduler, clock: Clock
) -> None:
    ask(loop, scheduler, "aa", deadline=1.0)
    staying = ask(loop, scheduler, "aa")
    clock.now = 1.0

    scheduler._expire(clock.now)

    assert [line.call for line in scheduler._lines] == [staying]


def test_a_text_that_was_left_can_be_asked_for_again(loop, scheduler: Scheduler) -> None:
    scheduler.leave(ask(loop, scheduler, "aa"))
    call = ask(loop, scheduler, "aa")

    jobs = scheduler.take().jobs

    assert scheduler.finish(jobs) == [[(call, 0)]]


def test_leaving_a_long_line_does_not_read_the_others(loop, scheduler: Scheduler) -> None:
    """Ten thousand callers whose deadline passes together must not stop the loop: each touches its own line alone."""
    calls = [ask(loop, scheduler, f"text {n}", caller=f"c{n}") for n in range(10_000)]
    read = []
    for line in list(scheduler._lines)[1:]:
        line.jobs = Watched(line.jobs, read)

    scheduler.leave(calls[0])

    assert read == []


def test_a_batch_that_others_wait_for_too_reads_each_line_once(loop, scheduler: Scheduler) -> None:
    """A thousand texts that a second caller wants as well must not cost a million steps under the lock."""
    texts = [chr(0x100 + number) for number in range(100)]
    ask(loop, scheduler, *texts, caller="first")
    ask(loop, scheduler, *texts, "another", caller="second")
    second = list(scheduler._lines)[1]
    read: list[int] = []
    second.jobs = Watched(second.jobs, read)

    scheduler.take()

    assert len(read) <= 2


class Watched(list):
    def __init__(self, items: list[Job], read: list[int]) -> None:
        super().__init__(items)
        self.read = read

    def __iter__(self):
        self.read.append(1)
        return super().__iter__()
