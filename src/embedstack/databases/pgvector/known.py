"""What embedstack knows about a column or a table becomes lines of its comment, behind what others wrote there.

A column: `embedstack field: {…}`, how it was asked for; `embedstack: {…}`, whose vectors are in it. A table:
`embedstack: {…}`, the mark of the last load; `embedstack table: {…}`, that it was made beside another one. An index of
a payload's key: `embedstack index: {…}`. A view: `embedstack alias: {}`.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from embedstack.databases.database import Distance, IndexKind
from embedstack.errors import Mismatch

LABELS = ("embedstack field", "embedstack table", "embedstack index", "embedstack alias", "embedstack")
"""In the order of the lines: the last may be long, and is cut off where it is not needed."""
FIELD, TABLE, INDEX, ALIAS, SIGNED = LABELS
Known = TypeVar("Known", bound=msgspec.Struct)


class KnownField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of a column with vectors."""

    name: str  # a column's name may differ: see `making.free_column`
    distance: Distance
    idf: bool = False
    is_made: bool = False  # the column was made here, and so is its index


class KnownTable(msgspec.Struct, frozen=True, kw_only=True):
    """Of a table that was made here, if not by itself."""

    beside: bool  # its points are rows of another one, to which its primary key refers


class KnownIndex(msgspec.Struct, frozen=True, kw_only=True):
    """Of an index over a key of the payloads."""

    key: str
    kind: IndexKind
    is_tenant: bool


def read(comment: str | None, label: str, type_: type[Known], place: str) -> Known | None:
    """None where there is no such line.

    Args:
        place: for the message: "column 'embedding' of table 'docs'".
    Raises:
        Mismatch: the line cannot be read.
    """
    text = _lines(comment)[1].get(label)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=type_)
    except msgspec.MsgspecError as error:
        raise Mismatch(
            f"the line '{label}: ' in the comment of {place} cannot be read ({error}); restore it, or take the line out"
        ) from error


def written(comment: str | None, changes: Mapping[str, msgspec.Struct | None]) -> str:
    """The comment with other lines of ours; None takes one away.

    Args:
        changes: by label.
    """
    theirs, ours = _lines(comment)
    for label, value in changes.items():
        ours.pop(label, None)
        if value is not None:
            ours[label] = msgspec.json.encode(value).decode()
    return "\n".join([*theirs, *(f"{label}: {ours[label]}" for label in LABELS if label in ours)])


def _lines(comment: str | None) -> tuple[list[str], dict[str, str]]:
    """Those of others, and ours by label."""
    theirs: list[str] = []
    ours: dict[str, str] = {}
    for line in (comment or "").split("\n") if comment else []:
        label, colon, text = line.partition(": ")
        if colon and label in LABELS and text.startswith("{"):
            ours[label] = text
        else:
            theirs.append(line)
    return theirs, ours
