"""Points and vectors in JSON become the engine's, and its own become JSON."""

from __future__ import annotations  # the stub of the engine has names that its module has not

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import qdrant_edge as edge

from support.qdrant_facade.bodies import Batch, Chosen, Given, Id, Json, Point, Rows, Scoring, Sparse, WithPayload
from support.qdrant_facade.refused import Refused

MOST_TERM = 2**32


# ------------------------------------------------------------------------------------------------ to the engine


def points_of(points: Sequence[Point]) -> list[edge.Point]:
    """As they are to be written."""
    return [edge.Point(point.id, vectors_of(point.vector), point.payload) for point in points]


def rows_of(batch: Batch) -> list[Point]:
    """Columns as points."""
    payloads = batch.payloads if batch.payloads is not None else [None] * len(batch.ids)
    columns = batch.vectors
    if isinstance(columns, dict):
        vectors: list[Given] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    else:
        vectors = list(columns)
    if not len(batch.ids) == len(vectors) == len(payloads):
        raise _invalid("batch", "number of ids, vectors and payloads must be the same")
    return [Point(*row) for row in zip(batch.ids, vectors, payloads, strict=True)]


def vectors_of(given: Given) -> edge.Vector:
    """Of one point."""
    if isinstance(given, dict):
        return {name: vector_of(vector) for name, vector in given.items()}
    return vector_of(given)


def vector_of(given: Rows | Sparse | Scoring) -> edge.NamedVector:
    """One vector of any kind. What the engine would not survive is refused here, as a server does."""
    if isinstance(given, Scoring):
        return vector_of(given.nearest) if given.nearest is not None else _sparse(given.indices, given.values)
    if isinstance(given, Sparse):
        return _sparse(given.indices, given.values)
    widths = {len(row) if isinstance(row, list) else 0 for row in given}
    if len(widths) > 1 or (widths == {0} and isinstance(given[0], list)):
        raise _invalid("vector", "all vectors must have the same non-zero dimension")
    return given


def _sparse(indices: list[int] | None, values: list[float] | None) -> edge.SparseVector:
    if indices is None or values is None or len(indices) != len(values):
        raise _invalid("values", "must be the same length as indices")
    if len(set(indices)) != len(indices):
        raise _invalid("indices", "must be unique")
    if any(not 0 <= term < MOST_TERM for term in indices):
        raise Refused(400, "Format error in JSON body: invalid value of an index, expected u32")
    return edge.SparseVector(indices, values)


def _invalid(field: str, text: str) -> Refused:
    return Refused(422, f"Validation error in JSON body: [{field}: {text}]")


def payload_of(chosen: WithPayload) -> edge.WithPayloadType:
    """Which keys are wanted."""
    if isinstance(chosen, Chosen):
        if chosen.exclude is not None:
            return edge.PayloadSelector.Exclude(chosen.exclude)
        return edge.PayloadSelector.Include(chosen.include or [])
    return chosen


# ------------------------------------------------------------------------------------------------ from the engine


def record(point: edge.Record) -> dict[str, object]:
    """As it is sent."""
    return dict(_parts(point))


def scored(point: edge.ScoredPoint) -> dict[str, object]:
    """The same with a score."""
    return {"version": point.version, "score": point.score, **dict(_parts(point))}


def _parts(point: edge.Record | edge.ScoredPoint) -> Iterator[tuple[str, object]]:
    yield "id", shown(point.id)
    if point.payload is not None:
        yield "payload", point.payload
    if point.vector is not None:
        yield "vector", _shown_vectors(point.vector)


def shown(point_id: edge.PointId | None) -> Id | None:
    """A UUID as text."""
    return str(point_id) if isinstance(point_id, UUID) else point_id


def _shown_vectors(given: edge.Vector) -> Json:
    if isinstance(given, Mapping):
        return {name: _shown_vector(vector) for name, vector in given.items()}
    return _shown_vector(given)


def _shown_vector(given: edge.NamedVector) -> Json:
    if isinstance(given, edge.SparseVector):
        return {"indices": [*given.indices], "values": [*given.values]}
    return given
