"""A call to a model or a database that is away for a while -> the same call again, so that no work is lost."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from embedstack.errors import EmbedstackError

PATIENCE_S = 60.0  # from the first failure in a row: a server that restarts is back by then
FIRST_S, LONGEST_S = 1.0, 16.0  # a pause; doubled in between
T = TypeVar("T")


class Again:
    """Of one model or database. One that never answered is not waited for: its address may be wrong.

    Args:
        pause: waits so many seconds.
        clock: seconds, rising.
    """

    def __init__(
        self, pause: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pause, self._clock = pause, clock
        self._has_answered = False
        self._times = 0

    def __call__(self, work: Callable[[], T]) -> T:
        """What it gives, once it does.

        Raises:
            EmbedstackError: it failed in a way that does not pass, or did so for as long as patience lasts.
        """
        began_s: float | None = None
        pause_s = FIRST_S
        while True:
            try:
                made = work()
            except EmbedstackError as error:
                now_s = self._clock()
                began_s = now_s if began_s is None else began_s
                if not error.retry or not self._has_answered or now_s - began_s >= PATIENCE_S:
                    raise
                self._times += 1
                self._pause(pause_s)
                pause_s = min(2 * pause_s, LONGEST_S)
            else:
                self._has_answered = True
                return made

    def noted(self, place: str) -> Iterator[str]:
        """What a reader of the figures must know.

        Args:
            place: who was called, for people.
        """
        if self._times:
            yield f"{place} was away for a while and was asked again {self._times} times; the times hold the pauses"
