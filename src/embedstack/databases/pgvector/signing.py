"""Whose vectors a field holds, and what was loaded last, are written beside a collection by one at a time."""

from embedstack.databases.database import Loaded
from embedstack.databases.pgvector.comments import change_column, change_table
from embedstack.databases.pgvector.connecting import Connection
from embedstack.databases.pgvector.known import SIGNED
from embedstack.databases.pgvector.making import lock
from embedstack.databases.pgvector.tables import find_table, table_of
from embedstack.errors import Mismatch
from embedstack.origin import Origin


def sign(connection: Connection, name: str, field: str, origin: Origin, over: Origin | None) -> Origin:
    """As `Database.sign`: a compare-and-set, because all who sign hold one lock until it is durable.

    Raises:
        Mismatch: nobody has signed the field, and somebody was expected to have done it.
    """
    lock(connection)
    table = find_table(connection, name, origins=True) or table_of(connection, name)
    column = table.column(field)
    there = column.field.origin
    if there == over:
        change_column(connection, table.found, column.name, {SIGNED: origin})
        return origin
    if there is None:
        raise Mismatch(
            f"nobody has signed vector {field!r} of collection {table.name!r} any more; look who took that away"
        )
    return there


def mark(connection: Connection, name: str, loaded: Loaded | None) -> None:
    """As `Database.mark`."""
    lock(connection)
    change_table(connection, table_of(connection, name).found, {SIGNED: loaded})
