"""What is to be known of a column, a table or a view is written into its comment, beside what others wrote there."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from psycopg import sql

from embedstack.databases.pgvector.catalog import Found
from embedstack.databases.pgvector.connecting import Connection
from embedstack.databases.pgvector.known import written
from embedstack.databases.pgvector.quoting import Name, Quoted

Mode = Literal["SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"]
Changes = Mapping[str, "msgspec.Struct | None"]
"""By the label of the line; None takes it away."""

COLUMN = "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = %s::bigint::oid AND attname = %s"
RELATION = "SELECT obj_description(%s::bigint::oid, 'pg_class')"


def hold(connection: Connection, table: Found, mode: Mode = "SHARE UPDATE EXCLUSIVE") -> None:
    """Wait for a table as LOCK does, without a snapshot of the database.

    CREATE INDEX CONCURRENTLY has this lock and waits for older snapshots: any other statement that waited for it would
    end both in a deadlock.
    """
    for each in ("ACCESS SHARE", mode):  # the first waits for no index, and looks the name up: that takes a snapshot
        statement = sql.SQL("LOCK TABLE ONLY {} IN {} MODE").format(Name(table.schema, table.name), sql.SQL(each))
        connection.execute(statement, ())


def change_column(connection: Connection, table: Found, column: str, changes: Changes) -> None:
    """Who changes comments holds `making.lock`."""
    hold(connection, table)
    row = connection.execute(COLUMN, (table.oid, column)).fetchone()
    _comment(connection, "COLUMN", Name(table.schema, table.name, column), row[0] if row else None, changes)


def change_table(connection: Connection, table: Found, changes: Changes) -> None:
    """As `change_column`."""
    hold(connection, table)
    row = connection.execute(RELATION, (table.oid,)).fetchone()
    _comment(connection, "TABLE", Name(table.schema, table.name), row[0] if row else None, changes)


def comment_on(connection: Connection, what: str, name: Name, changes: Changes) -> None:
    """Of an index or a view that was just made.

    Args:
        what: "INDEX" or "VIEW".
    """
    _comment(connection, what, name, None, changes)


def _comment(connection: Connection, what: str, name: Name, old: str | None, changes: Changes) -> None:
    text = Quoted(written(old, changes) or None)
    connection.execute(sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(what), name, text), ())
