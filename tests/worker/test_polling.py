"""Calls for jobs: they pause where they would spin, and what began to arrive is waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from embedstack.worker.polling import FIRST_PAUSE_S, LONGEST_PAUSE_S, Polling, unless

pytestmark = pytest.mark.anyio
JOBS = [{"id": "a"}]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Noting(Polling):
    """It notes its pauses, and does not wait."""

    def __init__(self, *answers: object, clock: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(self._next, asyncio.Event(), clock=clock)
        self.pauses: list[float] = []
        self._answers = iter(answers)

    async def _next(self, session: object) -> object:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pause(self, pause_s: float) -> None:
        self.pauses.append(pause_s)


async def test_errors_are_raised_after_pauses_that_grow_until_an_answer_comes() -> None:
    polling = Noting(*[OSError("nobody")] * 8, JOBS, OSError("nobody"))
    for _ in range(8):
        with pytest.raises(OSError, match="nobody"):
            await polling(None)
    assert await polling(None) == JOBS
    with pytest.raises(OSError, match="nobody"):
        await polling(None)

    assert polling.pauses == [0.5, 1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, FIRST_PAUSE_S]


async def test_after_an_error_that_came_late_the_pause_still_ends_before_the_sdk_gives_the_call_up() -> None:
    times = iter([0.0, 0.0, 0.0, 75.0])
    polling = Noting(OSError("a"), OSError("b"), clock=lambda: next(times))
    polling._pause_s = LONGEST_PAUSE_S
    for _ in range(2):
        with pytest.raises(OSError):
            await polling(None)

    assert polling.pauses == [LONGEST_PAUSE_S, 5.0]


@pytest.mark.parametrize(("answer", "took_s", "pauses"), [(None, 0.01, 1), ([], 0.01, 1), (None, 20, 0), (JOBS, 0, 0)])
async def test_only_an_empty_answer_that_came_at_once_is_followed_by_a_pause(
    answer: object, took_s: float, pauses: int
) -> None:
    times = iter([0.0, took_s])
    polling = Noting(answer, clock=lambda: next(times))
    await polling(None)

    assert polling.pauses == [FIRST_PAUSE_S] * pauses


async def test_a_pause_ends_with_the_worker() -> None:
    told = asyncio.Event()
    pausing = asyncio.ensure_future(Polling(None, told).pause(600))
    await asyncio.sleep(0)
    told.set()

    await asyncio.wait_for(pausing, 30)


class Session:
    """Of aiohttp, as far as it is used; an answer begins at once or never, and its body comes when it is let."""

    def __init__(self, *, begins: bool) -> None:
        self.body = asyncio.Event()
        self.left = asyncio.Event()
        self._begins = begins

    @asynccontextmanager
    async def get(self, url: str) -> AsyncIterator["Session"]:
        try:
            if not self._begins:
                await asyncio.Event().wait()
            yield self
        finally:
            self.left.set()


async def fetched(session: Session) -> object:
    async with session.get("url") as answer:
        await answer.body.wait()
        return JOBS


async def test_a_job_that_is_being_received_when_the_worker_is_told_to_end_is_received() -> None:
    told, session = asyncio.Event(), Session(begins=True)
    told.set()
    polling = asyncio.ensure_future(unless(told, fetched, session))
    done, _ = await asyncio.wait({polling}, timeout=0.5)  # longer than one that has not begun is waited for
    session.body.set()

    assert (done, await polling) == (set(), JOBS)


async def test_a_call_without_an_answer_is_left_when_the_worker_is_told_to_end() -> None:
    told, session = asyncio.Event(), Session(begins=False)
    told.set()

    assert await unless(told, fetched, session) == []
    assert session.left.is_set()
