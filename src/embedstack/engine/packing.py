"""Which items run next, together: pure functions of lengths, priorities, callers and the clock."""

import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Protocol, TypeVar

from embedstack.engine.admission import BULK, LONG, Claim
from embedstack.engine.room import Room

AGED_S = 2.0  # after this wait a request may overtake: longer than users accept to wait
AGED_SHARE = 0.2  # of the device, for those who have waited so long; see docs/decisions.md
SPREAD = 2  # attention pads to the longest item; a batch may hold this many times its budget in padded places
PADDING = 0.02  # of a batch's time may go into padding, or as much as another run would cost; see docs/decisions.md
MISSES = 64  # requests in a row that do not fit: the batch is as good as full, and thousands may wait

ALL: tuple[Claim, ...] = (LONG, BULK)


class Waiting(Protocol):
    """What packing needs to know of a request: its items' lengths and its claim to the device."""

    @property
    def group(self) -> Hashable: ...  # only items of one group can share a batch: model and outputs
    @property
    def lengths(self) -> Sequence[int]: ...  # of its items, longest first
    @property
    def claim(self) -> Claim: ...
    @property
    def caller(self) -> str: ...
    @property
    def is_long(self) -> bool: ...  # more than one batch: what the same caller asks for otherwise goes first
    @property
    def arrived(self) -> float: ...
    @property
    def waits_since(self) -> float: ...  # when it was last served, or arrived
    @property
    def planned(self) -> int: ...  # items of the next batch as planned beforehand; 0 for a request that shares batches


Request = TypeVar("Request", bound=Waiting)


def choose(
    waiting: Sequence[Request],
    served: Mapping[str, float],
    now: float,
    room_for: Callable[[Request], Room],
    ageing: Collection[Claim] = ALL,
) -> list[tuple[int, int]]:
    """The next batch: pairs of (request, how many items from its front); empty when nothing waits.

    The most urgent request leads. Others of its group fill what it leaves of the room, as long as padding inside
    attention stays bounded. A leader's first item always goes, however long it is. A bulk leader's batch is kept
    short, and bulk items join an interactive leader's only as far as they save a run what they cost.

    Args:
        served: tokens that each caller has had, for fair turns.
        now: on the clock of `arrived`.
        room_for: what a batch may hold that this request leads.
        ageing: see `urgency`.
    """
    order = sorted(range(len(waiting)), key=lambda place: urgency(waiting[place], served, now, ageing))
    if not order:
        return []
    leader = waiting[order[0]]
    if leader.planned:
        return [(order[0], leader.planned)]
    batch: list[tuple[int, int]] = []
    room, limit_s, misses = room_for(leader), math.inf, 0
    filling = Filling(room)
    for place in order:
        request = waiting[place]
        if request.group != leader.group or request.planned:
            continue
        if leader.claim == BULK:
            limit_s = room.bulk_s
        elif request.claim == BULK and limit_s == math.inf:  # those that follow are bulk too
            limit_s = min(room.bulk_s, filling.predicted_s + room.costs.run_s)
        taken = filling.take_from(request.lengths, limit_s)
        if taken:
            batch.append((place, taken))
        misses = 0 if taken else misses + 1
        if filling.tokens >= room.tokens or misses == MISSES:
            break
    return batch


def urgency(
    request: Waiting, served: Mapping[str, float], now: float, ageing: Collection[Claim] = ALL
) -> tuple[int, int, float, bool, float]:
    """A sort key: who waits too long, then interactive before bulk, then who had least, then who came first.

    The wait counts from the last batch, so that a long request gets a turn now and then and not the whole device.

    Args:
        ageing: claims for which waiting too long counts, see `Shares`.
    """
    if request.claim in ageing and now - request.waits_since > AGED_S:
        return (0, 0, 0.0, False, request.waits_since)
    return (1, request.claim // BULK, served.get(request.caller, 0.0), request.is_long, request.arrived)


class Shares:
    """The part of the device that those keep who others may overtake: bulk, and what is long beside short requests.

    Without it they would starve under a steady load of better claims; and where many of them have waited too long,
    without its bound they would be as good as interactive ones.
    """

    def __init__(self) -> None:
        self._due: dict[Claim, float] = {LONG: 0.0, BULK: 0.0}

    def ageing(self) -> list[Claim]:
        """Claims that had less than their part."""
        return [claim for claim, due in self._due.items() if due >= 0]

    def spend(self, leader: Claim, work: float) -> None:
        """A batch runs."""
        for claim, due in self._due.items():
            if leader == claim:
                self._due[claim] = -work
            elif leader < claim:
                self._due[claim] = min(0.0, due + AGED_SHARE / (1 - AGED_SHARE) * work)


def whole(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Batches of a given set as a pure function of its lengths, so that a job run again makes the same batches.

    Longest first, equal lengths in input order; each batch as large as `choose` would make it.
    """
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    batches: list[list[int]] = []
    while order:
        taken = Filling(Room(budget)).take_from([lengths[place] for place in order[:budget]])
        batches.append(order[:taken])
        order = order[taken:]
    return batches


class Filling:
    """A batch that is being filled up."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.tokens = self._items = self._longest = self._squares = 0

    @property
    def predicted_s(self) -> float:
        """Seconds that it will take."""
        return self._room.costs.of(self.tokens, self._items * self._longest**2)

    def take_from(self, lengths: Sequence[int], limit_s: float = math.inf) -> int:
        """How many items from the front fit; the first item of a batch always does.

        Args:
            limit_s: that the batch may take.
        """
        for taken, length in enumerate(lengths):
            if self._items and not self._fits(length, limit_s):
                return taken
            self.tokens, self._items = self.tokens + length, self._items + 1
            self._longest, self._squares = max(self._longest, length), self._squares + length * length
        return len(lengths)

    def _fits(self, length: int, limit_s: float) -> bool:
        room, costs = self._room, self._room.costs
        tokens, items, longest = self.tokens + length, self._items + 1, max(self._longest, length)
        if tokens > room.tokens or items * longest > SPREAD * room.tokens:
            return False
        squares = items * longest * longest
        seconds = costs.of(tokens, squares)
        padding_s = costs.square_s * (squares - self._squares - length * length)
        return padding_s <= max(costs.run_s, PADDING * seconds) and seconds <= limit_s
