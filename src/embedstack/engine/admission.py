"""What waits and what a newcomer would wait for -> let in, or refused at once with the time to come back."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from embedstack.errors import DeadlineExceeded, Overloaded

BEHIND_SHORT, BEHIND_LONG = 0.85, 0.4  # of a full batch may wait behind a short batch, and behind a long one
LONG_BATCH = 0.55  # of a full one: what follows a long batch is at most so large, and what is larger is long
UNFELT_BATCHES = 1.5  # bulk batches that nobody minds waiting for
CEILING = 2.0  # times the limit, for all callers; where they name themselves, every request can come from a new one
SOONEST_S = 0.05
MEMORY_S = 10.0  # what was seen before counts a third
LEAST_LEFT = 0.15  # `AGED_SHARE` of the device, in batches that are smaller than full ones
KEPT_BYTES = 512 << 20  # of files that wait, whatever their work: one of 3 MB may be no more than 50 tokens
LEAST_TAKEN = 0.001  # of the device; a caller who took less of late is forgotten
MOST_REFUSED = 100  # callers of whom it is noted

Claim = Literal[0, 1, 2]  # a short interactive request, one of more than one batch, a bulk request
SHORT: Final = 0
LONG: Final = 1
BULK: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long requests may wait, in seconds. Without a server nobody is refused: who calls can see what it asks for.

    Args:
        max_wait_s: for a short interactive request; 0 chooses by the model's speed, None sets no limit to anything.
        max_bulk_wait_s: for a bulk request, and for an interactive one of more than one batch.
        bulk_batch_s: batches with bulk items are predicted to run no longer.
    """

    max_wait_s: float | None = None
    max_bulk_wait_s: float = 30.0
    bulk_batch_s: float = 0.04

    def work_s(self, claim: Claim, *, full_s: float, running_s: float, is_long_before: bool, lanes: int = 1) -> float:
        """The most work, running and before the newcomer's first item, that a newcomer is let in with.

        Chosen by itself it is what fits into the next batch, and batches are long and short in turn. With equal ones,
        who comes as one begins would be done after two; so it is 1.5 times the longest. What runs and waits within
        one full batch is always let in: 64 connections with a query of 16 tokens each are never refused.

        Args:
            full_s: of a full batch, or of one that runs if that is longer.
            running_s: of the batches that run.
            is_long_before: whether the batch taken last is a long one.
            lanes: batches that run at once.
        """
        if self.max_wait_s is None:
            return math.inf
        behind_s = running_s + full_s * (BEHIND_LONG if is_long_before else BEHIND_SHORT)
        chosen_s = max(behind_s, full_s, UNFELT_BATCHES * self.bulk_batch_s * lanes)
        work_s = self.max_wait_s * lanes or chosen_s
        return work_s if claim == SHORT else max(work_s, self.max_bulk_wait_s * lanes)


@dataclass(frozen=True, slots=True)
class Left:
    """The part of the device that bulk gets: all of it, and a caller's own, see `Taken`."""

    all: float = 1.0
    own: float = 1.0


class Taken:
    """What the device did of late: interactive requests go before bulk that waits already, and so does the bulk of a
    caller who had less.

    Bulk that is let in by the work before it alone would wait several times as long as it was told.
    """

    def __init__(self) -> None:
        self._device_s: dict[str | None, float] = {}  # of all lanes together, what is older counting less
        self._now = 0.0

    def add(self, now: float, lane_s: float, lanes: int, caller: str | None = None) -> None:
        """A batch kept one of so many lanes for so long: of interactive requests, or of this caller's bulk."""
        faded = self._faded(now)
        faded[caller] = faded.get(caller, 0.0) + lane_s / lanes
        self._device_s = {name: spent_s for name, spent_s in faded.items() if spent_s > LEAST_TAKEN * MEMORY_S}
        self._now = now

    def left(self, now: float, caller: str) -> Left:
        """What this caller's bulk gets if all goes on as it did; never less than its turn among those who had some."""
        taken = {name: spent_s / MEMORY_S for name, spent_s in self._faded(now).items() if name != caller}
        for_all = max(LEAST_LEFT, 1 - taken.pop(None, 0.0))
        return Left(for_all, max(for_all - sum(taken.values()), for_all / (len(taken) + 1)))

    def _faded(self, now: float) -> dict[str | None, float]:
        share = math.exp(-max(0.0, now - self._now) / MEMORY_S)
        return {name: spent_s * share for name, spent_s in self._device_s.items()}


