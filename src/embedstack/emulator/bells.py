"""Names of things that may happen in, those who wait for one of them woken: what long polls hang on."""

import asyncio
from collections.abc import Hashable

from embedstack.emulator.clock import Clock, settle


class Bells:
    """Who waits for what. After `close` nobody waits any more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[Hashable, set[asyncio.Future[bool]]] = {}
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def ring(self, name: Hashable) -> None:
        """It happened: all who wait for it go on."""
        for future in self._waiting.get(name, ()):
            settle(future, True)

    async def heard(self, *names: Hashable, until: float) -> bool:
        """True once one of them happens; False when the clock says `until`, or when all is closed."""
        if self.is_closed or self._clock.now() >= until:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at(until, lambda: settle(future, False))
        for name in names:
            self._waiting.setdefault(name, set()).add(future)
        try:
            return await future
        finally:
            timer.cancel()
            for name in names:
                self._waiting[name].discard(future)
                if not self._waiting[name]:
                    del self._waiting[name]

    def close(self) -> None:
        """Let everybody go."""
        self.is_closed = True
        for futures in self._waiting.values():
            for future in futures:
                settle(future, False)
