"""What waits: a request seen from its loop, its items as jobs, the line that they stand in, and a batch of them."""

import asyncio
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace

from embedstack.engine.admission import SHORT, Claim
from embedstack.engine.packing import whole
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

    def let_go(self) -> None:
        """It is over: it leaves no circle with its jobs, and no pixels with a lane that holds them until its next.

        Those of a call that got no rows stay: others may wait for them, or the device is reading them.
        """
        jobs, self.jobs = self.jobs, []
        if not self.done.done() or self.done.cancelled() or self.done.exception():
            return
        for job in jobs:
            if job.encoding.patches is not None:
                job.encoding = replace(job.encoding, patches=None)


@dataclass(slots=True, eq=False)
class Job:
    """One item to compute, once, for everyone who waits for it."""

    encoding: Encoding
    key: Hashable
    listeners: list[tuple[Call, int]]
    lines: "list[Line]" = field(default_factory=list)  # where it waits; the first line to be served takes it
    shared_as: Hashable = None  # under what equal items find it; None if they shall not


@dataclass(slots=True, eq=False)
class Line:
    """The items of one request that no batch has taken yet, longest first."""

    group: Hashable
    jobs: list[Job]
    priority: Priority
    caller: str
    arrived: float
    lanes: int = 0  # batches of its group that may run at once; 0 for as many as there are lanes
    is_whole: bool = False
    deadline: float | None = None  # on the clock of `arrived`
    call: Call | None = None  # whose line it is; needed where it has a deadline
    whole_tokens: int = 0  # of the request that it is a part of, where that comes in several lines
    is_let_in: bool = False  # such a request was let in before its parts come
    reserved: "Reserved | None" = None  # where its jobs have been counted until now
    is_long: bool = False  # more than one batch; goes behind the caller's short requests
    waits_since: float = 0.0
    lengths: list[int] = field(default_factory=list)
    tokens: int = 0  # in all of them
    plan: list[int] = field(default_factory=list)  # sizes of the batches of a whole request
    claim: Claim = SHORT
    token_ns: int = 1  # what a token was expected to take when the request came
    counted_ns: int = 0  # what the backlog holds of it

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
        self._count()

    def pull(self, count: int) -> list[Job]:
        """Take items from the front."""
        pulled, self.jobs = self.jobs[:count], self.jobs[count:]
        self.tokens -= sum(self.lengths[:count])
        self.lengths, self.plan = self.lengths[count:], self.plan[1:]
        return pulled

    def drop(self, unwanted: Iterable[Job]) -> None:
        """Remove items, wherever they stand."""
        gone = set(unwanted)
        self.jobs = [job for job in self.jobs if job not in gone]
        self.plan = []
        self._count()

    def _count(self) -> None:
        self.lengths = [job.encoding.cost for job in self.jobs]
        self.tokens = sum(self.lengths)


@dataclass(slots=True, eq=False)
class Reserved:
    """Items of a request that was let in and that are on their way, such as pictures that nobody has decoded yet."""

    caller: str
    claim: Claim
    tokens: int  # of each
    token_ns: int  # see Line
    size_bytes: int
    items: int = 0


@dataclass(slots=True, eq=False)
class Run:
    """A batch on its way through a lane."""

    group: Hashable
    jobs: list[Job]
    priority: Priority  # of the request that leads it
    tokens: int
    longest: int
    wait_s: float  # of the request that came first
    predicted_s: float
    work_ns: int
    is_capped: bool  # whether bulk items were held to their time in it
    began: float
    lanes: int  # that its model can use
    bulk_of: str | None  # the caller whose bulk leads it

    @property
    def padded(self) -> int:
        """Places that attention computes."""
        return len(self.jobs) * self.longest


def share(known: dict[Hashable, Job], group: Hashable, job: Job) -> Job | None:
    """The job that waits in the new line: this one, or an equal one that no batch has taken; None if one is running.

    An equal job waits in both lines, so that nobody stands behind another caller's long request. Interactive requests
    share theirs; a bulk request only has its own, since its items may wait long. Two models never share, not even one
    that is served twice: a runtime is asked for what it is asked for.
    """
    job.shared_as = group, job.key
    same = known.setdefault(job.shared_as, job)
    if same is job:
        return job
    (listener,) = job.listeners
    same.listeners.append(listener)
    call, _ = listener
    call.jobs.append(same)
    is_waiting_elsewhere = bool(same.lines)
    return same if is_waiting_elsewhere else None