class Backlog:
    """Work that waits, by caller, in expected nanoseconds (whole numbers, so that it returns to exactly 0)."""

    def __init__(self) -> None:
        self._of: dict[str, list[int]] = {}  # [short, interactive, all]
        self._total = [0, 0, 0]
        self._refused: dict[str, int] = {}
        self._batch = 0

    def add(self, caller: str, claim: Claim, work_ns: int) -> None:
        """More waits, or less where it is negative."""
        mine = self._of.setdefault(caller, [0, 0, 0])
        for kind in range(claim, 3):
            mine[kind] += work_ns
            self._total[kind] += work_ns
        if not mine[BULK]:
            del self._of[caller]

    def total(self) -> int:
        """All that waits."""
        return self._total[BULK]

    def interactive(self) -> int:
        """What waits of interactive requests."""
        return self._total[LONG]

    def most(self, claim: Claim) -> float:
        """What `ahead` gives at most, whoever asks; not known where somebody was refused just now."""
        return math.inf if self._refused else self._total[max(claim, LONG)]

    def ahead(self, caller: str, claim: Claim, left: Left = Left()) -> float:
        """What runs before a newcomer's first item: callers take turns, so others' only as much as the caller's own.

        A caller who has nothing waiting waits for nobody. Who was refused just now wants all that it can get.
        Interactive work of others goes before bulk in any case.

        Args:
            left: the part of the device that bulk gets, which makes its work take so much longer. Of others it counts
                what waits, or what they will send meanwhile, whichever is more.
        """
        mine = self._of.get(caller, (0, 0, 0))
        others = [work for name, work in self._of.items() if name != caller and name not in self._refused]
        greedy = len(self._refused) - (caller in self._refused)
        if claim == BULK:
            own = mine[BULK] - mine[LONG]
            turns = sum(min(work[BULK] - work[LONG], own) for work in others)
            return self._total[LONG] + max((own + turns + greedy * own) / left.all, own / left.own)
        own = mine[claim]
        return own + sum(min(work[LONG], own) for work in others) + greedy * own

    def is_behind(self, caller: str, claim: Claim) -> bool:
        """Whether somebody else has more waiting."""
        mine = self._of.get(caller, (0, 0, 0))[claim]
        return any(work[claim] > mine for name, work in self._of.items() if name != caller)

    def refuse(self, caller: str) -> None:
        """Note who wanted more."""
        if len(self._refused) < MOST_REFUSED:
            self._refused[caller] = self._batch

    def next_batch(self) -> None:
        """Forget who was refused before the last batch began."""
        self._batch += 1
        for caller in [caller for caller, batch in self._refused.items() if batch < self._batch - 1]:
            del self._refused[caller]

    def bounded(self, claim: Claim, most_ns: float) -> float:
        """All that waits, of each caller at most so much: one huge request must not close the door for others."""
        return sum(min(work[claim], most_ns) for work in self._of.values())

    def clear(self) -> None:
        """Nothing waits."""
        self._of.clear()
        self._total = [0, 0, 0]


def admit(
    backlog: Backlog,
    caller: str,
    claim: Claim,
    limit_ns: float,
    *,
    fair_ns: float,
    running_ns: int,
    lanes: int,
    left_s: float | None,
    left: Left = Left(),
) -> None:
    """Let a request in, as a whole, or refuse it.

    Args:
        limit_ns: see `Limits.work_s`.
        fair_ns: the same for who has less waiting than others: behind a short batch, also if a long one runs. Who asks
            steadily cannot make up behind short batches for what a faster one took first behind long ones.
        running_ns: expected work of the batches that run, as if they had just begun; a batch that runs long must not
            look as if it were nearly done.
        left_s: until the request's deadline.
        left: see `Backlog.ahead`.
    Raises:
        Overloaded: it would wait too long, or `CEILING` is reached.
        DeadlineExceeded: its turn would come after its deadline.
    """
    left = left if claim == BULK else Left()
    if left_s is None and running_ns + backlog.most(claim) / left.own <= limit_ns:
        return
    if backlog.is_behind(caller, claim):
        limit_ns = max(limit_ns, fair_ns)
    wait_ns = running_ns + backlog.ahead(caller, claim, left)
    all_ns = running_ns + backlog.bounded(claim, limit_ns * left.all) / left.all
    over_ns = max(wait_ns - limit_ns, all_ns - CEILING * limit_ns)
    second_ns = lanes * 1e9  # of work
    wait_s, over_s = wait_ns / second_ns, over_ns / second_ns
    if over_s > 0:
        backlog.refuse(caller)
        again_s = max(SOONEST_S, over_s)
        raise Overloaded(
            f"the request would wait {wait_s:.2f} s for its turn (at most {limit_ns / second_ns:.2f} s is allowed) "
            f"behind {backlog.total() / lanes / 1e9:.2f} s of work; send it again in {again_s:.2f} s, or elsewhere",
            again_s,
        )
    if left_s is not None and wait_s > left_s:
        raise DeadlineExceeded(
            f"its turn would come in {wait_s:.2f} s and the deadline is in {max(0.0, left_s):.2f} s; allow more time"
        )


def admit_bytes(kept_bytes: int, new_bytes: int) -> None:
    """Let in a request that keeps so many bytes until it ends, or refuse it; one alone is let in.

    Raises:
        Overloaded: with those of others it would be more than `KEPT_BYTES`.
    """
    if new_bytes and kept_bytes and kept_bytes + new_bytes > KEPT_BYTES:
        raise Overloaded(
            f"{kept_bytes >> 20} MB of files wait, as they came; with these it would be more than "
            f"{KEPT_BYTES >> 20} MB; send the request again in 1 s, or elsewhere"
        )
