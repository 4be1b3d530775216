"""When something shall happen becomes its happening: the machine's clock, and one that a test moves by hand."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol, TypeAlias, TypeVar

Call: TypeAlias = Callable[[], object]
Given = TypeVar("Given")


class Timer:
    """One call in the future, until it is cancelled or made."""

    __slots__ = ("call", "is_cancelled", "when")

    def __init__(self, when: float, call: Call) -> None:
        self.when = when
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        """It will not be called; doing so twice, or after the call, is no error."""
        self.is_cancelled = True


class Clock(Protocol):
    """All that the emulator knows of time: no file beside this one asks the machine."""

    def now(self) -> float:
        """Seconds since 1970; never goes back."""
        ...

    def call_at(self, when: float, call: Call) -> Timer:
        """Call it once `now()` is `when`; in the event loop, never inside this call."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so much time has passed."""
        ...


class _Timers:
    """Timers in order, of which equal ones are called in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    def add(self, timer: Timer) -> None:
        heapq.heappush(self._heap, (timer.when, next(self._count), timer))

    def next_at(self) -> float | None:
        """When the first one is due that was not cancelled."""
        while self._heap and self._heap[0][2].is_cancelled:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire(self, now: float) -> None:
        """Call all that are due."""
        while (when := self.next_at()) is not None and when <= now:
            heapq.heappop(self._heap)[2].call()


class SystemClock:
    """The machine's time; `jump` moves it forward, as a machine that was frozen finds it.

    All of it belongs to one event loop.
    """

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()
        self._timers = _Timers()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0

    def now(self) -> float:
        """Seconds since 1970, by the machine's clock at the start and by its monotonic one since then."""
        return time.monotonic() + self._ahead

    def call_at(self, when: float, call: Call) -> Timer:
        """See `Clock`."""
        timer = Timer(when, call)
        self._timers.add(timer)
        self._arm()
        return timer

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        await _slept(self, seconds)

    def jump(self, seconds: float) -> None:
        """It is so much later, and what is due by then is called soon."""
        self._ahead += seconds
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._arm()

    def _arm(self) -> None:
        when = self._timers.next_at()
        if when is None or (self._alarm is not None and self._alarm_at <= when):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = asyncio.get_running_loop().call_later(max(0.0, when - self.now()), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._timers.fire(self.now())
        self._arm()


class ManualClock:
    """Time that passes when a test says so, in one step to each timer on the way."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._timers = _Timers()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now

    def call_at(self, when: float, call: Call) -> Timer:
        """See `Clock`; one that is due already is called at the next `advance`, also of 0 seconds."""
        timer = Timer(when, call)
        self._timers.add(timer)
        return timer

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        await _slept(self, seconds)

    def advance(self, seconds: float) -> None:
        """So much time passes; each timer on the way is called at its own time, tasks that slept run afterwards."""
        end = self._now + seconds
        while (when := self._timers.next_at()) is not None and when <= end:
            self._now = max(self._now, when)
            self._timers.fire(self._now)
        self._now = end


def settle(future: "asyncio.Future[Given]", value: Given) -> None:
    """Wake who waits for it, unless that has happened already."""
    if not future.done():
        future.set_result(value)


async def _slept(clock: Clock, seconds: float) -> None:
    woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_at(clock.now() + seconds, lambda: settle(woken, None))
    try:
        await woken
    finally:
        timer.cancel()
