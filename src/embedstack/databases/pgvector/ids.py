"""Ids of points become the values of a table's id column, and back, in the order that all databases keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from psycopg import sql

from embedstack.databases.database import PointId, point_id
from embedstack.databases.pgvector.quoting import Name
from embedstack.errors import BadRequest

Kind = Literal["both", "number", "uuid", "text"]
NUMBER, UUID_ = b"\0", b"\1"  # in front of 8 bytes, big end first, and of 16
TYPES: dict[Kind, str] = {"both": "bytea", "number": "bigint", "uuid": "uuid", "text": "text"}
TAKEN: dict[Kind, str] = {"number": "whole numbers", "uuid": "UUIDs", "text": "UUIDs"}
KINDS: dict[str, Kind] = {
    "int2": "number", "int4": "number", "int8": "number", "uuid": "uuid", "text": "text", "varchar": "text",
}  # fmt: skip
"""By the type of a primary key, as pg_type names it."""


@dataclass(frozen=True, slots=True)
class Ids:
    """How the ids of one table are kept.

    A table that is made here keeps both kinds: a number in `id_number` or a UUID in `id_uuid`, and made of it by the
    server `id`, its bytes behind one that sorts numbers before UUIDs.
    """

    kind: Kind
    column: str  # by which points are found and sorted
    table: str  # for messages

    @property
    def type(self) -> sql.SQL:
        """Of the column, or one with which it can be compared."""
        return sql.SQL(TYPES[self.kind])

    @property
    def order(self) -> sql.Composable:
        """What sorts rows of `t` by their ids. UUIDs that are texts sort as others only by their bytes."""
        column = Name("t", self.column)
        return sql.SQL('{} COLLATE "C"').format(column) if self.kind == "text" else column

    def written(self) -> dict[str, str]:
        """The columns that are written, and types that take their values."""
        if self.kind == "both":
            return {"id_number": "bigint", "id_uuid": "uuid"}
        return {self.column: TYPES[self.kind]}

    def packed(self, given: PointId) -> tuple[bytes | None, ...]:
        """The values of `written` in PostgreSQL's binary format.

        Raises:
            BadRequest: the column takes no such id.
        """
        key = self.key(given)
        if isinstance(key, bytes):
            return (key[1:], None) if key[:1] == NUMBER else (None, key[1:])
        if isinstance(key, int):
            return (key.to_bytes(8, "big"),)
        return (key.bytes if isinstance(key, UUID) else key.encode(),)

    def key(self, given: PointId) -> bytes | int | UUID | str:
        """The value of `column`.

        Raises:
            BadRequest: it takes no such id.
        """
        found = point_id(given)
        if self.kind == "both":
            return NUMBER + found.to_bytes(8, "big") if isinstance(found, int) else UUID_ + UUID(found).bytes
        if isinstance(found, int) != (self.kind == "number"):
            raise BadRequest(
                f"the ids of table {self.table!r} are {TAKEN[self.kind]} and {found!r} is none; give ids of its "
                f"column {self.column!r}, or use a collection that embedstack makes"
            )
        return found if self.kind in ("number", "text") else UUID(str(found))

    def keys(self, given: Sequence[PointId]) -> list[bytes | int | UUID | str]:
        """Of each."""
        return [self.key(each) for each in given]

    def id_of(self, key: object) -> PointId:
        """What `key` was given.

        Raises:
            BadRequest: a row of a table of somebody's own has an id that is none here.
        """
        if isinstance(key, bytes):
            return int.from_bytes(key[1:], "big") if key[:1] == NUMBER else str(UUID(bytes=key[1:]))
        if isinstance(key, UUID):
            return str(key)
        if isinstance(key, int | str):
            try:
                found = point_id(key)
            except BadRequest as error:
                raise BadRequest(f"table {self.table!r} has a row that cannot be a point: {error}") from error
            if found == key:
                return found
        raise BadRequest(
            f"table {self.table!r} has a row with the id {key!r}, which is no UUID in lower case with hyphens; use a "
            "table whose primary key is a number or a uuid"
        )
