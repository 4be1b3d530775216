"""A table becomes the pieces of statements that read its points, and the rows that come back become points."""

from collections.abc import Sequence

from psycopg import sql

from embedstack.databases.database import Json, Point, PointId, Vector
from embedstack.databases.pgvector.binary import unpacked_dense, unpacked_sparse
from embedstack.databases.pgvector.quoting import Name
from embedstack.databases.pgvector.tables import Table

Row = tuple[object, ...]


def from_table(table: Table) -> sql.Composable:
    """FROM, with `t` for the points and `p` for what they are about."""
    name = Name(table.found.schema, table.found.name)
    if table.parent is None:
        return sql.SQL("FROM {} AS t").format(name)
    parent, key = Name(table.parent.schema, table.parent.name), Name("p", table.parent.key)
    return sql.SQL("FROM {} AS t JOIN {} AS p ON {} = {}").format(name, parent, key, Name("t", table.ids.column))


def selected(table: Table, vectors: Sequence[str], *, payload: bool) -> sql.Composable:
    """The columns that `point_of` reads, the id first.

    Args:
        vectors: names of fields.
    """
    pieces: list[sql.Composable] = [Name("t", table.ids.column)]
    pieces += [Name("t", table.column(name).name) for name in vectors]
    return sql.SQL(", ").join([*pieces, _payload(table)] if payload else pieces)


def point_of(table: Table, vectors: Sequence[str], row: Row, *, payload: bool) -> tuple[Point, Row]:
    """The point of a row, and what stands behind it there."""
    id_, kept, there = _read(table, vectors, row, payload=payload)
    return Point(id=id_, vectors=kept, payload=there), row[1 + len(vectors) + payload :]


def _read(
    table: Table, vectors: Sequence[str], row: Row, *, payload: bool
) -> tuple[PointId, dict[str, Vector], dict[str, Json]]:
    kept = {name: _vector(table, name, data) for name, data in zip(vectors, row[1:], strict=False) if data is not None}
    there = row[1 + len(vectors)] if payload else None
    return table.ids.id_of(row[0]), kept, there if isinstance(there, dict) else {}


def _vector(table: Table, field: str, data: object) -> Vector:
    assert isinstance(data, bytes)  # psycopg leaves types that it does not know as they come
    type_ = table.column(field).type
    return unpacked_sparse(data) if type_ == "sparsevec" else unpacked_dense(data, half=type_ == "halfvec")


def _payload(table: Table) -> sql.Composable:
    """Of a table of somebody's own all other columns, as many as there are."""
    source = table.source
    if source.columns is None:
        return Name(source.alias, "payload")
    if not source.columns:
        return sql.SQL("'{}'::jsonb")
    columns = sql.SQL(", ").join(Name(source.alias, column) for column in source.columns)
    return sql.SQL("(SELECT to_jsonb(r) FROM (SELECT {}) AS r)").format(columns)
