"""Points become what Qdrant is sent, in parts that are not too large, and what it sends becomes points."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias
from uuid import UUID

import numpy as np
from qdrant_client import models

from embedstack.databases.checks import MOST_TERM
from embedstack.databases.database import Column, Hit, Point, PointId, Points, Vector, point_id
from embedstack.errors import BadRequest
from embedstack.types import Floats, Sparse

Wire: TypeAlias = "list[float] | list[list[float]] | models.SparseVector"
Named: TypeAlias = "list[float] | list[list[float]] | dict[str, models.Vector]"

MOST_BYTES = 30_000_000  # a request: the server takes 32 MiB unless it is told otherwise
NUMBER_BYTES = 25  # at most, of a float32 written as JSON writes a float64
TERM_BYTES = 12  # at most, of a term's number
NAME_BYTES = 40  # of signs around the name of a vector
POINT_BYTES = 100  # of an id, and of signs around one
LAST_UUID = 2**128 - 1


# ------------------------------------------------------------------------------------------------ to Qdrant


def structs_of(points: Points) -> list[models.PointStruct]:
    """With their payloads."""
    rows = _rows(points)
    return [
        models.PointStruct(id=given, vector=named_of(row), payload=dict(payload))
        for given, row, payload in zip(points.ids, rows, points.payloads, strict=True)
    ]


def updates_of(points: Points) -> list[models.PointVectors]:
    """The vectors alone, of those that have any."""
    rows = zip(points.ids, _rows(points), strict=True)
    return [models.PointVectors(id=given, vector=named_of(row)) for given, row in rows if row]


def termless_of(points: Points) -> dict[str, list[PointId]]:
    """Field -> points whose vector there has no terms: it is not written, as a server counts no such point."""
    made: dict[str, list[PointId]] = {}
    for name, column in points.vectors.items():
        for given, vector in zip(points.ids, column, strict=True):
            if isinstance(vector, Sparse) and len(vector.ids) == 0:
                made.setdefault(name, []).append(given)
    return made


def named_of(vectors: dict[str, models.Vector]) -> Named:
    """One without a name stands alone, where nothing is beside it."""
    alone = vectors.get("") if len(vectors) == 1 else None
    return alone if isinstance(alone, list) else vectors


def wire_of(vector: Vector) -> Wire:
    """One vector, or several of one point."""
    if isinstance(vector, Sparse):
        return models.SparseVector(
            indices=np.asarray(vector.ids).tolist(), values=np.asarray(vector.weights, np.float32).tolist()
        )
    return _listed(vector)


def _rows(points: Points) -> Iterator[dict[str, models.Vector]]:
    columns = {name: _wires(column) for name, column in points.vectors.items()}
    every = ({name: column[row] for name, column in columns.items()} for row in range(len(points)))
    return ({name: wire for name, wire in row.items() if not _is_termless(wire)} for row in every)


def _is_termless(wire: Wire) -> bool:
    return isinstance(wire, models.SparseVector) and not wire.indices


def _wires(column: Column) -> Sequence[Wire]:
    """A matrix at once: it is far quicker than row by row."""
    if isinstance(column, np.ndarray):
        rows: list[list[float]] = np.asarray(column, np.float32).tolist()
        return rows
    return [wire_of(vector) for vector in column]


def _listed(vector: Floats) -> list[float] | list[list[float]]:
    made: list[float] | list[list[float]] = np.asarray(vector, np.float32).tolist()
    return made


def parts_of(points: Points, most: int = MOST_BYTES) -> Iterator[Points]:
    """In their order, each at most so many bytes as JSON; a point that is larger than that comes alone."""
    sizes = _sizes(points)
    start = held = 0
    for row, size in enumerate(sizes):
        if held + size > most and row > start:
            yield cut(points, start, row)
            start, held = row, 0
        held += size
    if start < len(points):
        yield cut(points, start, len(points))


def cut(points: Points, start: int, stop: int) -> Points:
    """Those from `start`, up to the one before `stop`."""
    vectors = {name: column[start:stop] for name, column in points.vectors.items()}
    return replace(points, ids=points.ids[start:stop], vectors=vectors, payloads=points.payloads[start:stop])


def _sizes(points: Points) -> list[int]:
    """Of each in bytes, rather too many."""
    names = sum(len(name) + NAME_BYTES for name in points.vectors)
    return [
        POINT_BYTES + names + _payload_bytes(payload) + sum(_bytes(column[row]) for column in points.vectors.values())
        for row, payload in enumerate(points.payloads)
    ]


def _payload_bytes(payload: Mapping[str, object]) -> int:
    return len(json.dumps(dict(payload), ensure_ascii=False).encode())


def _bytes(vector: Vector) -> int:
    if isinstance(vector, Sparse):
        return len(vector.ids) * (NUMBER_BYTES + TERM_BYTES)
    return vector.size * NUMBER_BYTES


def behind(given: PointId) -> PointId | None:
    """The very next id, from which Qdrant begins when all behind `given` are wanted; None: there is none."""
    if isinstance(given, int):
        return given + 1
    number = UUID(given).int
    return None if number == LAST_UUID else str(UUID(int=number + 1))


# ------------------------------------------------------------------------------------------------ from Qdrant


def point_of(record: models.Record) -> Point:
    """Raises BadRequest: its number is over 2**63 - 1, or a term over 2**31 - 1, which other databases cannot have."""
    return Point(id=_id(record.id), vectors=vectors_of(record.vector), payload=record.payload or {})


def hit_of(found: models.ScoredPoint, *, is_distance: bool) -> Hit:
    """Scores are of float32, as the server's are: equal vectors have equal ones.

    Args:
        is_distance: less is nearer, and so the score is its negative.
    Raises:
        BadRequest: as `point_of`.
    """
    score = float(np.float32(found.score))
    return Hit(
        id=_id(found.id),
        vectors=vectors_of(found.vector),
        payload=found.payload or {},
        score=0.0 - score if is_distance else score,  # no minus before 0
    )


def vectors_of(given: object) -> dict[str, Vector]:
    """By name; one that came alone has none."""
    if given is None:
        return {}
    named = given if isinstance(given, dict) else {"": given}
    return {name: _vector(vector) for name, vector in named.items() if vector is not None}


def _vector(given: object) -> Vector:
    if isinstance(given, models.SparseVector):
        if max(given.indices, default=0) > MOST_TERM:
            raise BadRequest(
                f"a sparse vector has the term {max(given.indices)}; those over {MOST_TERM} cannot be read"
            )
        order = np.argsort(given.indices)
        return Sparse(np.array(given.indices, np.int32)[order], np.array(given.values, np.float32)[order])
    return np.array(given, np.float32)


def _id(given: object) -> PointId:
    return point_id(given if isinstance(given, int) else str(given))
