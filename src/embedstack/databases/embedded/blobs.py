"""Vectors of a field become bytes with the low one first, one of each point, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedstack.databases.database import Column, Field, Storing, Vector
from embedstack.databases.embedded.damage import damaged
from embedstack.types import Floats, Sparse

DTYPES: Mapping[Storing, np.dtype[np.floating[Any]]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
TERM = np.dtype("<i4")


def blobs(field: Field, column: Column) -> list[bytes]:
    """Of checked vectors. Sparse ones: all terms, then all weights."""
    return [_blob(field.storing, vector) for vector in column]


def vector_of(field: Field, blob: bytes) -> Vector:
    """What the field keeps, as float32.

    Raises:
        ConfigError: the bytes are not those of such a vector.
    """
    if field.kind == "sparse":
        terms, weights = terms_of(field.storing, blob)
        return Sparse(terms, weights)
    floats = floats_of(field, blob).astype(np.float32)
    if field.kind == "multi":
        return floats
    if len(floats) > 1:
        raise damaged(f"{len(blob)} bytes are not one vector of {field.dim} numbers")
    return np.asarray(floats[0])


def floats_of(field: Field, data: bytes) -> NDArray[np.floating[Any]]:
    """(vectors, dim) as they are kept, of one dense or multi vector or of several end to end."""
    width = field.dim * DTYPES[field.storing].itemsize
    if not data or len(data) % width:
        raise damaged(f"{len(data)} bytes are no vectors of {field.dim} numbers")
    return np.frombuffer(data, DTYPES[field.storing]).reshape(-1, field.dim)


def terms_of(storing: Storing, blob: bytes) -> tuple[NDArray[np.int32], Floats]:
    """Terms and weights of a sparse vector."""
    count, rest = divmod(len(blob), TERM.itemsize + DTYPES[storing].itemsize)
    if rest:
        raise damaged(f"{len(blob)} bytes are no terms with weights")
    weights = np.frombuffer(blob, DTYPES[storing], offset=count * TERM.itemsize)
    return np.frombuffer(blob, TERM, count).astype(np.int32), weights.astype(np.float32)


def _blob(storing: Storing, vector: Vector) -> bytes:
    if isinstance(vector, Sparse):
        return _bytes(vector.ids, TERM) + _bytes(vector.weights, DTYPES[storing])
    return _bytes(vector, DTYPES[storing])


def _bytes(numbers: NDArray[np.generic] | Sequence[float], dtype: np.dtype[np.generic]) -> bytes:
    return np.asarray(numbers).astype(dtype).tobytes()
