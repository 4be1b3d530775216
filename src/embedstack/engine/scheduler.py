"""The one waiting line of a device: who waits, who left, what runs next."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Condition

from embedstack.engine.packing import choose, whole
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
    jobs: "list[Job]" = field(default_factory=list)  # what it waits for

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
    lines: "list[Line]" = field(default_factory=list)  # where it waits; the first line to be served takes it


@dataclass(slots=True, eq=False)
class Line:
    """The items of one request that no batch has taken yet, longest first."""

    group: Hashable
    jobs: list[Job]
    priority: Priority
    caller: str
    arrived: float
    is_whole: bool = False
    waits_since: float = 0.0
    lengths: list[int] = field(default_factory=list)
    plan: list[int] = field(default_factory=list)  # sizes of the batches of a whole request

    @property
    def planned(self) -> int:
        """See packing.Waiting."""
        return self.plan[0] if self.plan else 0

    def arrange(self, budget: int) -> None:
        """Longest first, and for a whole request the batches too."""
        if self.is_whole:
            batches = whole([job.encoding.cost for job in self.jobs], budget)
            self.jobs = [self.jobs[place] for batch in batches for place in batch]
            self.plan = [len(batch) for batch in batches]
        else:
            self.jobs.sort(key=lambda job: -job.encoding.cost)
        self.lengths = [job.encoding.cost for job in self.jobs]

    def pull(self, count: int) -> list[Job]:
        """Take items from the front."""
        pulled, self.jobs = self.jobs[:count], self.jobs[count:]
        self.lengths, self.plan = self.lengths[count:], self.plan[1:]
        return pulled

    def drop(self, unwanted: Iterable[Job]) -> None:
        """Remove items, wherever they stand."""
        gone = set(unwanted)
        self.jobs = [job for job in self.jobs if job not in gone]
        self.lengths, self.plan = [job.encoding.cost for job in self.jobs], []


class Scheduler:
    """Shared by all models of a device and by its lanes. Every method is safe from any thread.

    Args:
        budget: tokens of one batch.
        clock: seconds; given by tests.
    """

    def __init__(self, budget: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget, self._clock = budget, clock
        self._changed = Condition()
        self._lines: dict[Line, None] = {}  # in order of arrival
        self._shared: dict[Hashable, Job] = {}  # interactive items in flight, for identical texts
        self._served: dict[str, float] = {}  # tokens that each waiting caller has had
        self._present: Counter[str] = Counter()  # lines of each waiting caller
        self._floor = 0.0  # where a caller that was not here begins: what the last leader had
        self._is_open = True
        self.waiting_tokens = 0

    def submit(self, line: Line) -> None:
        """Put a request in the line; an item that is in flight already is computed once for all.

        Raises:
            NotReady: the engine is stopping.
        """
        with self._changed:
            if not self._is_open:
                raise NotReady("the engine is stopping; send the request to another replica")
            if not line.is_whole:
                known = self._shared if line.priority == "interactive" else {}
                waits = (_share(known, job) for job in line.jobs)
                line.jobs = list(dict.fromkeys(job for job in waits if job is not None))
            line.arrange(self._budget)
            if line.jobs:
                self._enter(line)

    def _enter(self, line: Line) -> None:
        line.waits_since = self._clock()
        for job in line.jobs:
            if not job.lines:
                self.waiting_tokens += job.encoding.cost
            job.lines.append(line)
        self._present[line.caller] += 1
        self._served.setdefault(line.caller, self._floor)
        self._lines[line] = None
        self._changed.notify()

    def leave(self, call: Call) -> None:
        """The caller hung up: drop what nobody else waits for, before it costs a token."""
        with self._changed:
            unwanted: dict[Line, list[Job]] = {}
            for job in call.jobs:
                job.listeners = [(who, place) for who, place in job.listeners if who is not call]
                if job.lines and not job.listeners:
                    self.waiting_tokens -= job.encoding.cost
                    self._forget_shared([job])
                    for line in job.lines:
                        unwanted.setdefault(line, []).append(job)
                    job.lines.clear()
            for line, jobs in unwanted.items():
                line.drop(jobs)
                self._leave_if_empty(line)

    def take(self) -> tuple[Hashable, list[Job]] | None:
        """The next batch, as soon as there is one; None when the engine stops."""
        with self._changed:
            while not self._lines:
                if not self._is_open:
                    return None
                self._changed.wait()
            lines, now = list(self._lines), self._clock()
            chosen = [(lines[place], count) for place, count in choose(lines, self._served, now, self._budget)]
            leader = chosen[0][0]
            self._floor = max(self._floor, self._served[leader.caller])
            batch = self._pull(chosen, now)
            if self._lines:
                self._changed.notify()
            return leader.group, batch

    def _pull(self, chosen: Sequence[tuple[Line, int]], now: float) -> list[Job]:
        batch: dict[Job, None] = {}
        for line, count in chosen:
            self._served[line.caller] += sum(line.lengths[:count])
            line.waits_since = now
            batch |= dict.fromkeys(line.pull(count))
        for job in batch:
            self.waiting_tokens -= job.encoding.cost
            lines = job.lines.copy()
            job.lines.clear()
            for line in lines:
                if len(lines) > 1:
                    line.drop([job])
                self._leave_if_empty(line)
        return list(batch)

    def finish(self, jobs: Sequence[Job]) -> list[list[tuple[Call, int]]]:
        """The batch is computed: nobody can join its items any more; who waits for each."""
        with self._changed:
            self._forget_shared(jobs)
            return [list(job.listeners) for job in jobs]

    def stop(self) -> list[Job]:
        """Take no more requests; what was still waiting is given back."""
        with self._changed:
            self._is_open = False
            left = list({job: None for line in self._lines for job in line.jobs})
            self._lines.clear()
            self.waiting_tokens = 0
            self._changed.notify_all()
            return left

    def _forget_shared(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if self._shared.get(job.key) is job:
                del self._shared[job.key]

    def _leave_if_empty(self, line: Line) -> None:
        if not line.jobs and line in self._lines:
            del self._lines[line]
            self._present[line.caller] -= 1
            if not self._present[line.caller]:
                del self._present[line.caller], self._served[line.caller]


def _share(known: dict[Hashable, Job], job: Job) -> Job | None:
    """The job that waits in the new line: this one, or an equal one that no batch has taken; None if one is running.

    An equal job waits in both lines, so that nobody stands behind another caller's long request. Interactive requests
    share theirs; a bulk request only has its own, since its items may wait long.
    """
    if job.key not in known:
        known[job.key] = job
        return job
    (listener,) = job.listeners
    same = known[job.key]
    same.listeners.append(listener)
    call, _ = listener
    call.jobs.append(same)
    is_waiting_elsewhere = bool(same.lines)
    return same if is_waiting_elsewhere else None
