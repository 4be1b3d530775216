"""The one waiting line of a device, with a clock that the test holds."""

import asyncio
import math
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from embedstack.engine.admission import Limits
from embedstack.engine.line import Call
from embedstack.engine.room import RECOVERY_S
from embedstack.engine.scheduler import QUIET_S, Counts, Run, Scheduler
from embedstack.errors import DeadlineExceeded, NotReady, Overloaded
from support.lines import Clock, ask, fill, limited, taken


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


def test_a_model_with_fewer_lanes_than_there_are_runs_no_more_batches_at_once(loop, clock: Clock) -> None:
    scheduler = Scheduler(100, clock, lanes=2)
    for number in range(2):
        ask(loop, scheduler, f"{number:090}", group="narrow", lanes=1)
    ask(loop, scheduler, "z" * 90, group="wide", lanes=2)

    first, second = scheduler.take(), scheduler.take()
    scheduler.end(first, 0.1)

    assert [first.group, second.group, scheduler.take().group] == ["narrow", "wide", "narrow"]


def test_a_model_with_one_lane_of_two_lets_in_as_one_alone(loop, clock: Clock) -> None:
    narrow = Scheduler(100, clock, lanes=2, limits=Limits(max_wait_s=0.1))
    alone = Scheduler(100, clock, lanes=1, limits=Limits(max_wait_s=0.1))

    assert fill(loop, narrow, lanes=1) == fill(loop, alone)
    assert narrow.limit_tokens() == alone.limit_tokens()


def test_bulk_fills_its_batches_where_nobody_asked_for_long(loop, scheduler: Scheduler, clock: Clock) -> None:
    def bulk() -> Run:
        ask(loop, scheduler, *[f"{number:010}" for number in range(10)], priority="bulk")
        run = scheduler.take()
        while scheduler.waiting_tokens:
            scheduler.take()
        return run

    scheduler._devices["m"].pace.observe(100, 1000, 0.3)  # an item of ten takes some 30 ms
    alone = bulk()
    ask(loop, scheduler, "query")
    scheduler.take()
    beside = bulk()
    clock.now += QUIET_S + 0.1
    later = bulk()

    assert [len(run.jobs) for run in (alone, beside, later)] == [10, 1, 10]
    assert [run.is_capped for run in (alone, beside, later)] == [False, True, False]


def test_bulk_does_not_pay_a_slow_start_for_every_item(loop, scheduler: Scheduler) -> None:
    for tokens in (1, 100) * 20:
        scheduler._devices["m"].pace.observe(tokens, tokens, 0.1 + tokens * 0.001)
    ask(loop, scheduler, "query")
    scheduler.take()
    ask(loop, scheduler, *[f"{number:010}" for number in range(10)], priority="bulk")

    run = scheduler.take()

    assert len(run.jobs) > 5
    assert not run.is_capped


def test_after_the_stop_nothing_is_taken_and_what_waited_comes_back_once(loop, scheduler: Scheduler) -> None:
    ask(loop, scheduler, "aa", "bbb")
    ask(loop, scheduler, "bbb")

    assert sorted(str(job.key) for job in scheduler.stop()) == ["aa", "bbb"]
    assert scheduler.take() is None
    with pytest.raises(NotReady):
        ask(loop, scheduler, "aa")


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
