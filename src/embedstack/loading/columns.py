"""The columns of a Parquet file of any origin -> which of them are ids and vectors, and the rows of some as points."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from embedstack.databases.database import Json, PointId
from embedstack.documents.document import Reading, Unfit
from embedstack.documents.jsonable import jsonable
from embedstack.documents.parquet_cells import is_id, is_text, rows_of
from embedstack.errors import BadRequest
from embedstack.jobs.arrow import pa
from embedstack.loading.ids import IdKind, id_at, id_of
from embedstack.loading.payloads import METADATA, OWN, Payload, check_text_key, payload_of
from embedstack.loading.pieces import Place
from embedstack.loading.source import BadRow, How
from embedstack.loading.sparse_cells import sparse_of
from embedstack.loading.text_keys import TEXT
from embedstack.types import Floats, Sparse

VECTORS = ("vector", "embedding", "embedding_vector")
IDS = ("id", "chunk_id")  # looked for in this order
SPARSE = "sparse"
OURS = frozenset(OWN) - {TEXT}  # columns of a job's table, which may be without texts
MOST_BYTES = 64 << 20  # of a cell


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of one file are."""

    vector: str
    dim: int  # 0: each row has a list of its own length
    id: str  # "": there is none
    has_sparse: bool
    is_ours: bool  # metadata is JSON in a text
    rest: tuple[str, ...]  # columns that become payload; the id's and the sparse vectors' among them


def layout_of(schema: pa.Schema, key: str, how: How) -> Layout:
    """See `Layout`.

    Raises:
        BadRequest: there is no column of vectors, or more than one; or one that no payload can hold.
    """
    twice = [name for name, times in Counter(schema.names).items() if times > 1]
    if twice:
        raise BadRequest(f"{key!r} has two columns {twice[0]!r}; rename one of them")
    vector = _vector_column(schema, key)
    point = next((name for name in IDS if name in schema.names), "")
    rest = tuple(name for name in schema.names if name != vector)
    has_sparse = SPARSE in schema.names and _is_sparse(schema.field(SPARSE).type)
    if point and not (is_id(schema.field(point).type) or _is_uuid(schema.field(point).type)):
        raise BadRequest(f"{key!r} has {schema.field(point).type} in column {point!r}; ids are texts or whole numbers")
    for name in rest:
        if name not in (point, TEXT) and _has_bytes(schema.field(name).type):
            raise BadRequest(
                f"column {name!r} of {key!r} holds bytes, which a payload cannot; leave it out, or write it as text"
            )
    check_text_key(how, rest)
    is_ours = set(schema.names) >= OURS and is_text(schema.field(METADATA).type)
    return Layout(vector, _width(schema.field(vector).type), point, has_sparse, is_ours, rest)


def matrix_of(column: pa.Array, dim: int, places: Sequence[Place]) -> Floats:
    """(rows, dim); nulls and what is too large for a float32 are no longer finite.

    Raises:
        BadRow: a row has no vector, or one of another width.
    """
    if column.null_count:
        empty = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise BadRow(f"{places[empty]} has no vector; leave it out")
    widths = _widths(column)
    if (widths != dim).any():
        row = int(np.argmax(widths != dim))
        raise BadRow(f"{places[row]}: the vector has {widths[row]} numbers, and the others have {dim}; give as many")
    with np.errstate(over="ignore"):
        numbers = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32)
    return numbers.reshape(len(column), dim)


def first_width(column: pa.Array, place: Place) -> int:
    """Of the first row.

    Raises:
        BadRow: it has no vector.
    """
    if not column[0].is_valid or not (width := int(_widths(column[:1])[0])):
        raise BadRow(f"{place} has no vector; leave it out")
    return width


@dataclass(frozen=True, slots=True)
class Cells:
    """Some rows without their vectors."""

    ids: list[PointId]
    kinds: list[IdKind]
    payloads: list[Payload]
    sparse: list[Sparse]  # empty where there are none
    rows: list[dict[str, Json]]  # as they are in the file


