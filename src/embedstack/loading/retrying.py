"""A call that failed because a server is away becomes the same call again, after longer and longer pauses."""

import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

from embedstack.databases.database import Points
from embedstack.errors import EmbedstackError, Upstream
from embedstack.loading.source import Source
from embedstack.loading.stopping import Stop

FIRST_S, LONGEST_S = 1.0, 30.0  # a pause; doubled in between
Clock = Callable[[], float]
T = TypeVar("T")


class Retrying:
    """Calls again what may pass by itself. Threads may share one; each has its own patience.

    Args:
        patience_s: from the first failure in a row.
        clock: seconds that never go back.
        pause: waits so many seconds, or shorter where the end is wanted.
        say: takes a line for people.
    """

    def __init__(
        self, patience_s: float, *, clock: Clock, pause: Callable[[float], None], stop: Stop, say: Callable[[str], None]
    ) -> None:
        self._patience_s, self._clock, self._pause, self._stop, self._say = patience_s, clock, pause, stop, say
        self._lock = threading.Lock()
        self._quiet_until_s = float("-inf")

    def __call__(self, work: Callable[[], T]) -> T:
        """What it gives, once it does.

        Raises:
            Upstream: it failed in a way that does not pass, or did so for as long as patience lasts.
        """
        began_s: float | None = None
        tries = 0
        while True:
            try:
                return work()
            except Upstream as error:
                now_s = self._clock()
                began_s = now_s if began_s is None else began_s
                left_s = began_s + self._patience_s - now_s
                if not error.retry or self._stop.is_wanted:
                    raise
                if left_s <= 0:
                    raise self._over(error, tries) from error
                pause_s, tries = min(pause_of(tries), left_s), tries + 1
                self._tell(error, pause_s)
                self._pause(pause_s)
                if self._stop.is_wanted:
                    raise

    def _over(self, error: Upstream, tries: int) -> Upstream:
        if not tries:
            return error
        return Upstream(
            f"{error.message}; tried {tries + 1} times in {self._patience_s:g} s; what was written stays, run the same "
            "command again to go on"
        )

    def _tell(self, error: Upstream, pause_s: float) -> None:
        """Once where several threads meet the same failure."""
        with self._lock:
            now_s = self._clock()
            if now_s < self._quiet_until_s:
                return
            self._quiet_until_s = now_s + pause_s
        self._say(f"{error.message}; trying again in {round(pause_s, 1):g} s")


def pause_of(tries: int) -> float:
    """Seconds after so many pauses before: 1, 2, 4 … 30."""
    return min(FIRST_S * (1 << min(tries, 10)), LONGEST_S)


def rows_of(source: Source, start: int, size: int, retry: Retrying) -> Generator[Points, None, None]:
    """As `Source.batches`, where what cannot be read at the moment is read again from there."""
    at = start
    batches: Iterator[Points] | None = None

    def following() -> Points | None:
        nonlocal batches
        try:
            batches = source.batches(at, size) if batches is None else batches
            return next(batches, None)
        except EmbedstackError:
            batches = None  # one that raised gives nothing more
            raise

    while (points := retry(following)) is not None:
        at += len(points)
        yield points
