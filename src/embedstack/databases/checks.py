"""Names, points and questions become nothing, or the error that every database gives before it is asked."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embedstack.databases.database import (
    Collection,
    Column,
    Field,
    Fused,
    Index,
    Json,
    Kind,
    PointId,
    Points,
    Query,
    Storing,
    UnknownCollection,
    Vector,
    point_id,
)
from embedstack.errors import BadRequest, Mismatch
from embedstack.types import Floats, Sparse

LONGEST = 60  # characters of a name: PostgreSQL's names have 63 bytes, and those of indexes are made of them
NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{LONGEST - 1}}}")
MOST_NAMES = 5  # in a message
DEEPEST = 100  # levels of a payload: Qdrant reads 128, SQLite 1000
MOST_TERM = 2**31 - 1
MOST_K = 2**24 + 1  # float32 has all whole numbers below
MOST_WEIGHT = 1000.0
JSON = json.JSONEncoder(allow_nan=False, ensure_ascii=False)

Rows: TypeAlias = NDArray[np.floating[Any]]


def check_name(name: str, what: str = "collection") -> None:
    """Of a collection or an alias.

    Raises:
        BadRequest: not every database can have it.
    """
    if not NAME.fullmatch(name):
        raise BadRequest(
            f"{what} {name!r} cannot be named so: a name has 1 to {LONGEST} of A to Z, a to z, 0 to 9, '_', '-' and "
            "'.', and begins with none of the last two; take another"
        )


def check_field_name(name: str) -> None:
    """As `check_name`, but "" is the vector without a name.

    Raises:
        BadRequest: not every database can have it.
    """
    if name:
        check_name(name, "vector")


def check_points(collection: Collection, points: Points) -> None:
    """They can be written into it as they are.

    Raises:
        Mismatch: a field that is not there, or of another kind or width. BadRequest: columns of unequal lengths, an id
            that is none or is there twice, a number that is not finite or too large for the field, a vector of zeros
            in a field of cosines, terms that do not rise, a payload that is not JSON.
    """
    _check_lengths(points)
    _check_ids(points.ids)
    for name, column in points.vectors.items():
        field = _field(collection, name)
        place = _place(collection.name, name)
        if field.kind == "dense":
            _check_dense(place, field, column, points.ids)
        else:
            _check_each(place, field, column, points.ids)
    for number, payload in zip(points.ids, points.payloads, strict=True):
        _check_payload(number, payload)


def check_query(collection: Collection, query: Query) -> Field:
    """The field that it asks for.

    Raises:
        Mismatch: that is not there, or of another kind or width; so also of `with_vectors`. BadRequest: a number that
            is not finite, zeros in a field of cosines, a limit below 1.
    """
    field = _field(collection, query.field)
    for name in query.with_vectors:
        _field(collection, name)
    if query.limit < 1:
        raise BadRequest(f"limit {query.limit!r} of a query is below 1; ask for at least one point")
    if query.least is not None and not math.isfinite(query.least):
        raise BadRequest(f"least {query.least!r} of a query is not finite; give a score or nothing")
    _check_vector(_place(collection.name, query.field), field, query.vector, "the query", is_stored=False)
    return field


def check_fused(collection: Collection, asked: Fused) -> list[Field]:
    """The fields that its legs ask for.

    Raises:
        As `check_query`, of each leg. BadRequest: there is none, or limit, k or weights are out of range.
    """
    if not asked.legs:
        raise BadRequest("nothing is to be fused; give at least one leg")
    if asked.limit < 1:
        raise BadRequest(f"limit {asked.limit!r} of a fusion is below 1; ask for at least one point")
    if not isinstance(asked.k, int) or not 1 <= asked.k <= MOST_K:
        raise BadRequest(f"k={asked.k!r} of a fusion is no whole number from 1, where ranks are counted from 0")
    if asked.weights and (asked.fusion != "rrf" or len(asked.weights) != len(asked.legs)):
        raise BadRequest(
            f"{len(asked.weights)} weights are given for {len(asked.legs)} legs of {asked.fusion!r}; give one for each "
            "leg of 'rrf', or none"
        )
    for weight in asked.weights:
        if not 0 <= weight <= MOST_WEIGHT:
            raise BadRequest(f"weight {weight!r} of a leg is not from 0 to {MOST_WEIGHT:g}; 1 is the usual one")
    return [check_query(collection, asked.query(leg)) for leg in asked.legs]


def check_same(there: Collection, wanted: Collection) -> tuple[list[str], list[str]]:
    """Names of the fields, and keys of the indexes, that are wanted and missing.

    Indexes and quantization are not looked at where there are none: `keeps_indexes`. That the quantization is "none"
    is no wish.

    Raises:
        Mismatch: a field, an index or the quantization is another than was wanted, naming both.
    """
    for name, field in wanted.fields.items():
        if name in there.fields:
            _check_equal(_place(there.name, name), _words(there.fields[name]), _words(field))
    fields = [name for name in wanted.fields if name not in there.fields]
    if not there.keeps_indexes:
        return fields, []
    for key, index in wanted.indexes.items():
        if key in there.indexes:
            _check_equal(f"index {key!r} of collection {there.name!r}", _kind_of(there.indexes[key]), _kind_of(index))
    if wanted.quantization != "none":
        _check_equal(f"the quantization of collection {there.name!r}", there.quantization, wanted.quantization)
    return fields, [key for key in wanted.indexes if key not in there.indexes]


def unknown(name: str, names: Sequence[str]) -> UnknownCollection:
    """That there is no collection or alias of this name, with some that are there."""
    some = ", ".join(sorted(names)[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return UnknownCollection(f"collection {name!r} is not there; it has: {some or 'none'}{more}")


# ------------------------------------------------------------------------------------------------ fields


def _field(collection: Collection, name: str) -> Field:
    if name in collection.fields:
        return collection.fields[name]
    has = ", ".join(repr(one) for one in sorted(collection.fields)) or "none"
    raise Mismatch(f"collection {collection.name!r} has no vector {name!r}; it has: {has}")


def _place(collection: str, field: str) -> str:
    return f"vector {field!r} of collection {collection!r}" if field else f"collection {collection!r}"


def _check_equal(place: str, there: str, wanted: str) -> None:
    if there != wanted:
        raise Mismatch(f"{place} is {there}, and {wanted} was wanted; use another name, or another collection")


def _kind_of(index: Index) -> str:
    return f"{index.kind}{', which tells tenants apart' if index.is_tenant else ''}"


def _words(field: Field) -> str:
    width = f"{field.dim} wide, " if field.kind != "sparse" else ""
    return f"{field.kind}, {width}{field.distance}, {field.storing}{', with idf' if field.idf else ''}"


# ------------------------------------------------------------------------------------------------ points


def _check_lengths(points: Points) -> None:
    lengths = {f"vectors of {name!r}": len(column) for name, column in points.vectors.items()}
    for what, length in {**lengths, "payloads": len(points.payloads)}.items():
        if length != len(points):
            raise BadRequest(f"{len(points)} ids come with {length} {what}; give as many of each")


def _check_ids(ids: Sequence[PointId]) -> None:
    seen: set[PointId] = set()
    for given in ids:
        if point_id(given) != given:
            raise BadRequest(f"point id {given!r} is not written as ids are here; give {point_id(given)!r}")
        if given in seen:
            raise BadRequest(f"point id {given!r} is there twice; write it once, or in two calls")
        seen.add(given)


def _check_dense(place: str, field: Field, column: Column, ids: Sequence[PointId]) -> None:
    """All rows at once: a column of one's own checks costs as much as writing it."""
    if len(ids) == 0:
        return
    if not isinstance(column, np.ndarray) or column.ndim != 2:
        raise Mismatch(f"{place} holds dense vectors, and others were given; give (points, {field.dim}) of them")
    _check_width(place, field, column.shape[1])
    wrong = _wrong_rows(field, column, field.storing)
    if wrong is not None:
        row, what = wrong
        raise BadRequest(f"the vector of point {ids[row]!r} for {place} {what}")


