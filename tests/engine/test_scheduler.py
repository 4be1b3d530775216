"""The one waiting line of a device, with a clock that the test holds."""

import asyncio
import math
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from embedstack.engine.admission import Limits
from embedstack.engine.line import Call, Job, Line
from embedstack.engine.room import RECOVERY_S
from embedstack.engine.scheduler import Counts, Run, Scheduler
from embedstack.errors import DeadlineExceeded, NotReady, Overloaded
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
    loop,
    scheduler: Scheduler,
    *texts: str,
    caller: str = "",
    priority: str = "interactive",
    whole: bool = False,
    deadline: float | None = None,
) -> Call:
    """A request whose texts are as long as they read: "aaa" costs 3."""
    call = Call(loop, loop.create_future(), [None] * len(texts), 0.0)
    call.jobs = [
        Job(Encoding(np.zeros(len(text), np.int32)), text, [(call, place)]) for place, text in enumerate(texts)
    ]
    call.missing = len(texts)
    line = Line("m", call.jobs.copy(), priority, caller, 0.0, is_whole=whole, deadline=deadline, call=call)  # type: ignore[arg-type]
    scheduler.submit(line)
    return call


def taken(scheduler: Scheduler) -> list[str]:
    run = scheduler.take()
    assert run.group == "m"
    return [str(job.key) for job in run.jobs]


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
    jobs = scheduler.take().jobs
    assert {job.key for job in jobs} == {"bbb", "cccc"}
    assert {call for row in scheduler.finish(jobs) for call, _ in row} == {staying}


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


def limited(clock: Clock, **limits: float) -> Scheduler:
    """As in a server. Before its first batch a model is taken for one of about 0.25 ms a token."""
    return Scheduler(100, clock, limits=Limits(**{"max_wait_s": 0.0, **limits}))


def fill(loop, scheduler: Scheduler, caller: str = "", **how) -> int:
    """Requests of ten tokens until one is refused; how many were let in."""
    for number in range(10_000):
        try:
            ask(loop, scheduler, f"{caller[:1] or 'x'}{number:09}", caller=caller, **how)
        except Overloaded:
            return number
    raise AssertionError("nobody was ever refused")


def test_a_refused_request_leaves_no_trace(loop, clock: Clock) -> None:
    scheduler = limited(clock, max_wait_s=0.1)
    fill(loop, scheduler)
    before = (scheduler.counts(), scheduler.waiting_tokens, len(scheduler._lines), len(scheduler._shared))

    with pytest.raises(Overloaded):
        ask(loop, scheduler, "another", "and another")

    after = (scheduler.counts(), scheduler.waiting_tokens, len(scheduler._lines), len(scheduler._shared))
    assert after == (replace(before[0], refused=2), *before[1:])


def test_a_request_alone_is_let_in_however_large(loop, clock: Clock) -> None:
    scheduler = limited(clock, max_wait_s=0.001, max_bulk_wait_s=0.001)

    ask(loop, scheduler, *["x" * 90 + str(n) for n in range(1000)])

    assert scheduler.waiting_tokens > 90_000


def test_a_limit_that_was_set_is_kept_in_seconds(loop, clock: Clock) -> None:
    scheduler = limited(clock, max_wait_s=0.1)

    fill(loop, scheduler)

    assert 300 < scheduler.waiting_tokens < 450


def test_whoever_is_small_is_let_in_beside_someone_large(loop, clock: Clock) -> None:
    scheduler = limited(clock, max_wait_s=0.1)
    large = fill(loop, scheduler, "large")

    small = fill(loop, scheduler, "small")

    assert small == pytest.approx(large / 2, abs=2)


def test_bulk_waits_longer_before_it_is_refused(loop, clock: Clock) -> None:
    scheduler = limited(clock, max_wait_s=0.1, max_bulk_wait_s=1.0)

    assert fill(loop, scheduler, priority="bulk") > 5 * fill(loop, scheduler, "other")


def test_room_is_made_by_batches_and_by_those_who_leave(loop, clock: Clock) -> None:
    scheduler = limited(clock, max_wait_s=0.1)
    leaving = ask(loop, scheduler, "a" * 90)
    fill(loop, scheduler)
    scheduler.leave(leaving)
    ask(loop, scheduler, "b" * 90)
    with pytest.raises(Overloaded):
        ask(loop, scheduler, "c" * 90)

    run = scheduler.take()
    scheduler.finish(run.jobs)
    scheduler.end(run, None)

    ask(loop, scheduler, "c" * 90)


def test_a_batch_that_runs_is_waited_for(loop, clock: Clock) -> None:
    idle, busy = limited(clock, max_wait_s=0.1), limited(clock, max_wait_s=0.1)
    ask(loop, busy, "z" * 100)
    busy.take()

    assert fill(loop, busy) == pytest.approx(fill(loop, idle) - 10, abs=1)


