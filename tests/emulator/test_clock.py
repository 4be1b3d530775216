"""Time that a test moves, and the machine's."""

import asyncio

import pytest

from embedstack.emulator.clock import ManualClock, SystemClock


def test_timers_are_called_in_the_order_of_their_times_each_at_its_own() -> None:
    clock, calls = ManualClock(start=100.0), []
    for when in (103.0, 101.0, 102.0):
        clock.call_at(when, lambda: calls.append(clock.now()))

    clock.advance(5)

    assert (calls, clock.now()) == ([101.0, 102.0, 103.0], 105.0)


def test_a_timer_that_is_not_due_waits() -> None:
    clock, calls = ManualClock(), []
    clock.call_at(clock.now() + 2, lambda: calls.append("late"))

    clock.advance(1.9)

    assert calls == []


def test_a_cancelled_timer_is_not_called() -> None:
    clock, calls = ManualClock(), []
    clock.call_at(clock.now() + 1, lambda: calls.append("never")).cancel()

    clock.advance(2)

    assert calls == []


def test_a_timer_may_set_another_that_is_due_in_the_same_step() -> None:
    clock, calls = ManualClock(start=0.0), []
    clock.call_at(1.0, lambda: clock.call_at(2.0, lambda: calls.append(clock.now())))

    clock.advance(3)

    assert calls == [2.0]


def test_a_sleeper_wakes_when_its_time_has_come() -> None:
    async def run() -> list[bool]:
        clock = ManualClock()
        sleeping = asyncio.create_task(clock.sleep(10))
        seen = []
        for step in (0, 9.9, 0.2):
            clock.advance(step)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(sleeping.done())
        return seen

    assert asyncio.run(run()) == [False, False, True]


def test_a_sleeper_that_is_cancelled_leaves_no_timer() -> None:
    async def run() -> None:
        clock = ManualClock()
        sleeping = asyncio.create_task(clock.sleep(10))
        await asyncio.sleep(0)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        clock.advance(20)

    asyncio.run(run())


def test_the_machines_clock_calls_soon_what_a_jump_has_made_due() -> None:
    async def run() -> float:
        clock = SystemClock()
        before = clock.now()
        sleeping = asyncio.create_task(clock.sleep(3600))
        await asyncio.sleep(0)
        clock.jump(3600)
        await asyncio.wait_for(sleeping, 20)
        return clock.now() - before

    assert asyncio.run(run()) >= 3600


def test_the_machines_clock_calls_the_earlier_of_two_first() -> None:
    async def run() -> list[str]:
        clock, calls, over = SystemClock(), [], asyncio.Event()
        clock.call_at(clock.now() + 0.02, lambda: calls.append("second"))
        clock.call_at(clock.now() + 0.02, over.set)
        clock.call_at(clock.now() + 0.01, lambda: calls.append("first"))
        await asyncio.wait_for(over.wait(), 20)
        return calls

    assert asyncio.run(run()) == ["first", "second"]
