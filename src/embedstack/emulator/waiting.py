"""Jobs that wait for a worker, in the order in which they are handed out."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from embedstack.emulator.job import Job


class Waiting:
    """First come, first served; those of low priority after all others, and doubled ones before.

    Args:
        is_running: whether a job still runs: one that was doubled and has ended is not handed out again.
    """

    def __init__(self, is_running: Callable[[Job], bool]) -> None:
        self._is_running = is_running
        self._urgent: OrderedDict[str, Job] = OrderedDict()
        self._low: OrderedDict[str, Job] = OrderedDict()
        self._doubled: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._low)

    @property
    def urgent(self) -> int:
        """How many are not of low priority."""
        return len(self._urgent)

    @property
    def oldest(self) -> Job | None:
        """The first of those."""
        return next(iter(self._urgent.values()), None)

    def all(self) -> list[Job]:
        """Each that waits, in order."""
        return [*self._urgent.values(), *self._low.values()]

    def add(self, job: Job, *, is_first: bool = False) -> None:
        """At the end of its line, or at the front."""
        line = self._low if job.asked.is_low_priority else self._urgent
        line[job.id] = job
        if is_first:
            line.move_to_end(job.id, last=False)

    def remove(self, job: Job) -> None:
        """It waits no more; one that does not wait is no error."""
        self._urgent.pop(job.id, None)
        self._low.pop(job.id, None)

    def double(self, jobs: Iterable[Job]) -> None:
        """Hand these out once more, though they run."""
        self._doubled.extend(jobs)

    def has_next(self) -> bool:
        """Whether `next` would give one."""
        while self._doubled and not self._is_running(self._doubled[0]):
            self._doubled.popleft()
        return bool(self._doubled or self._urgent or self._low)

    def next(self) -> Job | None:
        """Take the first one out."""
        if not self.has_next():
            return None
        if self._doubled:
            return self._doubled.popleft()
        return (self._urgent or self._low).popitem(last=False)[1]
