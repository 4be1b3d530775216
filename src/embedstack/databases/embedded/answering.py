"""A question becomes the points nearest to it; fields that were asked about are kept in memory for the next one."""

import sqlite3
import threading

import numpy as np

from embedstack.databases.database import Field, Hit, Query
from embedstack.databases.embedded.catalogue import Kept, tables
from embedstack.databases.embedded.matrix import Matrix, read_matrix, read_some
from embedstack.databases.embedded.points import chosen, numbers_of, one
from embedstack.databases.embedded.scoring import Nearest, nearest, question
from embedstack.databases.embedded.sparse import Inverted, nearest_sparse
from embedstack.types import Sparse


class Matrices:
    """Fields in memory, each as it was when it was last read; until `forget`."""

    def __init__(self) -> None:
        self._kept: dict[int, Matrix] = {}  # by the number of the field's table
        self._locks: dict[tuple[str, str], threading.Lock] = {}

    def known(self, found: Kept, name: str) -> Matrix | None:
        """None where it is not in memory, or was changed since, by whomever."""
        matrix = self._kept.get(found.fields[name])
        return matrix if matrix is not None and matrix.version == found.versions[name] else None

    def read(self, connection: sqlite3.Connection, found: Kept, name: str) -> Matrix:
        """As `known`, or from the file; before, the one that was in memory makes room, and all that others dropped."""
        matrix = self.known(found, name)
        if matrix is None:
            for table in self._kept.keys() - tables(connection) | {found.fields[name]}:
                self._kept.pop(table, None)
            matrix = self._kept[found.fields[name]] = read_matrix(connection, found, name)
        return matrix

    def fitting(self, connection: sqlite3.Connection, found: Kept, query: Query) -> Matrix | None:
        """As `known`, or as much from the file as the query is about; None where that is all of it.

        Where points are named only these are read, and not kept; how rare a term is, all of them say.
        """
        matrix = self.known(found, query.field)
        if matrix is None and query.among is not None and not isinstance(query.vector, Sparse):
            order = np.array(numbers_of(connection, found, query.among), np.int64)
            return read_some(connection, found, query.field, order)
        return matrix

    def lock(self, collection: str, field: str) -> threading.Lock:
        """Whoever reads it from the file does so alone."""
        return self._locks.setdefault((collection, field), threading.Lock())

    def forget(self, found: Kept | None = None) -> None:
        """One collection, or all."""
        for table in list(self._kept) if found is None else found.fields.values():
            self._kept.pop(table, None)


def hits(connection: sqlite3.Connection, found: Kept, matrix: Matrix, field: Field, query: Query) -> list[Hit]:
    """At most `limit`, best first; `query` was checked."""
    places, scores = _nearest(connection, found, matrix, field, query)
    given: list[Hit] = []
    for number, score in zip(matrix.numbers[places].tolist(), scores.tolist(), strict=True):
        point = one(connection, found, number, query.with_vectors, payload=query.with_payload)
        given.append(Hit(id=point.id, vectors=point.vectors, payload=point.payload, score=score))
    return given


def _nearest(connection: sqlite3.Connection, found: Kept, matrix: Matrix, field: Field, query: Query) -> Nearest:
    """Places in the matrix."""
    places = None
    if query.where.all or query.where.none:
        places = matrix.places_of(np.array(chosen(connection, found, query.where), np.int64))
    if query.among is not None:
        named = matrix.places_of(np.array(numbers_of(connection, found, query.among), np.int64))
        places = named if places is None else np.intersect1d(places, named)
    body, limit, least = matrix.body, query.limit, query.least
    if isinstance(body, Inverted):
        assert isinstance(query.vector, Sparse)
        return nearest_sparse(body, query.vector, idf=field.idf, limit=limit, least=least, places=places)
    assert not isinstance(query.vector, Sparse)
    return nearest(body, question(query.vector, field.distance), limit=limit, least=least, places=places)
