"""Ids or a place in their order become points."""

from collections.abc import Sequence

from psycopg import sql

from embedstack.databases.database import Page, Point, PointId, Where
from embedstack.databases.pgvector.connecting import Connection
from embedstack.databases.pgvector.quoting import Name, Part
from embedstack.databases.pgvector.statements import from_table, point_of, selected
from embedstack.databases.pgvector.tables import Table
from embedstack.databases.pgvector.where import behind_where, conditions
from embedstack.errors import BadRequest


def read(
    connection: Connection, table: Table, after: PointId | None, limit: int, vectors: Sequence[str],
    *, payload: bool, where: Where | None,
) -> Page:  # fmt: skip
    """As `Database.read`."""
    if limit < 1:
        raise BadRequest(f"limit {limit!r} of a page is below 1; ask for at least one point")
    parts: list[Part] = conditions(table, where)
    if after is not None:
        behind = sql.SQL("{} > %s::{}").format(table.ids.order, table.ids.type)
        parts.insert(0, (behind, (table.ids.key(after),)))
    points = _points(connection, table, vectors, parts, payload=payload, limit=limit + 1)
    return Page(points[:limit], points[limit - 1].id if len(points) > limit else None)


def get(connection: Connection, table: Table, ids: Sequence[PointId], vectors: Sequence[str]) -> list[Point]:
    """As `Database.get`."""
    keys = table.ids.keys(ids)
    among = sql.SQL("{} = ANY (%s::{}[])").format(Name("t", table.ids.column), table.ids.type)
    points = _points(connection, table, vectors, [(among, (keys,))], payload=True)
    by_id = {point.id: point for point in points}
    wanted = (table.ids.id_of(key) for key in keys)
    return [by_id[each] for each in wanted if each in by_id]


def count(connection: Connection, table: Table) -> int:
    """All points. PostgreSQL counts rows one by one: a second for some millions."""
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {}").format(Name(table.found.schema, table.found.name)), ()
    ).fetchone()
    return int(row[0]) if row else 0


def _points(
    connection: Connection, table: Table, vectors: Sequence[str], parts: list[Part],
    *, payload: bool, limit: int | None = None,
) -> list[Point]:  # fmt: skip
    """In the order of ids."""
    where, values = behind_where(parts)
    statement = sql.SQL("SELECT {} {} {} ORDER BY {} LIMIT %s").format(
        selected(table, vectors, payload=payload), from_table(table), where, table.ids.order
    )
    rows = connection.execute(statement, [*values, limit], binary=True).fetchall()
    return [point_of(table, vectors, row, payload=payload)[0] for row in rows]