def test_a_deadline_before_ones_turn_is_refused_at_once(loop, clock: Clock) -> None:
    scheduler = limited(clock, max_wait_s=10.0)
    for number in range(100):
        ask(loop, scheduler, f"{number:010}")

    with pytest.raises(DeadlineExceeded):
        ask(loop, scheduler, "too late", deadline=0.01)
    ask(loop, scheduler, "in time", deadline=60.0)


def test_what_is_too_late_is_dropped_before_it_costs_a_run(loop, scheduler: Scheduler, clock: Clock) -> None:
    ask(loop, scheduler, "aa", "bbb", deadline=1.0)
    staying = ask(loop, scheduler, "bbb")
    clock.now = 1.0

    run = scheduler.take()

    assert [job.key for job in run.jobs] == ["bbb"]
    assert scheduler.finish(run.jobs) == [[(staying, 0)]]
    assert (scheduler.waiting_tokens, scheduler.counts().expired) == (0, 1)


def test_pressed_by_short_requests_batches_are_long_and_short_in_turn(loop, clock: Clock) -> None:
    scheduler = limited(clock, max_wait_s=10.0)
    for number in range(100):
        ask(loop, scheduler, f"{number:010}")

    assert [scheduler.take().tokens for _ in range(5)] == [100, 50, 100, 50, 100]


def test_memory_that_ran_out_makes_batches_smaller_for_a_while(loop, scheduler: Scheduler, clock: Clock) -> None:
    ask(loop, scheduler, *[f"{number:010}" for number in range(60)])

    scheduler.ran_out("m", 100)
    first = scheduler.take().tokens
    clock.now = RECOVERY_S * 2
    later = scheduler.take().tokens

    assert (first, later) == (50, 100)
    assert scheduler.counts().out_of_memory == 1


def test_what_ran_is_counted(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, "aaaa", "bb")
    scheduler.take()
    ask(loop, scheduler, "ccc")

    assert scheduler.counts() == Counts(
        waiting_items=1, running_items=2, batches=1, items=2, tokens=6, padded=8, refused=0
    )


def test_batches_teach_how_long_the_next_one_takes(loop, scheduler: Scheduler) -> None:
    for number in range(5):
        ask(loop, scheduler, f"{number:050}")
        run = scheduler.take()
        scheduler.end(run, 2.0)

    assert run.predicted_s == pytest.approx(2.0, rel=0.05)


def test_the_limit_in_tokens_is_what_is_let_in(loop, clock: Clock) -> None:
    scheduler = limited(clock, max_wait_s=0.1)

    fill(loop, scheduler)

    assert scheduler.waiting_tokens == pytest.approx(scheduler.limit_tokens(), abs=10)
    assert Scheduler(100, clock).limit_tokens() == 0


@pytest.mark.parametrize("seed", range(20))
def test_every_request_ends_once_whatever_happens(loop, clock: Clock, seed: int) -> None:
    """Requests of all kinds come, leave, expire and run at random; nothing is lost, told twice or left in the books."""
    draw = random.Random(seed)
    scheduler = limited(clock, max_wait_s=draw.choice([0.0, 0.05, 10.0]), max_bulk_wait_s=draw.choice([0.1, 30.0]))
    deadlines: dict[Call, float] = {}
    left: set[Call] = set()
    running: list[Run] = []

    def come() -> None:
        texts = [draw.choice("abcdefgh") * draw.randint(1, 90) for _ in range(draw.choice([1, 1, 2, 30]))]
        deadline = clock.now + draw.random() if draw.random() < 0.2 else None
        kind = {"caller": draw.choice("AB"), "priority": draw.choice(["interactive", "bulk"])}
        with suppress(Overloaded, DeadlineExceeded):
            call = ask(loop, scheduler, *texts, whole=draw.random() < 0.1, deadline=deadline, **kind)
            deadlines[call] = deadline or math.inf

    def go() -> None:
        call = draw.choice(list(deadlines))
        scheduler.leave(call)
        left.add(call)

    def run() -> None:
        scheduler._expire(clock.now)  # or it would wait for more
        if scheduler._lines:
            running.append(scheduler.take())

    def end() -> None:
        batch = running.pop(draw.randrange(len(running)))
        for listeners in scheduler.finish(batch.jobs):
            for call, place in listeners:
                assert call not in left
                assert call.rows[place] is None
                call.rows[place] = {}
        scheduler.end(batch, draw.random() * 0.1)

    for _ in range(300):
        clock.now += draw.random() * 0.05
        draw.choice([come, come, *[go] * (len(deadlines) > 9), *[run] * (len(running) < 2), *[end] * bool(running)])()
    while running or scheduler.waiting_tokens:
        clock.now += 0.001
        (end if running else run)()

    assert all(None not in call.rows for call, due in deadlines.items() if call not in left and due > clock.now)
    counts = scheduler.counts()
    assert (counts.waiting_items, counts.running_items, scheduler._backlog.total()) == (0, 0, 0)
    books = (scheduler._shared, scheduler._lines, scheduler._present, scheduler._served, scheduler._running)
    assert not any(books)
