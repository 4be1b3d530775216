"""Deadlines of jobs in, those that have passed out, in order; a deadline that was moved is asked for when it comes."""

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Literal

from embedstack.emulator.job import Job

Kind = Literal["ttl", "timeout", "lease", "keep"]
SPARE = 1000  # entries of jobs that are gone, before they are looked for


class Alarms:
    """A heap of the earliest time at which each deadline of each job can be due.

    Args:
        due_at: when a job's deadline really is; None if it has none now.
    """

    def __init__(self, due_at: Callable[[Job, Kind], float | None]) -> None:
        self._due_at = due_at
        self._heap: list[tuple[float, int, Job, Kind]] = []
        self._count = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, job: Job, kind: Kind) -> None:
        """The job has this deadline now."""
        when = self._due_at(job, kind)
        if when is not None:
            heapq.heappush(self._heap, (when, next(self._count), job, kind))

    def next_at(self) -> float | None:
        """No deadline is earlier."""
        return self._heap[0][0] if self._heap else None

    def passed(self, now: float) -> Iterator[tuple[Job, Kind]]:
        """Each deadline that is due, once; the caller may set others meanwhile."""
        while self._heap and self._heap[0][0] <= now:
            _, _, job, kind = heapq.heappop(self._heap)
            when = self._due_at(job, kind)
            if when is not None and when <= now:
                yield job, kind
            elif when is not None:
                self.set(job, kind)

    def forget(self, jobs: int) -> None:
        """Drop what has no deadline any more, if it is more than the jobs that there are explain."""
        if len(self._heap) > 4 * jobs + SPARE:
            self._heap = [entry for entry in self._heap if self._due_at(entry[2], entry[3]) is not None]
            heapq.heapify(self._heap)
