"""A column as the catalog has it becomes a field of a collection."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from psycopg import sql

from embedstack.databases.database import Distance, Field, Storing
from embedstack.databases.pgvector.binary import WIDEST_SPARSE
from embedstack.databases.pgvector.catalog import Extension, Found, FoundColumn, FoundIndex
from embedstack.databases.pgvector.connecting import Connection
from embedstack.databases.pgvector.known import FIELD, SIGNED, KnownField, read
from embedstack.databases.pgvector.quoting import Name
from embedstack.origin import Origin

UNNAMED = "embedding"  # the column of the field without a name
VECTORS = ("vector", "halfvec", "sparsevec")
APPROXIMATE = ("hnsw", "ivfflat")
DISTANCES: Mapping[str, Distance] = {"cosine": "cosine", "ip": "dot", "l2": "l2"}


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """A column that holds the vectors of a field."""

    name: str
    type: str  # of VECTORS
    field: Field
    width: int = 0  # of the vectors in it; of sparse ones what their terms are below
    is_made: bool = False  # here, and not by somebody else
    is_indexed: bool = False  # there is an index that answers by the field's distance
    has_distance: bool = True  # else nobody has said how it is compared, and who asks first does
    is_generated: bool = False  # by the server, from other columns


def is_vector(column: FoundColumn, vector: Extension) -> bool:
    """Of a type of pgvector's."""
    return column.type in VECTORS and column.type_schema == vector.schema


def vectors_of(connection: Connection, found: Found, vector: Extension) -> dict[str, VectorColumn]:
    """By the field's name, in the order of the columns."""
    vectors: dict[str, VectorColumn] = {}
    for column in found.columns:
        if not is_vector(column, vector):
            continue
        place = f"column {column.name!r} of table {found.own_name!r}"
        known = read(column.comment, FIELD, KnownField, place)
        name = known.name if known else "" if column.name == UNNAMED else column.name
        origin = read(column.comment, SIGNED, Origin, place)
        width = column.width if column.width > 0 else _width(connection, found, column, vector)
        made = _vector(found, column, known, origin, width)
        vectors[name] = replace(made, is_generated=column.is_generated)
    return vectors


def _vector(
    found: Found, column: FoundColumn, known: KnownField | None, origin: Origin | None, width: int
) -> VectorColumn:
    usable = [index for index in found.indexes if index.is_valid and _is_over(index, column)]
    distances = [distance for distance in map(_distance, usable) if distance]
    distance = known.distance if known else distances[0] if distances else "cosine"
    is_made = known is not None and known.is_made
    if column.type == "sparsevec":
        field = Field(kind="sparse", distance="dot", idf=known is not None and known.idf, origin=origin)
        return VectorColumn(column.name, column.type, field, width, is_made, has_distance=known is not None)
    storing: Storing = "float16" if column.type == "halfvec" else "float32"
    field = Field(dim=width, distance=distance, storing=storing, origin=origin)
    has_distance = known is not None or bool(distances)
    return VectorColumn(column.name, column.type, field, width, is_made, distance in distances, has_distance)


def _is_over(index: FoundIndex, column: FoundColumn) -> bool:
    """Of all of that column's vectors."""
    return index.method in APPROXIMATE and not index.is_partial and index.columns == [column.number]


def _distance(index: FoundIndex) -> Distance | None:
    """`vector_cosine_ops` and their like; None of any other."""
    _, _, rest = index.operators.partition("_")
    return DISTANCES.get(rest.removesuffix("_ops"))


def _width(connection: Connection, found: Found, column: FoundColumn, vector: Extension) -> int:
    """Of a column that says none: that of a vector in it, 0 where there is none. Sparse ones are as wide as can be."""
    if column.type == "sparsevec":
        return WIDEST_SPARSE
    name = Name(column.name)
    row = connection.execute(
        sql.SQL("SELECT {}({}) FROM {} WHERE {} IS NOT NULL LIMIT 1").format(
            Name(vector.schema, "vector_dims"), name, Name(found.schema, found.name), name
        ),
        (),
    ).fetchone()
    return int(row[0]) if row else 0
