"""A line of JSON -> a row that can be loaded: id, vectors, payload; and what all lines must have in common. Pure."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import numpy as np

from embedstack.databases.database import Json, PointId
from embedstack.documents.jsonable import jsonable
from embedstack.documents.lines import DECODER
from embedstack.errors import BadRequest, Mismatch
from embedstack.loading.ids import IdKind, id_at, id_of
from embedstack.loading.payloads import payload_of, texts_in
from embedstack.loading.pieces import Place
from embedstack.loading.source import BadRow, How
from embedstack.loading.sparse_cells import sparse_of
from embedstack.types import Floats, Sparse

VECTORS = ("vector", "embedding", "embedding_vector")
SPARSE_KEY, FINGERPRINT, ID, CHUNK_ID = "sparse", "fingerprint", "id", "chunk_id"
SHOWN = 80  # characters of a fingerprint


class _Ids(msgspec.Struct):
    """Of a line only what its id is made of."""

    id: object = None
    chunk_id: object = None


ID_DECODER = msgspec.json.Decoder(_Ids)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the first line has, and all others must have."""

    vector: str  # the key
    dim: int
    has_sparse: bool
    fingerprint: object  # None: it has none
    place: Place  # of that line


@dataclass(frozen=True, slots=True)
class Row:
    """A line that was read."""

    id: PointId
    kind: IdKind
    vector: Floats  # (dim,), not yet looked at for numbers that are not finite
    sparse: Sparse | None
    payload: dict[str, Json]
    texts: Mapping[str, str]  # by key, of which the vector may be
    place: Place


def shape_of(line: bytes, place: Place) -> Shape:
    """Of the first line.

    Raises:
        BadRow: it is no object, or has not one vector.
    """
    row = _decoded(line, place)
    with at(place):
        key = _vector_key(row)
        return Shape(key, len(_numbers(row[key])), SPARSE_KEY in row, row.get(FINGERPRINT), place)


def row_of(line: bytes, place: Place, shape: Shape, how: How) -> Row:
    """Of any line.

    Raises:
        BadRow: it cannot be loaded. Mismatch: it names another fingerprint than the first line.
    """
    row = _decoded(line, place)
    _check_fingerprint(row.get(FINGERPRINT), place, shape)
    with at(place):
        point, kind, used = _point_id(row.get(ID), row.get(CHUNK_ID), place)
        is_kept = (used, kind) == (ID, "text")
        left_out = {shape.vector, SPARSE_KEY, FINGERPRINT, *(() if is_kept else (ID,))}
        rest = {key: jsonable(value) for key, value in row.items() if key not in left_out}
        vector, sparse = _vector(row, shape), _sparse(row, shape, how)
        return Row(point, kind, vector, sparse, payload_of(rest, how), texts_in(row, how), place)


def id_in(line: bytes, place: Place) -> PointId:
    """As `row_of` finds it; nothing else of the line is looked at, but that it is JSON."""
    try:
        found = ID_DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(line, place, error) from error
    with at(place):
        return _point_id(found.id, found.chunk_id, place)[0]


@contextmanager
def at(place: Place) -> Iterator[None]:
    """Errors get the place in front."""
    try:
        yield
    except BadRequest as error:
        raise BadRow(f"{place}: {error.message}") from error


def worded(fingerprint: object) -> str:
    """For messages."""
    return "no fingerprint" if fingerprint is None else f"fingerprint {str(fingerprint)[:SHOWN]!r}"


def _decoded(line: bytes, place: Place) -> Mapping[str, object]:
    try:
        return DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(line, place, error) from error


def _no_json(line: bytes, place: Place, error: Exception) -> BadRow:
    """The library's words tell the byte and not what stands there."""
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return BadRow(f"{place} is not UTF-8 at its byte {wrong.start}; convert the file first")
    why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return BadRow(f"{place} is no JSON object with finite numbers: {why}; mend it or leave it out")


def _check_fingerprint(given: object, place: Place, shape: Shape) -> None:
    if given != shape.fingerprint:
        raise Mismatch(
            f"{place} has {worded(given)}, and {shape.place} has {worded(shape.fingerprint)}; "
            "load vectors of two models into two collections"
        )


def _point_id(own: object, chunk_id: object, place: Place) -> tuple[PointId, IdKind, str]:
    """And the key that it is from."""
    for key, given in ((ID, own), (CHUNK_ID, chunk_id)):
        if given is not None:
            return *id_of(given), key
    return id_at(place.key, place.number), "place", ""


def _vector_key(row: Mapping[str, object]) -> str:
    keys = [key for key in VECTORS if key in row]
    if len(keys) != 1:
        has = f"has {' and '.join(keys)}" if keys else "has no vector"
        raise BadRequest(f"the row {has}; give one list of numbers under one of: {', '.join(VECTORS)}")
    return keys[0]


def _vector(row: Mapping[str, object], shape: Shape) -> Floats:
    """(dim,)."""
    key = _vector_key(row)
    if key != shape.vector:
        raise BadRequest(f"the vector is called {key!r}, and {shape.vector!r} in {shape.place}; use one name")
    numbers = _numbers(row[key])
    if len(numbers) != shape.dim:
        raise BadRequest(f"the vector has {len(numbers)} numbers, and {shape.dim} in {shape.place}; give as many")
    return numbers


def _numbers(given: object) -> Floats:
    """(dim,); what is too large for a float32 is infinite."""
    if not isinstance(given, list) or not given or not set(map(type, given)) <= {int, float}:
        what = "an empty list" if given == [] else type(given).__name__
        what = "a list of other things than numbers" if isinstance(given, list) and given else what
        raise BadRequest(f"the vector is {what}; give a list of numbers")
    try:
        with np.errstate(over="ignore"):
            return np.array(given, np.float32)
    except OverflowError:  # a whole number past what a float64 holds
        return np.full(len(given), np.inf, np.float32)


def _sparse(row: Mapping[str, object], shape: Shape, how: How) -> Sparse | None:
    if how.sparse is None:
        return None
    if (SPARSE_KEY in row) != shape.has_sparse:
        has, other = ("a", "none") if SPARSE_KEY in row else ("no", "one")
        raise BadRequest(
            f"the row has {has} sparse vector, and {shape.place} has {other}; give each row one, or leave them out "
            "with --sparse none"
        )
    return sparse_of(row[SPARSE_KEY]) if shape.has_sparse else None
