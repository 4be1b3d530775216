"""Batches in order are written by several threads, and it is known how many rows from the beginning are there."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from embedstack.databases.database import PointId, Points
from embedstack.loading.stopping import Stop

AHEAD = 2  # batches for each thread that wait to be written
LOOK_S = 0.2  # between two looks at whether the end is wanted
GRACE_S = 8.0  # for what is in flight where somebody wants the end; the mark is written after it
LONGEST_S = 120.0  # the same after a failure: calls of databases end by themselves before


@dataclass(frozen=True, slots=True)
class _Batch:
    number: int
    points: Points


class Streams:
    """Threads that write while it is entered. One thread gives them batches.

    Of two batches with an id in common the later one is written once the earlier is there: the last one counts.

    Args:
        write: called by several threads at once.
        count: threads.
        stop: told when something fails, so that nobody waits for what will not be needed.
        done: rows that are there before.
    """

    def __init__(self, write: Callable[[Points], None], count: int, stop: Stop, *, done: int = 0) -> None:
        self.done = done  # rows from the beginning that are there, without a gap
        self._write, self._stop, self._room = write, stop, AHEAD * count
        self._changed = threading.Condition()
        self._waiting: deque[_Batch] = deque()
        self._in_hand: set[PointId] = set()  # ids of batches that wait or are being written
        self._ended: dict[int, int] = {}  # number -> rows, of batches behind the first one that is not written
        self._given = self._first = self._open = 0  # batches: given, written without a gap, not yet written
        self._error: BaseException | None = None
        self._is_over = False
        self._threads = [
            threading.Thread(target=self._work, name=f"embedstack-load-{number}", daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> "Streams":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is being written is waited for, what only waits is dropped."""
        if kind is not None:
            self._stop.give_up()
        with self._changed:
            self._is_over = True
            self._waiting.clear()
            self._changed.notify_all()
        until_s = time.monotonic() + (GRACE_S if self._stop.number else LONGEST_S)
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def put(self, points: Points) -> None:
        """Take a batch, once there is room for it.

        Raises:
            What a thread met. Stopped: somebody wants the end.
        """
        with self._changed:
            self._wait_for(lambda: len(self._waiting) < self._room and self._in_hand.isdisjoint(points.ids))
            self._waiting.append(_Batch(self._given, points))
            self._in_hand.update(points.ids)
            self._given, self._open = self._given + 1, self._open + 1
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait until all is written. Raises: as `put`."""
        with self._changed:
            self._wait_for(lambda: not self._open)

    def _wait_for(self, is_so: Callable[[], bool]) -> None:
        while True:
            if self._error is not None:
                raise self._error
            self._stop.check()
            if is_so():
                return
            self._changed.wait(LOOK_S)  # not for ever: a signal need not wake who waits

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._write(batch.points)
            except BaseException as error:  # raised again by `put` or `finish`
                self._failed(error)
                return
            self._written(batch)

    def _next(self) -> _Batch | None:
        with self._changed:
            while not (self._waiting or self._is_over or self._error):
                self._changed.wait()
            if self._is_over or self._error or self._stop.is_wanted:
                return None
            batch = self._waiting.popleft()
            self._changed.notify_all()
            return batch

    def _written(self, batch: _Batch) -> None:
        with self._changed:
            self._ended[batch.number] = len(batch.points)
            while self._first in self._ended:
                self.done += self._ended.pop(self._first)
                self._first += 1
            self._open -= 1
            self._in_hand.difference_update(batch.points.ids)
            self._changed.notify_all()

    def _failed(self, error: BaseException) -> None:
        self._stop.give_up()
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()
