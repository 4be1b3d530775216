"""A question becomes hits: by the index of the vectors, or compared with each of them."""

from collections.abc import Sequence

import numpy as np
from psycopg import sql

from embedstack.databases.checks import check_query
from embedstack.databases.database import Distance, Hit, Query, order_of
from embedstack.databases.pgvector.binary import packed_dense, packed_sparse
from embedstack.databases.pgvector.columns import VectorColumn
from embedstack.databases.pgvector.connecting import Connection, Packed
from embedstack.databases.pgvector.quoting import Name, Part
from embedstack.databases.pgvector.statements import from_table, point_of, selected
from embedstack.databases.pgvector.tables import Table
from embedstack.databases.pgvector.terms import fitting, weighed
from embedstack.databases.pgvector.where import behind_where, conditions
from embedstack.types import Floats, Sparse

OPERATORS: dict[Distance, str] = {"cosine": "<=>", "dot": "<#>", "l2": "<->"}
DISTANCE = Name("embedstack: distance")  # a name that no column has
MORE = 16  # hits beyond the limit, so that of equal ones at the cut those with the lower ids are given
ITERATES = (0, 8, 0)  # of pgvector: an index is read on until enough points are found that are meant
ONE_BY_ONE = "SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = on"  # bitmaps of conditions stay allowed
MOST_LOOKED_AT = 1000  # hnsw.ef_search; more only where the index is read on
LEAST_LOOKED_AT = 40  # pgvector's own


def ask(connection: Connection, table: Table, query: Query) -> list[Hit]:
    """As `Database.query`.

    Where there is an HNSW index it is read in the order of distances until `limit` points are found that are meant; if
    it ends before (pgvector looks at 20,000 of them, `hnsw.max_scan_tuples`), all points are compared. Sparse vectors
    are always compared one by one. Of more than 16 equal hits at the cut others than those with the lowest ids may be
    given where an index is read.
    """
    check_query(table.collection, query)
    column = table.column(query.field)
    part = _distance(connection, table, column, query)
    if part is None:
        return []
    if column.is_indexed and not query.is_exact and query.among is None:
        _read_on(connection, table, query.limit + MORE)
        hits = _hits(connection, table, query, part, query.limit + MORE)
        if len(hits) >= query.limit:
            return _best(hits, query)
    connection.execute(ONE_BY_ONE)
    return _best(_hits(connection, table, query, part, query.limit, in_order=True), query)


def _distance(connection: Connection, table: Table, column: VectorColumn, query: Query) -> Part | None:
    """What is sorted by, the nearest first; None where nothing can be found."""
    name = Name("t", column.name)
    if isinstance(query.vector, Sparse):
        vector = fitting(query.vector, column.width)
        weights = weighed(connection, table, column, vector) if column.field.idf else vector
        if not len(weights.ids):
            return None
        data = packed_sparse(weights, column.width)
    else:
        data = packed_dense(_scaled(query.vector, column)[None], half=column.type == "halfvec")[0]
    operator = sql.SQL("OPERATOR({}.{})").format(Name(table.schema), sql.SQL(OPERATORS[column.field.distance]))
    return sql.SQL("{} {} %b::{}").format(name, operator, Name(table.schema, column.type)), (Packed(data),)


def _scaled(vector: Floats, column: VectorColumn) -> Floats:
    """So that none of its numbers is lost in halves, where only its direction counts."""
    is_safe = column.type != "halfvec" or column.field.distance != "cosine"
    return vector if is_safe else np.asarray(vector / np.abs(vector).max(), np.float32)


def _hits(
    connection: Connection, table: Table, query: Query, distance: Part, limit: int, *, in_order: bool = False
) -> list[Hit]:
    piece, data = distance
    column = Name("t", table.column(query.field).name)
    has_any: list[Part] = [(sql.SQL("{} IS NOT NULL").format(column), ())]
    if isinstance(query.vector, Sparse):
        has_any = [(sql.SQL("({}) <> 0").format(piece), data)]
    where, values = behind_where([*has_any, *_among(table, query), *conditions(table, query.where)])
    order = sql.SQL("{}, {}").format(DISTANCE, table.ids.order) if in_order else DISTANCE
    statement = sql.SQL("SELECT {}, {} AS {} {} {} ORDER BY {} LIMIT %s").format(
        selected(table, query.with_vectors, payload=query.with_payload),
        piece,
        DISTANCE,
        from_table(table),
        where,
        order,
    )
    rows = connection.execute(statement, [*data, *values, limit], binary=True)
    return [_hit(table, query, row) for row in rows]


def _among(table: Table, query: Query) -> list[Part]:
    if query.among is None:
        return []
    named = sql.SQL("{} = ANY (%s::{}[])").format(Name("t", table.ids.column), table.ids.type)
    return [(named, (table.ids.keys(query.among),))]


def _hit(table: Table, query: Query, row: tuple[object, ...]) -> Hit:
    point, rest = point_of(table, query.with_vectors, row, payload=query.with_payload)
    distance = rest[0]
    assert isinstance(distance, float)
    score = 1 - distance if table.column(query.field).field.distance == "cosine" else -distance
    return Hit(id=point.id, vectors=point.vectors, payload=point.payload, score=score)


def _best(hits: Sequence[Hit], query: Query) -> list[Hit]:
    """Those that are near enough, of equal ones the lower id first. A vector of zeros is near to none by cosine."""
    near = [hit for hit in hits if hit.score == hit.score and (query.least is None or hit.score >= query.least)]
    return sorted(near, key=lambda hit: (-hit.score, order_of(hit.id)))[: query.limit]


def _read_on(connection: Connection, table: Table, wanted: int) -> None:
    """For the rest of the transaction: how much of an index is read."""
    looked_at = min(max(wanted, LEAST_LOOKED_AT), MOST_LOOKED_AT)
    settings = [f"SET LOCAL hnsw.ef_search = {looked_at:d}"]
    if table.extension.version >= ITERATES:
        settings.append("SET LOCAL hnsw.iterative_scan = strict_order")
    connection.execute("; ".join(settings).encode())
