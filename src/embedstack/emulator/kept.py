"""Jobs that have ended, by age and size: which must be forgotten so that the others fit."""

from collections import OrderedDict

from embedstack.emulator.job import Job

JOB_BYTES = 1750  # measured: what the smallest job takes beside its data, with its places in the book


class Kept:
    """The sizes of ended jobs.

    Args:
        most_bytes: of all of them; the one that ended last stays in any case.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0

    def add(self, job: Job) -> None:
        """It has ended now."""
        self._sizes[job.id] = JOB_BYTES + job.size_bytes
        self._bytes += self._sizes[job.id]

    def remove(self, job: Job) -> None:
        """It is forgotten, or runs again; one that is not here is no error."""
        self._bytes -= self._sizes.pop(job.id, 0)

    def too_many(self) -> str | None:
        """The oldest one's id, if all together are over the limit."""
        if self._bytes <= self._most_bytes or len(self._sizes) < 2:
            return None
        return next(iter(self._sizes))
