"""Places all over the ids of a large collection, found by few questions for the id behind another."""

import bisect
from collections.abc import Callable, Sequence
from uuid import UUID, uuid5

import pytest

from embedstack.databases.database import PointId, order_of
from embedstack.identifying.walking import places

SPACE = UUID(int=7)


def behind(
    ids: Sequence[PointId], asked: list[PointId | None] | None = None
) -> Callable[[PointId | None], PointId | None]:
    """As a database answers."""
    keys = sorted(map(order_of, ids))

    def answer(after: PointId | None) -> PointId | None:
        if asked is not None:
            asked.append(after)
        place = 0 if after is None else bisect.bisect_right(keys, order_of(after))
        return keys[place][1] if place < len(keys) else None

    return answer


def reached(ids: Sequence[PointId], count: int) -> list[int]:
    """Of each place, how many ids stand before what is read there."""
    keys, answer = sorted(map(order_of, ids)), behind(ids)
    found = [answer(place) for place in places(answer, count)]
    return [keys.index(order_of(one)) for one in found if one is not None]


NUMBERS = list(range(5, 50_005))
APART = [n * 1000 for n in range(20_000)]
UUIDS = [str(uuid5(SPACE, str(n))) for n in range(20_000)]
COUNTED = [str(UUID(int=n)) for n in range(20_000)]


@pytest.mark.parametrize("ids", [NUMBERS, APART, UUIDS, COUNTED], ids=["numbers", "apart", "hashes", "counted"])
def test_places_are_all_over_the_ids(ids: list[PointId]) -> None:
    found = reached(ids, 16)

    gaps = [b - a for a, b in zip(found, [*found[1:], len(ids)], strict=True)]
    assert (found[0], len(set(found))) == (0, 16)
    assert max(gaps) < 2.5 * len(ids) / 16


def test_numbers_and_uuids_have_half_of_the_places_each() -> None:
    found = reached([*NUMBERS, *UUIDS], 16)

    assert sum(place < len(NUMBERS) for place in found) == 8
    assert found[8] == len(NUMBERS)


@pytest.mark.parametrize("ids", [NUMBERS, UUIDS], ids=["numbers", "hashes"])
def test_few_questions_are_asked(ids: list[PointId]) -> None:
    asked: list[PointId | None] = []

    places(behind(ids, asked), 16)

    assert len(asked) < 150


def test_of_numbers_none_but_numbers_are_asked_for() -> None:
    """A table of somebody's own whose key is a number refuses UUIDs."""
    asked: list[PointId | None] = []

    places(behind(NUMBERS, asked), 16)

    assert all(one is None or isinstance(one, int) for one in asked)


@pytest.mark.parametrize("ids", [[0], [2**63 - 1], [str(UUID(int=0))], [str(UUID(int=2**128 - 1))]])
def test_one_id_is_found_wherever_it_stands(ids: list[PointId]) -> None:
    assert set(reached(ids, 4)) == {0}


def test_no_ids_have_no_places() -> None:
    assert places(behind([]), 16) == []