def _check_each(place: str, field: Field, column: Column, ids: Sequence[PointId]) -> None:
    for given, vector in zip(ids, column, strict=True):
        _check_vector(place, field, vector, f"the vector of point {given!r}", is_stored=True)


def _check_payload(given: PointId, payload: Mapping[str, Json]) -> None:
    try:
        text = JSON.encode(dict(payload))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"the payload of point {given!r} is not JSON ({error}); leave that value away") from error
    if text.count("[") + text.count("{") > DEEPEST and _depth(dict(payload)) > DEEPEST:
        raise BadRequest(f"the payload of point {given!r} has more than {DEEPEST} levels; flatten it")


def _depth(value: Json) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list | tuple):
        return 1 + max(map(_depth, value), default=0)
    return 0


# ------------------------------------------------------------------------------------------------ vectors


def _check_vector(place: str, field: Field, vector: Vector, whose: str, *, is_stored: bool) -> None:
    """As `check_points` and `check_query`, of one vector.

    Args:
        whose: for the message: "the query".
        is_stored: it must be finite, and no zeros, as the field keeps it; else as float32.
    """
    kind, storing = _kind(vector), field.storing if is_stored else "float32"
    if kind != field.kind:
        raise Mismatch(f"{whose} is {kind}, and {place} holds {field.kind} vectors; give one of those")
    if isinstance(vector, Sparse):
        wrong = _wrong_sparse(vector, storing)
    else:
        _check_width(place, field, vector.shape[-1])
        wrong = _wrong_floats(field, vector, storing)
    if wrong:
        raise BadRequest(f"{whose} for {place} {wrong}")


