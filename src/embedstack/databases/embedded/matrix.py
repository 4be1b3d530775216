"""The rows of a field become all its vectors in memory, in the order of their points' ids."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from embedstack.databases.database import Field
from embedstack.databases.embedded.blobs import floats_of, terms_of
from embedstack.databases.embedded.catalogue import Kept
from embedstack.databases.embedded.damage import damaged
from embedstack.databases.embedded.schema import numbered
from embedstack.databases.embedded.scoring import Doubles, Places, Vectors, lengths_of
from embedstack.databases.embedded.sparse import Inverted, inverted

READ = 1024  # rows at a time
ORDER = "SELECT number FROM points# ORDER BY id"  # from the index alone
ROWS = "SELECT point, vector FROM vectors# ORDER BY point"  # as they lie in the file
SOME = "SELECT point, vector FROM vectors# WHERE point IN (SELECT value FROM json_each(?)) ORDER BY point"

Chunk: TypeAlias = "tuple[Places, list[bytes]]"
"""Places among all points of the collection, and what the field has of them."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """The vectors of one field as they were at one instant."""

    version: int  # of the field, see `catalogue.Kept`
    numbers: Places  # (points,) of rows, in the order of ids: a place here is one in the body
    body: Vectors | Inverted

    def places_of(self, numbers: Places) -> Places:
        """Of rows in any order, rising; those without such a vector are left out."""
        return np.flatnonzero(np.isin(self.numbers, numbers))


def read_matrix(connection: sqlite3.Connection, found: Kept, name: str) -> Matrix:
    """Of one field of a collection.

    Raises:
        ConfigError: what is kept is no such vectors.
    """
    field = found.collection.fields[name]
    order = np.array(connection.execute(numbered(ORDER, found.number)).fetchall(), np.int64).reshape(-1)
    chunks = _chunks(connection.execute(numbered(ROWS, found.fields[name])), order)
    has, body = _dense(field, chunks, len(order)) if field.kind == "dense" else _other(field, chunks)
    return Matrix(found.versions[name], order[has], body)


def read_some(connection: sqlite3.Connection, found: Kept, name: str, order: Places) -> Matrix:
    """Of a dense or multi field, and of some points alone: several vectors of each of many are too much for memory.

    Args:
        order: numbers of their rows, in the order of ids.
    Raises:
        ConfigError: as `read_matrix`.
    """
    field = found.collection.fields[name]
    chunks = _chunks(connection.execute(numbered(SOME, found.fields[name]), (json.dumps(order.tolist()),)), order)
    has, body = _dense(field, chunks, len(order)) if field.kind == "dense" else _other(field, chunks)
    return Matrix(found.versions[name], order[has], body)


def _chunks(rows: sqlite3.Cursor, order: Places) -> Iterator[Chunk]:
    ranks = np.argsort(order)
    rising = order[ranks]
    while some := rows.fetchmany(READ):
        numbers = np.array([number for number, _ in some], np.int64)
        found = np.searchsorted(rising, numbers)
        if len(rising) == 0 or (rising.take(found, mode="clip") != numbers).any():
            raise damaged("there is a vector of a point that is not there")
        yield ranks[found], [blob for _, blob in some]


def _dense(field: Field, chunks: Iterator[Chunk], points: int) -> tuple[Places, Vectors]:
    """Into one array that is made beforehand, as twice the memory would be much."""
    numbers = np.empty((points, field.dim), np.float32)
    lengths = np.empty(points)
    has = np.zeros(points, bool)
    for places, some in chunks:
        block = floats_of(field, b"".join(some))
        if {len(blob) for blob in some} != {block[0].nbytes}:
            raise damaged(f"there is a vector that has not {field.dim} numbers")
        numbers[places], lengths[places], has[places] = block, lengths_of(block), True
    if not has.all():
        numbers, lengths = numbers[has], lengths[has]
    return np.flatnonzero(has), Vectors(numbers, _sound(field, lengths))


def _other(field: Field, chunks: Iterator[Chunk]) -> tuple[Places, Vectors | Inverted]:
    rows = sorted((place, blob) for places, some in chunks for place, blob in zip(places.tolist(), some, strict=True))
    blobs = [blob for _, blob in rows]
    has = np.array([place for place, _ in rows], np.int64)
    return has, _inverted(field, blobs) if field.kind == "sparse" else _multi(field, blobs)


def _multi(field: Field, blobs: list[bytes]) -> Vectors:
    parts = [floats_of(field, blob).astype(np.float32) for blob in blobs]
    numbers = np.concatenate([np.empty((0, field.dim), np.float32), *parts])
    return Vectors(numbers, _sound(field, lengths_of(numbers)), np.cumsum([0, *map(len, parts)]))


def _inverted(field: Field, blobs: list[bytes]) -> Inverted:
    parts = [terms_of(field.storing, blob) for blob in blobs]
    _sound(field, np.array([np.abs(weights).sum(dtype=np.float64) for _, weights in parts]))
    return inverted([terms for terms, _ in parts], [weights for _, weights in parts])


def _sound(field: Field, lengths: Doubles) -> Doubles:
    """Nothing was written that is not finite, or has no direction where that is asked for."""
    if not np.isfinite(lengths).all() or (field.distance == "cosine" and not lengths.all()):
        raise damaged("there is a vector that is not finite, or all zeros")
    return lengths
