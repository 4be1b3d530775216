"""Lexical weights of a question become those that a column can be asked with, more for terms that few points have."""

from collections.abc import Iterator

import numpy as np
from psycopg import sql

from embedstack.databases.pgvector.binary import packed_sparse
from embedstack.databases.pgvector.columns import VectorColumn
from embedstack.databases.pgvector.connecting import Connection, Packed
from embedstack.databases.pgvector.quoting import Name
from embedstack.databases.pgvector.tables import Table
from embedstack.types import Floats, Sparse

AT_ONCE = 500  # terms in a statement: it may have 1664 columns


def fitting(vector: Sparse, width: int) -> Sparse:
    """Without terms that no vector of this width can have."""
    kept = (vector.ids < width) & (vector.weights != 0)
    return Sparse(vector.ids[kept], vector.weights[kept])


def weighed(connection: Connection, table: Table, column: VectorColumn, vector: Sparse) -> Sparse:
    """Each weight multiplied by ln(1 + (N - df + 0.5) / (df + 0.5)): N points have any terms, df of them this one.

    Exact, and so it reads the whole column once for each 500 terms: as slow as the question itself.
    """
    rarities = [_rarities(connection, table, column, ids) for ids in _parts(vector)]
    weights = np.concatenate([*rarities, np.zeros(0)]) * vector.weights
    return Sparse(vector.ids, weights.astype(np.float32))


def _parts(vector: Sparse) -> Iterator[list[int]]:
    ids = [int(one) for one in vector.ids]
    for start in range(0, len(ids), AT_ONCE):
        yield ids[start : start + AT_ONCE]


def _rarities(connection: Connection, table: Table, column: VectorColumn, ids: list[int]) -> Floats:
    """(ids,)."""
    has = sql.SQL("count(*) FILTER (WHERE {} OPERATOR({}.<#>) %b::{} <> 0)").format(
        Name(column.name), Name(table.schema), Name(table.schema, column.type)
    )
    has_any = sql.SQL("count(*) FILTER (WHERE {} > 0)").format(
        sql.SQL("{}({})").format(Name(table.schema, "l2_norm"), Name(column.name))
    )
    statement = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join([has_any, *[has] * len(ids)]),
        Name(table.found.schema, table.found.name),
    )
    values = [Packed(packed_sparse(_only(term), column.width)) for term in ids]
    row = connection.execute(statement, values).fetchone()
    counts = np.array(row, np.float64)
    return np.log(1 + (counts[0] - counts[1:] + 0.5) / (counts[1:] + 0.5))  # type: ignore[no-any-return]


def _only(term: int) -> Sparse:
    return Sparse(np.array([term], np.int32), np.ones(1, np.float32))
