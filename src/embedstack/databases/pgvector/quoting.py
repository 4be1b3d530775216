"""Names and texts become parts of a statement, in which psycopg reads every % as the beginning of a place for a value.

psycopg should double them itself (its `sql.Identifier` and `sql.Literal` of 3.3 do not), so all statements with these
parts are run with values, be they none.
"""

from collections.abc import Sequence
from typing import TypeAlias

from psycopg import sql
from psycopg.abc import AdaptContext

Part: TypeAlias = tuple[sql.Composable, Sequence[object]]
"""A piece of a statement, and the values that its places stand for, in their order."""


class Name(sql.Identifier):
    """Of a table, a column or anything else that has one, with its schema in front where two are given."""

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        return super().as_bytes(context).replace(b"%", b"%%")


class Quoted(sql.Literal):
    """A text in a statement that takes no values, as COMMENT."""

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        return super().as_bytes(context).replace(b"%", b"%%")


def joined(parts: Sequence[Part], by: str) -> Part:
    """All of them with a word in between."""
    pieces = [sql.SQL("({})").format(piece) for piece, _ in parts]
    return sql.SQL(by).join(pieces), [value for _, values in parts for value in values]
