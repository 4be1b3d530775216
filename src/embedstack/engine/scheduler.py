"""The one waiting line of a device: who may wait, who left, what runs next."""

import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Condition

from embedstack.engine.admission import BULK, LONG, LONG_BATCH, SHORT, Backlog, Left, Limits, Taken, admit, admit_bytes
from embedstack.engine.line import Call, Job, Line, Reserved, Run, share
from embedstack.engine.packing import Shares, choose
from embedstack.engine.room import Devices, Room
from embedstack.errors import NotReady, Overloaded

QUIET_S = 5.0  # after so long without an interactive request bulk fills its batches: who types asks again sooner
STARTS = 2  # a bulk batch may take so many runs' starts, or a slow start would be paid for every item


@dataclass(slots=True)
class Counts:
    """What the waiting line has seen: the first two now, the others since the start."""

    waiting_items: int = 0
    running_items: int = 0
    batches: int = 0
    items: int = 0
    tokens: int = 0
    padded: int = 0  # places of attention
    refused: int = 0  # requests, because too much waited
    expired: int = 0  # requests whose deadline passed while they waited
    out_of_memory: int = 0  # batches


class Scheduler:
    """Shared by all models of a device and by its lanes. Every method is safe from any thread.

    Args:
        budget: tokens of one batch.
        clock: seconds; given by tests.
        lanes: batches that run at once; may be changed
        limits: who is refused; nobody by default.
    """

    def __init__(
        self, budget: int, clock: Callable[[], float] = time.monotonic, *, lanes: int = 1, limits: Limits | None = None
    ) -> None:
        self._budget, self._clock, self.lanes = budget, clock, lanes
        self._limits = limits or Limits()
        self._changed = Condition()
        self._lines: dict[Line, None] = {}  # in order of arrival
        self._shared: dict[Hashable, Job] = {}  # interactive items in flight, for identical texts
        self._served: dict[str, float] = {}  # tokens that each waiting caller has had
        self._present: Counter[str] = Counter()  # lines of each waiting caller
        self._floor = 0.0  # where a caller that was not here begins: the most that one of the last batch had had
        self._devices, self._backlog = Devices(), Backlog()
        self._running: dict[Run, None] = {}
        self._full_s = Devices()[None].full_s(budget)  # of the model that was asked for last
        self._full_lanes = lanes  # that it can use
        self._interactive_at = -math.inf  # when such a request came last, or a batch of one began
        self._before_ns = 0  # work of the batch that was taken last; 0 if nothing waited after it
        self._shares, self._taken = Shares(), Taken()
        self._is_open = True
        self._counts = Counts()
        self.waiting_tokens = self._kept_bytes = 0

    def counts(self) -> Counts:
        """A copy."""
        with self._changed:
            return replace(self._counts)

    @property
    def is_open(self) -> bool:
        """Whether requests are still taken."""
        return self._is_open

    def limit_tokens(self) -> int:
        """Tokens, running and waiting, above which short interactive requests are refused; 0 without a limit."""
        with self._changed:
            if self._limits.max_wait_s is None:
                return 0
            work_s = self._limits.work_s(
                SHORT, full_s=self._full_s, running_s=0.0, is_long_before=False, lanes=self._full_lanes
            )
            return int(work_s / self._full_s * self._budget)

    # ------------------------------------------------------------------ requests come and go

    def submit(self, line: Line) -> None:
        """Put a request in the line; an item that is in flight already is computed once for all.

        Raises:
            NotReady: the engine is stopping.
            Overloaded, DeadlineExceeded: see `admit`. The request is refused as a whole and leaves no trace.
        """
        with self._changed:
            self._let_in(line)
            if line.reserved is not None:
                self._expect(line.reserved, -len(line.jobs))
            if not line.is_whole:
                known = self._shared if line.priority == "interactive" else {}
                waits = (share(known, line.group, job) for job in line.jobs)
                line.jobs = list(dict.fromkeys(job for job in waits if job is not None))
            line.arrange(self._budget)
            if line.jobs:
                self._enter(line)

    def reserve(self, line: Line, items: int, tokens: int, size_bytes: int) -> Reserved:
        """Let in what comes later, in lines of its own; until then it counts as if it waited here.

        Args:
            line: without jobs.
            tokens: of each item.
            size_bytes: that the request keeps until it ends.
        Raises: as `submit`.
        """
        with self._changed:
            self._let_in(line, size_bytes)
            made = Reserved(line.caller, line.claim, tokens, line.token_ns, size_bytes)
            self._kept_bytes += size_bytes
            self._expect(made, items)
            return made

    def release(self, reserved: Reserved) -> None:
        """What has not come will not."""
        with self._changed:
            self._kept_bytes -= reserved.size_bytes
            self._expect(reserved, -reserved.items)

    def _expect(self, reserved: Reserved, change: int) -> None:
        """So many items more are to come."""
        reserved.items += change
        if self._is_open:  # else all that waited is forgotten
            self._counts.waiting_items += change
            self.waiting_tokens += change * reserved.tokens
            self._backlog.add(reserved.caller, reserved.claim, change * reserved.tokens * reserved.token_ns)

    def _let_in(self, line: Line, size_bytes: int = 0) -> None:
        if not self._is_open:
            raise NotReady("the engine is stopping; send the request to another replica")
        try:
            if self._limits.max_wait_s is not None:
                admit_bytes(self._kept_bytes, size_bytes)
            self._admit(line)
        except Overloaded:
            self._counts.refused += 1
            raise
        if line.priority == "interactive":
            self._interactive_at = self._clock()

    def _admit(self, line: Line) -> None:
        line.is_long = max(line.whole_tokens, sum(job.encoding.cost for job in line.jobs)) > self._budget
        line.claim = BULK if line.priority == "bulk" else LONG if line.is_long else SHORT
        full_s = self._full_s = self._devices[line.group].full_s(self._budget)
        line.token_ns = max(1, int(full_s / self._budget * 1e9))
        lanes = self._full_lanes = min(line.lanes or self.lanes, self.lanes)
        if self._limits.max_wait_s is None or line.is_let_in:
            return
        running_ns = sum(run.work_ns for run in self._running)
        longest_s = max((run.predicted_s for run in self._running), default=0.0)
        limit_ns, fair_ns = (
            1e9
            * self._limits.work_s(
                line.claim,
                full_s=max(full_s, longest_s),
                running_s=running_ns / 1e9,
                is_long_before=is_long_before,
                lanes=lanes,
            )
            for is_long_before in (self._is_long_before(self._budget * line.token_ns), False)
        )
        admit(
            self._backlog,
            line.caller,
            line.claim,
            limit_ns,
            fair_ns=fair_ns,
            running_ns=running_ns,
            lanes=lanes,
            left_s=None if line.deadline is None else line.deadline - self._clock(),
            left=self._taken.left(self._clock(), line.caller) if line.claim == BULK else Left(),
        )

    def _is_long_before(self, full_ns: int) -> bool:
        return self._before_ns > LONG_BATCH * full_ns

    def _enter(self, line: Line) -> None:
        line.waits_since = self._clock()
        for job in line.jobs:
            if not job.lines:
                self._count(job, 1)
            job.lines.append(line)
        self._present[line.caller] += 1
        self._served.setdefault(line.caller, self._floor)
        self._lines[line] = None
        self._settle(line)
        self._changed.notify()

    def leave(self, call: Call) -> None:
        """The caller hung up: drop what nobody else waits for, before it costs a token."""
        with self._changed:
            self._leave(call)

    def _leave(self, call: Call) -> None:
        unwanted: dict[Line, list[Job]] = {}
        for job in call.jobs:
            job.listeners = [(who, place) for who, place in job.listeners if who is not call]
            if not job.lines:
                continue
            for line in job.lines:
                if line.call is call or not job.listeners:
                    unwanted.setdefault(line, []).append(job)
            job.lines = [line for line in job.lines if line.call is not call] if job.listeners else []
            if not job.lines:
                self._count(job, -1)
                self._forget_shared([job])
        self._drop(unwanted)

    # ------------------------------------------------------------------ batches

    def take(self) -> Run | None:
        """The next batch, as soon as there is one; None when the engine stops."""
        with self._changed:
            now, lines = self._wait_for_work()
            if not lines:
                return None
            places = choose(lines, self._served, now, lambda leader: self._room(leader, now), self._shares.ageing())
            chosen = [(lines[place], count) for place, count in places]
            leader = chosen[0][0]
            self._floor = max(self._floor, *(self._served[line.caller] for line, _ in chosen))
            first = min(line.arrived for line, _ in chosen)
            run = self._begin(leader, self._pull(chosen, now), now, now - first)
            if self._lines:
                self._changed.notify()
            return run

    def _wait_for_work(self) -> tuple[float, list[Line]]:
        """The time at which there is something to do, and what; or nothing, if nothing will ever come."""
        while True:
            now = self._clock()
            self._expire(now)
            lines = self._ready()
            if lines or not self._is_open:
                return now, lines
            if not self._lines:
                self._before_ns = 0
            self._changed.wait()

    def _ready(self) -> list[Line]:
        """Those whose model can run one batch more: a runtime may have fewer lanes than there are."""
        if all(line.lanes in (0, self.lanes) for line in self._lines):
            return list(self._lines)
        running = Counter(run.group for run in self._running)
        return [line for line in self._lines if not line.lanes or running[line.group] < line.lanes]

    def _expire(self, now: float) -> None:
        """Drop what would be too late; whoever waits for it has a timer of its own."""
        late = [line.call for line in self._lines if line.deadline is not None and line.deadline <= now]
        for call in late:
            if call is not None:
                self._counts.expired += 1
                self._leave(call)

    def _room(self, leader: Line, now: float) -> Room:
        """A full batch; for short requests that wait in turn a long one and a short one, see `admission`."""
        device, limits = self._devices[leader.group], self._limits
        tokens = device.tokens(self._budget, now)
        if leader.claim == SHORT and limits.max_wait_s is not None:
            if limits.max_wait_s:
                tokens = min(tokens, device.pace.tokens_within(limits.max_wait_s))
            if self._is_long_before(tokens * leader.token_ns):
                tokens = max(1, int(LONG_BATCH * tokens))
        return Room(tokens, self._bulk_s(leader.group, now), device.pace.costs)

    def _bulk_s(self, group: Hashable, now: float) -> float:
        """What a batch with bulk items may take; anything where nobody is there who would feel a long one."""
        if not self._backlog.interactive() and now - self._interactive_at > QUIET_S:
            return math.inf
        return max(self._limits.bulk_batch_s, STARTS * self._devices[group].pace.costs.run_s)

    def _pull(self, chosen: Sequence[tuple[Line, int]], now: float) -> list[Job]:
        batch: dict[Job, None] = {}
        for line, count in chosen:
            self._served[line.caller] += sum(line.lengths[:count])
            line.waits_since = now
            batch |= dict.fromkeys(line.pull(count))
            self._settle(line)
        elsewhere: dict[Line, list[Job]] = {}
        for job in batch:
            self._count(job, -1)
            if len(job.lines) > 1:
                for line in job.lines:
                    elsewhere.setdefault(line, []).append(job)
            job.lines = []
        self._drop(elsewhere)
        return list(batch)

    def _begin(self, leader: Line, jobs: list[Job], now: float, wait_s: float) -> Run:
        tokens, longest = sum(job.encoding.cost for job in jobs), max(job.encoding.cost for job in jobs)
        predicted_s = self._devices[leader.group].pace.costs.of(tokens, len(jobs) * longest**2)
        work_ns = tokens * leader.token_ns
        is_capped = self._bulk_s(leader.group, now) <= self._limits.bulk_batch_s
        run = Run(
            leader.group,
            jobs,
            leader.priority,
            tokens,
            longest,
            wait_s,
            predicted_s,
            work_ns,
            is_capped,
            began=now,
            lanes=leader.lanes or self.lanes,
            bulk_of=leader.caller if leader.priority == "bulk" else None,
        )
        self._running[run] = None
        if leader.priority == "interactive":
            self._interactive_at = now
        # bulk comes between two batches of short requests without making the first one short
        self._before_ns = work_ns + (self._before_ns if leader.claim == BULK else 0)
        self._shares.spend(leader.claim, work_ns)
        self._backlog.next_batch()
        counts = self._counts
        counts.batches += 1
        counts.items += len(jobs)
        counts.running_items += len(jobs)
        counts.tokens += tokens
        counts.padded += run.padded
        return run

    def finish(self, jobs: Sequence[Job]) -> list[list[tuple[Call, int]]]:
        """These items are computed: nobody can join them any more; who waits for each."""
        with self._changed:
            self._forget_shared(jobs)
            return [list(job.listeners) for job in jobs]

    def end(self, run: Run, seconds: float | None) -> None:
        """The lane is done with a batch.

        Args:
            seconds: that it took; None if it failed or was divided, which says nothing of the model's pace.
        """
        with self._changed:
            del self._running[run]
            now = self._clock()
            self._taken.add(now, now - run.began, min(run.lanes, self.lanes), run.bulk_of)
            self._counts.running_items -= len(run.jobs)
            if seconds is not None:
                self._devices[run.group].pace.observe(run.tokens, run.padded * run.longest, seconds)

    def ran_out(self, group: Hashable, tokens: int) -> bool:
        """So many tokens did not fit into memory, so batches are smaller for a while; whether they were not yet."""
        with self._changed:
            self._counts.out_of_memory += 1
            return self._devices[group].ran_out(tokens, self._budget, self._clock())

    def stop(self) -> list[Job]:
        """Take no more requests; what was still waiting is given back."""
        with self._changed:
            self._is_open = False
            left = list({job: None for line in self._lines for job in line.jobs})
            for job in left:
                job.lines.clear()
            self._lines.clear()
            self._backlog.clear()
            self._counts.waiting_items = self.waiting_tokens = 0
            self._changed.notify_all()
            return left

    # ------------------------------------------------------------------ bookkeeping

    def _count(self, job: Job, change: int) -> None:
        self._counts.waiting_items += change
        self.waiting_tokens += change * job.encoding.cost

    def _forget_shared(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if self._shared.get(job.shared_as) is job:
                del self._shared[job.shared_as]

    def _drop(self, unwanted: Mapping[Line, Sequence[Job]]) -> None:
        """Take jobs out of lines, each line once, however many go."""
        for line, jobs in unwanted.items():
            line.drop(jobs)
            self._settle(line)

    def _settle(self, line: Line) -> None:
        """After a change: what the backlog holds of a line, and whether it still waits."""
        if line not in self._lines:
            return
        work_ns = line.tokens * line.token_ns
        if work_ns != line.counted_ns:
            self._backlog.add(line.caller, line.claim, work_ns - line.counted_ns)
            line.counted_ns = work_ns
        if not line.jobs:
            del self._lines[line]
            self._present[line.caller] -= 1
            if not self._present[line.caller]:
                del self._present[line.caller], self._served[line.caller]
