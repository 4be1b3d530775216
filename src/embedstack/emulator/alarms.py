"""Deadlines of jobs in, those that have passed out, in order; a deadline that was moved is asked for when it comes."""

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Literal

Kind = Literal["ttl", "timeout", "lease", "keep"]
SPARE = 1000  # entries that mean nothing any more, before they are looked for


class Alarms:
    """A heap of the earliest time at which each deadline of each job can be due; it holds ids, so no job lives by it.

    Args:
        due_at: when the deadline of the job of this id really is; None if it has none now.
    """

    def __init__(self, due_at: Callable[[str, Kind], float | None]) -> None:
        self._due_at = due_at
        self._heap: list[tuple[float, int, str, Kind]] = []
        self._set: dict[tuple[str, Kind], float] = {}  # the one entry of each that counts
        self._count = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, job_id: str, kind: Kind) -> None:
        """The job has this deadline now; where an earlier one is set already, it is looked at then."""
        when = self._due_at(job_id, kind)
        if when is not None and when < self._set.get((job_id, kind), math.inf):
            self._set[job_id, kind] = when
            heapq.heappush(self._heap, (when, next(self._count), job_id, kind))

    def next_at(self) -> float | None:
        """No deadline is earlier."""
        return self._heap[0][0] if self._heap else None

    def passed(self, now: float) -> Iterator[tuple[str, Kind]]:
        """Each deadline that is due, once; the caller may set others meanwhile."""
        while self._heap and self._heap[0][0] <= now:
            at, _, job_id, kind = heapq.heappop(self._heap)
            if self._set.get((job_id, kind)) != at:
                continue
            del self._set[job_id, kind]
            when = self._due_at(job_id, kind)
            if when is not None and when <= now:
                yield job_id, kind
            elif when is not None:
                self.set(job_id, kind)

    def forget(self, jobs: int) -> None:
        """Drop what means nothing any more, if there is more than the jobs that there are explain."""
        if len(self._heap) > 4 * jobs + SPARE:
            self._heap = [entry for entry in self._heap if self._counts(*entry)]
            heapq.heapify(self._heap)
            self._set = {(job_id, kind): at for at, _, job_id, kind in self._heap}

    def _counts(self, at: float, place: int, job_id: str, kind: Kind) -> bool:
        return self._set.get((job_id, kind)) == at and self._due_at(job_id, kind) is not None
