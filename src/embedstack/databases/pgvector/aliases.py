"""Aliases are views of the tables that they stand for, with a comment that says so."""

import msgspec
from psycopg import sql

from embedstack.databases.checks import check_name
from embedstack.databases.pgvector.catalog import Found, find, find_number, find_views, place_of
from embedstack.databases.pgvector.comments import comment_on
from embedstack.databases.pgvector.connecting import Connection
from embedstack.databases.pgvector.known import ALIAS
from embedstack.databases.pgvector.making import lock
from embedstack.databases.pgvector.quoting import Name
from embedstack.databases.pgvector.tables import Table, find_table, is_alias, table_of
from embedstack.errors import BadRequest, Mismatch


class KnownAlias(msgspec.Struct, frozen=True):
    """What it stands for the view itself says."""


def aliases(connection: Connection) -> dict[str, str]:
    """As `Database.aliases`."""
    views = [found for found in find_views(connection) if is_alias(found) and found.is_visible]
    tables = {found.name: find_number(connection, found.shows or 0) for found in views}
    return {name: table.own_name for name, table in sorted(tables.items()) if table is not None}


def switch(connection: Connection, alias: str, new: str, old: str | None) -> None:
    """As `Database.switch`. The view is made anew, so rights that were granted on it are granted again by hand."""
    check_name(alias, "alias")
    lock(connection)
    table = table_of(connection, new)
    found = find(connection, alias)
    _check(connection, alias, found, old)
    if found is not None:
        connection.execute(sql.SQL("DROP VIEW {}").format(Name(found.schema, found.name)), ())
    view = Name(found.schema, found.name) if found else Name(*place_of(connection, alias))
    connection.execute(
        sql.SQL("CREATE VIEW {} AS SELECT * FROM {}").format(view, Name(table.found.schema, table.found.name)), ()
    )
    comment_on(connection, "VIEW", view, {ALIAS: KnownAlias()})


def drop(connection: Connection, name: str) -> None:
    """As `Database.drop`.

    Raises:
        BadRequest: the table was not made here.
    """
    lock(connection)
    table = find_table(connection, name)
    if table is None or not table.is_collection:
        return
    if not table.is_own and table.parent is None:
        raise BadRequest(
            f"table {table.name!r} was not made by embedstack; drop it yourself, or its columns of vectors"
        )
    for view in _views_of(connection, table):
        connection.execute(sql.SQL("DROP VIEW {}").format(Name(view.schema, view.name)), ())
    connection.execute(sql.SQL("DROP TABLE {}").format(Name(table.found.schema, table.found.name)), ())


def _check(connection: Connection, alias: str, found: Found | None, old: str | None) -> None:
    if found is not None and not is_alias(found):
        raise BadRequest(f"{alias!r} is a table or a view that is no alias; take another name for the alias")
    there = find_number(connection, found.shows or 0) if found else None
    stands_for = there.own_name if there else None
    if stands_for == old:
        return
    named = find(connection, old) if old is not None else None
    if there is None or named is None or named.oid != there.oid:
        raise Mismatch(
            f"alias {alias!r} stands for {stands_for or 'nothing'!r}, and {old or 'nothing'!r} was expected; look who "
            "switched it"
        )


def _views_of(connection: Connection, table: Table) -> list[Found]:
    return [found for found in find_views(connection) if is_alias(found) and found.shows == table.found.oid]
