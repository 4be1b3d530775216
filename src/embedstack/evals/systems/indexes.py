"""Vectors of documents in memory and those of queries -> the places of the best documents; every one is compared.

Of equal scores, which are float32, the document that stands first comes first. Products are summed in float64, so that
a query alone and among others gets the same ranking.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal, Protocol

import numpy as np

from embedstack.databases.database import Column, Kind
from embedstack.databases.embedded.scoring import (
    Doubles,
    Nearest,
    Places,
    Vectors,
    best_of,
    lengths_of,
    nearest,
    question,
)
from embedstack.databases.embedded.sparse import inverted, nearest_sparse
from embedstack.errors import BadRequest
from embedstack.evals.metrics import retrieve
from embedstack.types import Floats, Sparse

Similarity = Literal["cosine", "dot"]

BLOCK = 1024  # vectors of documents at a time: 8 MB of 1024 numbers in float64
ROWS = 1024  # vectors of queries at a time: 8 MB of products with such a block


class Index(Protocol):
    """Of vectors of one kind."""

    def nearest(self, queries: Column, limit: int) -> list[Nearest]:
        """Of each query at most `limit`, best first.

        Raises:
            BadRequest: a vector is not finite, or has no direction where that is compared.
        """
        ...


def index_of(kind: Kind, documents: Column, similarity: Similarity, *, idf: bool = False) -> Index:
    """Of all documents.

    Args:
        similarity: of dense and multi vectors; sparse ones are always multiplied.
        idf: of sparse ones: queries' weights are multiplied by how rare their terms are.
    Raises:
        BadRequest: as `Index.nearest`.
    """
    match kind:
        case "dense":
            return DenseIndex(documents, similarity)
        case "sparse":
            return SparseIndex(documents, idf=idf)
        case "multi":
            return MultiIndex(documents, similarity)


class DenseIndex:
    """One vector for each document: cosines or products."""

    def __init__(self, documents: Column, similarity: Similarity) -> None:
        assert isinstance(documents, np.ndarray)
        self._similarity: Similarity = similarity
        self._vectors = Vectors(documents, _lengths(documents, similarity))

    def nearest(self, queries: Column, limit: int) -> list[Nearest]:
        """Many are multiplied together; one alone is compared as the database in a folder does, which is faster."""
        assert isinstance(queries, np.ndarray)
        _lengths(queries, self._similarity)
        if len(queries) == 1:
            asked = question(queries[0], self._similarity)
            return [nearest(self._vectors, asked, limit=limit, least=None, places=None)]
        found = retrieve(queries, self._vectors.numbers, limit, similarity=self._similarity)
        return list(zip(found.indices, found.scores, strict=True))


class SparseIndex:
    """Terms and weights: products, of documents that share a term with the query."""

    def __init__(self, documents: Column, *, idf: bool) -> None:
        rows = list(_sparse(documents))
        self._idf = idf
        self._places: Places = np.flatnonzero([len(one.ids) for one in rows])  # those without terms make none rarer
        some = [rows[place] for place in self._places]
        self._index = inverted([one.ids for one in some], [one.weights for one in some])

    def nearest(self, queries: Column, limit: int) -> list[Nearest]:
        return [self._nearest(query, limit) for query in _sparse(queries)]

    def _nearest(self, query: Sparse, limit: int) -> Nearest:
        with np.errstate(over="ignore"):  # as MultiIndex._scores
            found, scores = nearest_sparse(self._index, query, idf=self._idf, limit=limit, least=None, places=None)
        return self._places[found], scores


class MultiIndex:
    """Several vectors for each document: of each of the query's the best product or cosine, and their sum (MaxSim).

    A document without a vector is not found, and a query without one finds nothing.

    Source:
        Khattab and Zaharia 2020, ColBERT, https://doi.org/10.1145/3397271.3401075.
    """

    def __init__(self, documents: Column, similarity: Similarity) -> None:
        counts = np.array([len(one) for one in _multi(documents)], np.int64)
        self._similarity = similarity
        self._places: Places = np.flatnonzero(counts)
        self._offsets: Places = np.concatenate([[0], np.cumsum(counts[self._places])])
        self._numbers = np.concatenate(list(_multi(documents))) if len(self._places) else np.empty((0, 0), np.float32)
        self._lengths = _lengths(self._numbers, similarity)

    def nearest(self, queries: Column, limit: int) -> list[Nearest]:
        rows = [self._rows(query) for query in _multi(queries)]
        found: list[Nearest] = [(self._places[:0], np.empty(0, np.float32))] * len(rows)
        for some in _batches([len(one) for one in rows]):
            scores = self._scores([rows[query] for query in some])
            for query, row in zip(some, scores, strict=True):
                found[query] = best_of(self._places, row, limit=limit, least=None)
        return found

    def _scores(self, queries: Sequence[Doubles]) -> Floats:
        """(queries, documents that have vectors)."""
        rows = np.concatenate(queries)
        starts = list(accumulate((len(one) for one in queries[:-1]), initial=0))
        scores = np.empty((len(queries), len(self._places)))
        for first, stop in self._blocks():
            start = self._offsets[first]
            some = slice(start, self._offsets[stop])
            products = rows @ self._numbers[some].astype(np.float64).T
            if self._similarity == "cosine":
                products /= self._lengths[some]
            best = np.maximum.reduceat(products, self._offsets[first:stop] - start, axis=1)
            scores[:, first:stop] = np.add.reduceat(best, starts, axis=0)
        with np.errstate(over="ignore"):  # a sum that is too large for float32 is infinite
            return scores.astype(np.float32)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Documents, so many that each block has about as many vectors."""
        first = 0
        while first < len(self._places):
            stop = int(np.searchsorted(self._offsets, self._offsets[first] + BLOCK, "right")) - 1
            yield first, max(stop, first + 1)
            first = max(stop, first + 1)

    def _rows(self, query: Floats) -> Doubles:
        lengths, rows = _lengths(query, self._similarity), query.astype(np.float64)
        return rows / lengths[:, None] if self._similarity == "cosine" else rows


def _batches(counts: Sequence[int]) -> Iterator[list[int]]:
    """Queries, so many that each batch has about as many vectors; those without any are left out."""
    batch: list[int] = []
    size = 0
    for query, count in enumerate(counts):
        if count and batch and size + count > ROWS:
            yield batch
            batch, size = [], 0
        if count:
            batch.append(query)
            size += count
    if batch:
        yield batch


def _sparse(column: Column) -> Iterator[Sparse]:
    for one in column:
        assert isinstance(one, Sparse)
        _check_finite(one.weights)
        yield one


def _multi(column: Column) -> Iterator[Floats]:
    for one in column:
        assert not isinstance(one, Sparse)
        yield one


def _lengths(rows: Floats, similarity: Similarity) -> Doubles:
    """(rows,).

    Raises:
        BadRequest: of a row that cannot be compared.
    """
    parts = [lengths_of(rows[at : at + BLOCK]) for at in range(0, len(rows), BLOCK)]  # all in float64 take twice `rows`
    lengths = np.concatenate([np.empty(0), *parts])
    _check_finite(lengths)
    if similarity == "cosine" and not lengths.all():
        raise BadRequest(
            f"vector {int(lengths.argmin()) + 1} of {len(lengths)} is all zeros, which has no direction and no cosine; "
            "leave its text out"
        )
    return lengths


def _check_finite(numbers: Floats | Doubles) -> None:
    if not np.isfinite(numbers).all():
        raise BadRequest("a vector holds NaN or infinity, which cannot be ranked; look at the model that made it")
