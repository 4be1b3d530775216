"""The nouns of what was stored: a row with its texts and its vector, and rows from all over a source."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from embedstack.origin import Origin
from embedstack.types import Floats


@dataclass(frozen=True, slots=True)
class Row:
    """A point, or a line or row of a file."""

    place: str  # for people: "point 7", "line 3 of 'a.jsonl'"
    fields: Mapping[str, str]  # what it says that is text, by key; of a nested one with dots
    vector: Floats  # (dim,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Some rows of a source, far from each other, in its order.

    Args:
        total: of the source, where that is known.
        origin: whose vectors they are said to be; None where nobody says it.
        reshaped: why the lengths of vectors are not those that were given; "" where they are.
    """

    label: str
    rows: Sequence[Row]
    total: int | None = None
    origin: Origin | None = None
    reshaped: str = ""


def fields_of(payload: Mapping[str, object], before: str = "") -> dict[str, str]:
    """Its texts by key, blank ones left out; those of an object within have its key and a dot in front."""
    return dict(_fields(payload, before))


def _fields(payload: Mapping[str, object], before: str) -> Iterator[tuple[str, str]]:
    for key, value in payload.items():
        if isinstance(value, str) and value.strip():
            yield f"{before}{key}", value
        elif isinstance(value, Mapping) and not before:
            yield from _fields(value, f"{key}.")
