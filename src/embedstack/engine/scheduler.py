"""The one waiting line of a device: who waits, who left, what runs next."""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from threading import Condition

from embedstack.engine.packing import Waiting, choose, whole
from embedstack.errors import NotReady
from embedstack.types import Encoding, Priority, Vectors


@dataclass(slots=True, eq=False)
class Call:
    """One request in flight, seen from its event loop."""

    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[None]"
    rows: list[Vectors | None]
    arrived: float
    started: float = 0.0
    missing: int = 0

    def receive(self, place: int, rows: Vectors, started: float) -> None:
        """Runs on the loop: one item is there."""
        self.rows[place] = rows
        self.missing -= 1
        self.started = min(self.started or started, started)
        if not self.missing and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """Runs on the loop: one item could not be computed."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True, eq=False)
class Job:
    """One item to compute, once, for everyone who waits for it."""

    encoding: Encoding
    key: Hashable
    listeners: list[tuple[Call, int]]


@dataclass(slots=True, eq=False)
class Line:
    """The items of one request that no batch has taken yet, longest first."""

    group: Hashable
    jobs: list[Job]
    priority: Priority
    caller: str
    arrived: float
    is_whole: bool = False
    lengths: list[int] = field(default_factory=list)
    planned: list[int] = field(default_factory=list)  # sizes of the batches of a whole request

    def arrange(self, budget: int) -> None:
        """Longest first, and for a whole request the batches too."""
        if self.is_whole:
            batches = whole([job.encoding.cost for job in self.jobs], budget)
            self.jobs = [self.jobs[place] for batch in batches for place in batch]
            self.planned = [len(batch) for batch in batches]
        else:
            self.jobs.sort(key=lambda job: -job.encoding.cost)
        self.lengths = [job.encoding.cost for job in self.jobs]

    def pull(self, count: int) -> list[Job]:
        """Take items from the front."""
        pulled, self.jobs = self.jobs[:count], self.jobs[count:]
        self.lengths, self.planned = self.lengths[count:], self.planned[1:]
        return pulled

    def drop_unwanted(self) -> list[Job]:
        """Remove the items that nobody waits for any more, and say which."""
        gone = [job for job in self.jobs if not job.listeners]
        if gone:
            self.jobs = [job for job in self.jobs if job.listeners]
            self.lengths, self.planned = [job.encoding.cost for job in self.jobs], []
        return gone

    def seen(self) -> Waiting:
        """What packing reads of it."""
        planned = self.planned[0] if self.planned else 0
        return Waiting(self.group, self.lengths, self.priority, self.caller, self.arrived, planned)


class Scheduler:
    """Shared by all models of a device and by its lanes. Every method is safe from any thread.

    Args:
        budget: tokens of one batch.
        clock: seconds; given by tests.
    """

    def __init__(self, budget: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget, self._clock = budget, clock
        self._changed = Condition()
        self._lines: list[Line] = []
        self._shared: dict[Hashable, Job] = {}  # interactive items in flight, for identical texts
        self._served: dict[str, float] = {}
        self._is_open = True

    def submit(self, line: Line) -> None:
        """Put a request in the line; items that are in flight already are waited for instead.

        Raises:
            NotReady: the engine is stopping.
        """
        with self._changed:
            if not self._is_open:
                raise NotReady("the engine is stopping; send the request to another replica")
            if not line.is_whole:
                known = self._shared if line.priority == "interactive" else {}
                line.jobs = [job for job in line.jobs if not _join(known, job)]
            line.arrange(self._budget)
            if line.jobs:
                self._served.setdefault(line.caller, min(self._served.values(), default=0.0))
                self._lines.append(line)
                self._changed.notify()

    def leave(self, call: Call) -> None:
        """The caller hung up: drop what nobody else waits for, before it costs a token."""
        with self._changed:
            for line in self._lines:
                for job in line.jobs:
                    job.listeners = [(who, place) for who, place in job.listeners if who is not call]
                self._forget_shared(line.drop_unwanted())
            self._forget_empty()

    def take(self) -> tuple[Hashable, list[Job]] | None:
        """The next batch, as soon as there is one; None when the engine stops."""
        with self._changed:
            while not self._lines:
                if not self._is_open:
                    return None
                self._changed.wait()
            batch: list[Job] = []
            chosen = choose([line.seen() for line in self._lines], self._served, self._clock(), self._budget)
            group = self._lines[chosen[0][0]].group
            for place, count in chosen:
                line = self._lines[place]
                self._served[line.caller] += sum(line.lengths[:count])
                batch += line.pull(count)
            self._forget_empty()
            if self._lines:
                self._changed.notify()
            return group, batch

    def finish(self, jobs: Sequence[Job]) -> list[list[tuple[Call, int]]]:
        """The batch is computed: nobody can join its items any more; who waits for each."""
        with self._changed:
            self._forget_shared(jobs)
            return [list(job.listeners) for job in jobs]

    def stop(self) -> list[Job]:
        """Take no more requests; what was still waiting is given back."""
        with self._changed:
            self._is_open = False
            left = [job for line in self._lines for job in line.jobs]
            self._lines.clear()
            self._changed.notify_all()
            return left

    @property
    def waiting_tokens(self) -> int:
        """Tokens that no batch has taken yet."""
        with self._changed:
            return sum(job.encoding.cost for line in self._lines for job in line.jobs)

    def _forget_shared(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if self._shared.get(job.key) is job:
                del self._shared[job.key]

    def _forget_empty(self) -> None:
        self._lines = [line for line in self._lines if line.jobs]
        callers = {line.caller for line in self._lines}
        self._served = {caller: tokens for caller, tokens in self._served.items() if caller in callers}


def _join(known: dict[Hashable, Job], job: Job) -> bool:
    """Whether an equal item is on its way, which is then waited for.

    Interactive requests share theirs; a bulk request only has its own, since waiting for another's may take long.
    """
    if job.key in known:
        known[job.key].listeners += job.listeners
        return True
    known[job.key] = job
    return False