def cells_of(batch: pa.RecordBatch, layout: Layout, places: Sequence[Place], how: How) -> Cells:
    """All columns but the vectors.

    Raises:
        BadRow: one of the rows cannot be loaded.
    """
    made = Cells([], [], [], [], [])
    for row, place in zip(_rows(batch, layout), places, strict=True):
        try:
            if isinstance(row, Unfit):
                raise BadRequest(row.message)
            point, kind = _point_id(row, layout, place)
            sparse = sparse_of(row[SPARSE]) if layout.has_sparse and how.sparse is not None else None
            left_out = {SPARSE if layout.has_sparse else "", "id" if layout.id == "id" and kind != "text" else ""}
            rest = {name: jsonable(value) for name, value in row.items() if name not in left_out}
            if layout.id in rest and not isinstance(row[layout.id], str):  # bytes, or a UUID
                rest[layout.id] = point
            if layout.is_ours:
                rest[METADATA] = _loaded(row[METADATA])
            made.payloads.append(payload_of(rest, how))
        except BadRequest as error:
            raise BadRow(f"{place}: {error.message}") from error
        made.ids.append(point)
        made.kinds.append(kind)
        made.rows.append(rest)
        made.sparse.extend(() if sparse is None else (sparse,))
    return made


def points_in(column: pa.Array, places: Sequence[Place]) -> list[tuple[PointId, IdKind]]:
    """As `cells_of` finds them, from the column of ids alone.

    Raises:
        BadRow: one is none.
    """
    batch = pa.RecordBatch.from_arrays([column], names=[IDS[0]])
    layout = Layout("", 0, IDS[0], has_sparse=False, is_ours=False, rest=(IDS[0],))
    cells = cells_of(batch, layout, places, How())
    return list(zip(cells.ids, cells.kinds, strict=True))


# ------------------------------------------------------------------------------------------------ rows


def _rows(batch: pa.RecordBatch, layout: Layout) -> "Sequence[dict[str, object] | Unfit]":
    if not layout.rest:
        return [{} for _ in range(len(batch))]
    reading = Reading(text_field=TEXT, id_field=layout.id, max_document_bytes=MOST_BYTES)
    return list(rows_of(batch.select(list(layout.rest)), reading))


def _point_id(row: dict[str, object], layout: Layout, place: Place) -> tuple[PointId, IdKind]:
    given = row[layout.id] if layout.id else None
    return (id_at(place.key, place.number), "place") if given is None else id_of(given)


def _loaded(metadata: object) -> Json:
    if metadata is None:
        return None
    try:
        return jsonable(orjson.loads(str(metadata)))
    except ValueError as error:
        raise BadRequest("column 'metadata' is not the JSON that a job's table has there; write it again") from error


# ------------------------------------------------------------------------------------------------ types


def _vector_column(schema: pa.Schema, key: str) -> str:
    found = [name for name in VECTORS if name in schema.names]
    if len(found) != 1:
        has = " and ".join(found) if found else f"none of them, but: {', '.join(schema.names[:20])}"
        raise BadRequest(f"{key!r} must have one column of vectors, {', '.join(VECTORS)}; it has {has}")
    kind = schema.field(found[0]).type
    if not _is_list(kind) or not pa.types.is_floating(kind.value_type):
        raise BadRequest(f"{key!r} has {kind} in column {found[0]!r}; vectors are lists of float16, float32 or float64")
    return found[0]


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _width(kind: pa.DataType) -> int:
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else 0


def _widths(column: pa.Array) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    if pa.types.is_fixed_size_list(column.type):
        return np.full(len(column), column.type.list_size, np.int64)
    return np.asarray(column.value_lengths().to_numpy(zero_copy_only=False), np.int64)


def _is_sparse(kind: pa.DataType) -> bool:
    """One of the shapes that `sparse_of` reads; anything else of that name is payload."""
    if pa.types.is_map(kind):
        return bool(pa.types.is_integer(kind.key_type))
    if _is_list(kind):
        return pa.types.is_struct(kind.value_type) and _names(kind.value_type) == {"id", "weight"}
    return pa.types.is_struct(kind) and _names(kind) == {"indices", "values"}


def _names(kind: pa.DataType) -> set[str]:
    return {kind.field(place).name for place in range(kind.num_fields)}


def _is_uuid(kind: pa.DataType) -> bool:
    return str(kind) in ("extension<arrow.uuid>", "fixed_size_binary[16]")


def _has_bytes(kind: pa.DataType) -> bool:
    """In itself, or in what it is made of."""
    if pa.types.is_dictionary(kind):
        return _has_bytes(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_has_bytes(kind.field(place).type) for place in range(kind.num_fields))
    return "binary" in str(kind)
