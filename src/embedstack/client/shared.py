"""What several callers want to know at once is found out once, and kept for a while."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Found = TypeVar("Found")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Found]):
    value: Found
    until: float


class Shared(Generic[Found]):
    """Values by key. Who asks while one is being found out waits for that; a caller that leaves takes nothing along.

    What is found out is forgotten if it raises: each caller hears the error, and the next one tries again.

    Args:
        keep_s: how long a value holds, or a function that says it of a value.
        clock: seconds that never go back.
    """

    def __init__(self, keep_s: float | Callable[[Found], float], clock: Clock) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._kept: dict[Hashable, _Kept[Found]] = {}
        self._running: dict[Hashable, asyncio.Future[Found]] = {}

    def last(self, key: Hashable) -> Found | None:
        """What was found out last, however long ago."""
        kept = self._kept.get(key)
        return kept.value if kept is not None else None

    def is_fresh(self, key: Hashable) -> bool:
        """Whether that still holds."""
        kept = self._kept.get(key)
        return kept is not None and self._clock() < kept.until

    def keep(self, key: Hashable, value: Found) -> None:
        """It was found out in another way."""
        keep_s = self._keep_s(value) if callable(self._keep_s) else self._keep_s
        self._kept[key] = _Kept(value, self._clock() + keep_s)

    def forget(self, key: Hashable) -> None:
        """It may have changed."""
        self._kept.pop(key, None)

    async def get(self, key: Hashable, find_out: Callable[[], Awaitable[Found]]) -> Found:
        """The value, found out if it does not hold any more."""
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.until:
            return kept.value
        return await asyncio.shield(self.begin(key, find_out))

    def begin(self, key: Hashable, find_out: Callable[[], Awaitable[Found]]) -> "asyncio.Future[Found]":
        """Find it out now, without waiting for it; what is under way is not begun again."""
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(self._found(key, find_out))
            self._running[key] = running
            running.add_done_callback(lambda done: self._ended(key, done))
        return running

    async def end(self) -> None:
        """Give up what is under way."""
        running = list(self._running.values())
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _found(self, key: Hashable, find_out: Callable[[], Awaitable[Found]]) -> Found:
        value = await find_out()
        self.keep(key, value)
        return value

    def _ended(self, key: Hashable, done: "asyncio.Future[Found]") -> None:
        if self._running.get(key) is done:
            del self._running[key]
        if not done.cancelled():
            done.exception()  # callers hear it; where all have left, nobody is to be warned
