"""Vectors become the bytes that pgvector reads and sends in PostgreSQL's binary format, and back.

Source:
    `vector_send` and `vector_recv` of https://github.com/pgvector/pgvector/blob/v0.8.5/src/vector.c, and those of
    halfvec.c and sparsevec.c beside it: all numbers big end first.
"""

import struct

import numpy as np

from embedstack.errors import BadRequest
from embedstack.types import Floats, Sparse

DENSE_HEAD = struct.Struct(">hh")  # width, 0
SPARSE_HEAD = struct.Struct(">iii")  # width, terms, 0
WIDEST_SPARSE = 1_000_000_000  # SPARSEVEC_MAX_DIM
MOST_TERMS = 16_000  # SPARSEVEC_MAX_NNZ


def packed_dense(rows: Floats, *, half: bool) -> list[bytes]:
    """One value for each row.

    Args:
        rows: (points, dim).
        half: for a halfvec instead of a vector.
    """
    head = DENSE_HEAD.pack(rows.shape[1], 0)
    with np.errstate(over="ignore"):  # the server refuses what is infinite then
        return [head + row.tobytes() for row in rows.astype(">f2" if half else ">f4")]


def unpacked_dense(data: bytes, *, half: bool) -> Floats:
    """(dim,)."""
    return np.frombuffer(data, ">f2" if half else ">f4", offset=DENSE_HEAD.size).astype(np.float32)


def packed_sparse(vector: Sparse, width: int) -> bytes:
    """Terms of weight 0 are left out: a sparsevec has none.

    Args:
        width: terms are below it; only those of equal width can be compared.
    Raises:
        BadRequest: a term is not below it, or there are too many.
    """
    kept = vector.weights.astype(np.float32) != 0
    ids, weights = vector.ids[kept], vector.weights[kept]
    if len(ids) > MOST_TERMS:
        raise BadRequest(f"a sparse vector has {len(ids)} terms, pgvector keeps {MOST_TERMS}; leave the lightest out")
    if len(ids) and ids[-1] >= width:
        raise BadRequest(f"term {ids[-1]} of a sparse vector is not below its column's width, {width}; leave it out")
    head = SPARSE_HEAD.pack(width, len(ids), 0)
    return b"".join([head, ids.astype(">i4").tobytes(), weights.astype(">f4").tobytes()])


def unpacked_sparse(data: bytes) -> Sparse:
    """The width is not told."""
    _, terms, _ = SPARSE_HEAD.unpack_from(data)
    ids = np.frombuffer(data, ">i4", terms, SPARSE_HEAD.size)
    weights = np.frombuffer(data, ">f4", terms, SPARSE_HEAD.size + 4 * terms)
    return Sparse(ids.astype(np.int32), weights.astype(np.float32))
