"""What many want to know at once is found out once; the time is passed in."""

import asyncio

import pytest

from embedstack.client.shared import Shared
from embedstack.errors import Upstream

TTL_S = 60.0


class Finding:
    """Finds out how often it was asked, when it may."""

    def __init__(self, error: Exception | None = None) -> None:
        self.times = 0
        self.may = asyncio.Event()
        self.error = error

    async def __call__(self) -> int:
        self.times += 1
        await self.may.wait()
        if self.error is not None:
            raise self.error
        return self.times


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_many_who_ask_at_once_share_one_finding():
    async def run():
        finding, shared = Finding(), Shared(TTL_S, Time())
        asking = [asyncio.ensure_future(shared.get("a", finding)) for _ in range(20)]
        await asyncio.sleep(0)
        finding.may.set()
        return await asyncio.gather(*asking), finding.times

    assert asyncio.run(run()) == ([1] * 20, 1)


@pytest.mark.parametrize(("later_s", "times"), [(TTL_S - 0.001, 1), (TTL_S, 2)])
def test_a_value_holds_for_its_time(later_s, times):
    async def run():
        finding, time = Finding(), Time()
        finding.may.set()
        shared = Shared(TTL_S, time)
        await shared.get("a", finding)
        time.now = later_s
        return await shared.get("a", finding), shared.is_fresh("a")

    assert asyncio.run(run()) == (times, True)


def test_an_error_is_heard_by_all_and_not_kept():
    async def run():
        finding, shared = Finding(Upstream("broken")), Shared(TTL_S, Time())
        finding.may.set()
        heard = await asyncio.gather(*(shared.get("a", finding) for _ in range(3)), return_exceptions=True)
        finding.error = None
        return [str(error) for error in heard], await shared.get("a", finding)

    assert asyncio.run(run()) == (["broken"] * 3, 2)


def test_a_caller_that_leaves_takes_nothing_along():
    async def run():
        finding, shared = Finding(), Shared(TTL_S, Time())
        leaving, staying = (asyncio.ensure_future(shared.get("a", finding)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        finding.may.set()
        return await staying

    assert asyncio.run(run()) == 1


def test_an_old_value_can_be_had_while_the_new_one_is_found():
    async def run():
        finding, time = Finding(), Time()
        finding.may.set()
        shared = Shared(TTL_S, time)
        await shared.get("a", finding)
        time.now = TTL_S
        beside = shared.begin("a", finding)
        return shared.last("a"), await beside, shared.last("a")

    assert asyncio.run(run()) == (1, 2, 2)


def test_what_is_forgotten_is_found_out_anew():
    async def run():
        finding, shared = Finding(), Shared(TTL_S, Time())
        finding.may.set()
        await shared.get("a", finding)
        shared.forget("a")
        return shared.last("a"), await shared.get("a", finding)

    assert asyncio.run(run()) == (None, 2)


def test_nothing_runs_on_after_the_end():
    async def run():
        shared = Shared(TTL_S, Time())
        shared.begin("a", Finding())
        await shared.end()
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(run()) == []
