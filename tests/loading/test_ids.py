"""Any id becomes that of a point, always the same one."""

from collections import Counter
from uuid import UUID

import pytest

from embedstack.databases.database import point_id
from embedstack.errors import BadRequest
from embedstack.loading.ids import id_at, id_of, told, uuid_of

HEX = "0123456789ABCDEF0123456789abcdef"
HYPHENED = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize("given", [0, 17, 2**63 - 1])
def test_whole_numbers_stay(given: int) -> None:
    assert id_of(given) == (given, "number")


@pytest.mark.parametrize("given", [HEX, HYPHENED, HYPHENED.upper(), UUID(HEX), UUID(HEX).bytes])
def test_a_uuid_in_any_form_is_one_id(given: object) -> None:
    assert id_of(given) == (HYPHENED, "uuid")


@pytest.mark.parametrize("given", ["17", "doc-1", HEX[:31], f"{HEX}0", f"{{{HYPHENED}}}", HEX.replace("0", "g"), " "])
def test_other_texts_become_a_uuid_of_their_own(given: str) -> None:
    point, kind = id_of(given)

    assert kind == "text"
    assert isinstance(point, str)
    assert point_id(point) == point
    assert id_of(given) == (point, kind)


def test_different_texts_have_different_ids() -> None:
    texts = ["17", "a", "A", "a ", "doc-1", "doc-2", "ä", "a\0"]

    assert len({id_of(text)[0] for text in texts}) == len(texts)


def test_ids_of_texts_and_places_never_change() -> None:
    assert id_of("doc-1")[0] == "26a40220-88d2-5af5-afb3-c6cba3c1d04c"
    assert id_at("a.jsonl", 3) == "72b4f26e-f269-51e9-a360-9e0de53e033d"


def test_an_id_that_reads_like_a_place_is_not_that_rows() -> None:
    assert id_of("a.jsonl#3")[0] != id_at("a.jsonl", 3)


def test_places_have_different_ids() -> None:
    assert len({id_at(key, number) for key in ("a", "a#1", "b") for number in range(12)}) == 36


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (-1, "is outside 0 to 2"),
        (2**63, "is outside 0 to 2"),
        (True, "id True is neither"),
        (1.0, "id 1.0 is neither"),
        ("", "id '' is neither"),
        (["a"], "is neither"),
        (b"short", "is neither"),
    ],
)
def test_other_things_are_refused(given: object, problem: str) -> None:
    with pytest.raises(BadRequest, match=problem):
        id_of(given)


def test_what_is_refused_is_shown_in_part() -> None:
    with pytest.raises(BadRequest) as caught:
        id_of(["x" * 1000])

    assert len(caught.value.message) < 200


def test_hyphens_stand_where_they_must() -> None:
    assert uuid_of(HEX) == str(UUID(HEX))


def test_a_summary_names_each_kind_that_there_was() -> None:
    counts = Counter({"number": 3, "text": 2})

    assert told(counts) == "ids: 3 whole numbers, 2 made of texts, which stay in the payload"


def test_of_no_ids_nothing_is_told() -> None:
    assert told(Counter()) == ""
