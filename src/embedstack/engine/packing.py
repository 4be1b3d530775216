"""Which items run next, together: pure functions of lengths, priorities, callers and the clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embedstack.types import Priority

AGED_S = 2.0  # after this wait nothing overtakes a request: longer than any interactive wait that users accept
SPREAD = 2  # attention pads to the longest item; a batch may hold this many times its budget in padded places


@dataclass(frozen=True, slots=True)
class Waiting:
    """What packing needs to know of a request: its items' lengths, longest first, and its claim to the device."""

    group: object  # only items of one group can share a batch: model and outputs
    lengths: Sequence[int]
    priority: Priority
    caller: str
    arrived: float
    whole: int = 0  # items of the next batch as planned beforehand; 0 for a request that shares batches


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
    if leader.whole:
        return [(order[0], leader.whole)]
    batch: list[tuple[int, int]] = []
    tokens = items = longest = 0
    for place in order:
        request, taken = waiting[place], 0
        if request.group != leader.group or request.whole:
            continue
        for length in request.lengths:
            widest = max(longest, length)
            if items and (tokens + length > budget or (items + 1) * widest > SPREAD * budget):
                break
            tokens, items, longest, taken = tokens + length, items + 1, widest, taken + 1
        if taken:
            batch.append((place, taken))
        if tokens >= budget:
            break
    return batch


def urgency(request: Waiting, served: Mapping[str, float], now: float) -> tuple[int, int, float, float]:
    """A sort key: who waited too long, then interactive before bulk, then who had least, then who came first."""
    if now - request.arrived > AGED_S:
        return (0, 0, 0.0, request.arrived)
    return (1, 0 if request.priority == "interactive" else 1, served.get(request.caller, 0.0), request.arrived)


def whole(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Batches of a given set as a pure function of its lengths, so that a job run again makes the same batches.

    Longest first, equal lengths in input order; each batch within the budget, or one item that is over it.
    """
    batches: list[list[int]] = []
    tokens = budget + 1
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if tokens + lengths[place] > budget:
            batches.append([])
            tokens = 0
        batches[-1].append(place)
        tokens += lengths[place]
    return batches
