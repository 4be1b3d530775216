"""Which items run next, together: pure functions of lengths, priorities, callers and the clock."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

from embedstack.types import Priority

AGED_S = 2.0  # after this wait a request gets one batch, whoever else is there: longer than users accept to wait
SPREAD = 2  # attention pads to the longest item; a batch may hold this many times its budget in padded places


class Waiting(Protocol):
    """What packing needs to know of a request: its items' lengths and its claim to the device."""

    @property
    def group(self) -> Hashable: ...  # only items of one group can share a batch: model and outputs
    @property
    def lengths(self) -> Sequence[int]: ...  # of its items, longest first
    @property
    def priority(self) -> Priority: ...
    @property
    def caller(self) -> str: ...
    @property
    def arrived(self) -> float: ...
    @property
    def waits_since(self) -> float: ...  # when it was last served, or arrived
    @property
    def planned(self) -> int: ...  # items of the next batch as planned beforehand; 0 for a request that shares batches


def choose(waiting: Sequence[Waiting], served: Mapping[str, float], now: float, budget: int) -> list[tuple[int, int]]:
    """The next batch: pairs of (request, how many items from its front); empty when nothing waits.

    The most urgent request leads. Others of its group fill what it leaves of the budget, as long as padding inside
    attention stays bounded. A leader's first item always goes, however long it is.

    Args:
        served: tokens that each caller has had, for fair turns.
        now: on the clock of `arrived`.
        budget: tokens of one batch.
    """
    order = sorted(range(len(waiting)), key=lambda place: urgency(waiting[place], served, now))
    if not order:
        return []
    leader = waiting[order[0]]
    if leader.planned:
        return [(order[0], leader.planned)]
    batch: list[tuple[int, int]] = []
    filling = Filling(budget)
    for place in order:
        request = waiting[place]
        if request.group != leader.group or request.planned:
            continue
        taken = filling.take_from(request.lengths)
        if taken:
            batch.append((place, taken))
        if filling.tokens >= budget:
            break
    return batch


def urgency(request: Waiting, served: Mapping[str, float], now: float) -> tuple[int, int, float, float]:
    """A sort key: who waits too long, then interactive before bulk, then who had least, then who came first.

    The wait counts from the last batch, so that a long request gets a turn now and then and not the whole device.
    """
    if now - request.waits_since > AGED_S:
        return (0, 0, 0.0, request.waits_since)
    return (1, 0 if request.priority == "interactive" else 1, served.get(request.caller, 0.0), request.arrived)


def whole(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Batches of a given set as a pure function of its lengths, so that a job run again makes the same batches.

    Longest first, equal lengths in input order; each batch as large as `choose` would make it.
    """
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    batches: list[list[int]] = []
    while order:
        taken = Filling(budget).take_from([lengths[place] for place in order[:budget]])
        batches.append(order[:taken])
        order = order[taken:]
    return batches


class Filling:
    """A batch that is being filled up to its budget."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self.tokens = self._items = self._longest = 0

    def take_from(self, lengths: Sequence[int]) -> int:
        """How many items from the front fit; the first item of a batch always does."""
        for taken, length in enumerate(lengths):
            longest = max(self._longest, length)
            padded = (self._items + 1) * longest
            if self._items and (self.tokens + length > self._budget or padded > SPREAD * self._budget):
                return taken
            self.tokens, self._items, self._longest = self.tokens + length, self._items + 1, longest
        return len(lengths)