def _kind(vector: Vector) -> Kind | str:
    if isinstance(vector, Sparse):
        return "sparse"
    kinds: Mapping[int, Kind] = {1: "dense", 2: "multi"}
    return kinds.get(vector.ndim, f"of {vector.ndim} axes") if isinstance(vector, np.ndarray) else "no array"


def _check_width(place: str, field: Field, width: int) -> None:
    if width != field.dim:
        raise Mismatch(f"{place} holds {field.dim} numbers of each vector, and these have {width}; use another vector")


def _wrong_floats(field: Field, vector: Floats, storing: Storing) -> str:
    rows = np.atleast_2d(vector)
    if len(rows) == 0:
        return "has no vectors in it; give at least one"
    wrong = _wrong_rows(field, rows, storing)
    return wrong[1] if wrong else ""


def _wrong_sparse(vector: Sparse, storing: Storing) -> str:
    ids, weights = np.asarray(vector.ids), np.asarray(vector.weights)
    if ids.ndim != 1 or ids.shape != weights.shape:
        return f"has {ids.size} terms and {weights.size} weights; give one weight for each"
    if not np.isfinite(_as_stored(weights, storing)).all():
        return f"has a weight that is not finite as {storing}; look at what made it"
    if len(ids) and not (ids[0] >= 0 and ids[-1] <= MOST_TERM and (np.diff(ids.astype(np.int64)) > 0).all()):
        return f"has terms that do not rise between 0 and {MOST_TERM}; sort them, each once"
    return ""


def _as_stored(rows: Rows, storing: Storing) -> Rows:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is found
        return rows.astype(storing, copy=False)


def _wrong_rows(field: Field, rows: Rows, storing: Storing) -> tuple[int, str] | None:
    """The first row that cannot stay so, and why."""
    rows = _as_stored(rows, storing)
    wrong = ~np.isfinite(rows).all(axis=1)
    if wrong.any():
        return int(wrong.argmax()), f"has a number that is not finite as {storing}; look at what made it"
    wrong = ~rows.any(axis=1)
    if field.distance == "cosine" and wrong.any():
        return int(wrong.argmax()), "is all zeros, which has no direction for cosines; leave it away"
    return None
