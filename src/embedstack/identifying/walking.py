"""Which id stands behind another -> places all over the ids of a large collection, found with few questions. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from embedstack.databases.database import MOST_ID, PointId

Behind = Callable[[PointId | None], PointId | None]
"""The first id behind this one, or of all; None: there is none. Numbers come first, then UUIDs by their bytes."""
MOST_UUID = 2**128 - 1
FINE = 6  # times that what is not known of the last id is halved


@dataclass(frozen=True, slots=True)
class Span:
    """Ids of one kind, as numbers."""

    is_uuid: bool
    first: int
    last: int  # or not far before it

    def places(self, count: int) -> Iterator[PointId | None]:
        """Ids behind which to read, evenly far from each other; None is the beginning."""
        for number in range(count):
            place = self.first + (self.last - self.first) * number // count
            yield _id(place - 1, is_uuid=self.is_uuid) if place else None


def places(behind: Behind, count: int) -> list[PointId | None]:
    """About so many ids from which to read on."""
    spans = list(_spans(behind))
    return [place for span in spans for place in span.places(max(1, count // len(spans)))]


def _spans(behind: Behind) -> Iterator[Span]:
    first = behind(None)
    if isinstance(first, int):
        yield Span(False, first, _last(behind, first, is_uuid=False))
        first = behind(MOST_ID - 1)
    if isinstance(first, str):
        yield Span(True, UUID(first).int, _last(behind, UUID(first).int, is_uuid=True))


def _last(behind: Behind, first: int, *, is_uuid: bool) -> int:
    """The step from the first id is doubled until nothing is behind it, then what is left is halved a few times."""

    def next_to(place: int) -> int | None:
        found = behind(_id(place, is_uuid=is_uuid))
        return None if found is None or isinstance(found, str) is not is_uuid else _number(found)

    most = MOST_UUID if is_uuid else MOST_ID - 1
    last, step, beyond = first, 1, most
    while (reach := first + step) < most:
        found = next_to(reach)
        if found is None:
            beyond = reach
            break
        last, step = found, max(step * 2, (found - first) * 2)
    for _ in range(FINE):
        middle = (last + beyond) // 2
        found = next_to(middle)
        last, beyond = (last, middle) if found is None else (found, beyond)
    return last


def _id(number: int, *, is_uuid: bool) -> PointId:
    return str(UUID(int=number)) if is_uuid else number


def _number(given: PointId) -> int:
    return UUID(given).int if isinstance(given, str) else given
