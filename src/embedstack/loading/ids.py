"""Ids of any kind -> the ids of points, and how many there were of each kind. Pure."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal
from uuid import UUID, uuid5

from embedstack.databases.database import MOST_ID, PointId
from embedstack.errors import BadRequest

IdKind = Literal["number", "uuid", "text", "place"]
"""A whole number, a UUID, any other text, or no id at all: then the place of the row makes one."""

# These two never change: with others, rows that were loaded before would come a second time.
TEXTS = UUID("cb03d119-1f66-565a-ba1f-e75fe7d4a5da")  # uuid5(NAMESPACE_DNS, "ids.embedstack")
PLACES = UUID("3529ed28-4272-587f-8759-85caaabf4b8c")  # uuid5(TEXTS, "rows")
HEX = re.compile(r"[0-9a-fA-F]{32}")
HYPHENED = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SHOWN = 60  # characters of a value that a message repeats
WORDS: Mapping[IdKind, str] = {
    "number": "whole numbers",
    "uuid": "UUIDs",
    "text": "made of texts, which stay in the payload",
    "place": "made of the file's name and the row's number, as the row has none",
}


def id_of(given: object) -> tuple[PointId, IdKind]:
    """Whole numbers and UUIDs stay what they are, 32 hexadecimal digits are a UUID, other texts become one.

    Raises:
        BadRequest: it is empty, out of range, or neither a text nor a whole number.
    """
    match given:
        case bool():
            pass
        case int() if 0 <= given < MOST_ID:
            return given, "number"
        case int():
            raise BadRequest(f"id {_shown(given)} is outside 0 to 2**63 - 1; give it as a text")
        case str() if HEX.fullmatch(given) or HYPHENED.fullmatch(given):
            return uuid_of(given), "uuid"
        case str() if given:
            return str(uuid5(TEXTS, given)), "text"
        case UUID():
            return str(given), "uuid"
        case bytes() if len(given) == 16:  # a UUID as Parquet keeps it
            return str(UUID(bytes=given)), "uuid"
    raise BadRequest(f"id {_shown(given)} is neither a whole number nor a text; give each row one of these, or none")


def id_at(key: str, number: int) -> PointId:
    """Of a row that has none: the same as long as its file has this name and the row this number."""
    return str(uuid5(PLACES, f"{key}#{number}"))


def uuid_of(digits: str) -> str:
    """32 hexadecimal digits, with hyphens or without, as points have them."""
    plain = digits.replace("-", "").lower()
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


def told(counts: Counter[IdKind]) -> str:
    """For people: "ids: 3 whole numbers, 2 UUIDs"; empty where there are none."""
    parts = ", ".join(f"{counts[kind]} {words}" for kind, words in WORDS.items() if counts[kind])
    return f"ids: {parts}" if parts else ""


def _shown(given: object) -> str:
    text = repr(given)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
