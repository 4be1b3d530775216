"""Vectors -> which of them are near duplicates, and what belongs together through them: exact, in bounded memory. Pure.

Two rows are near where their cosine in float64 reaches the threshold. Products are made in float32, a block at a time;
those that lie nearer to the threshold than float32 may err are made again in float64, so neither the block nor the
processor decides. A cosine below the threshold by no more than float64 may err reaches it: equal rows have cosine 1.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import BadRequest
from embedstack.search.forest import Flags, Forest, Numbers
from embedstack.types import Floats

Doubles: TypeAlias = NDArray[np.float64]
Told = Callable[[int], None]

BLOCK = 2048  # rows of either side at a time: 16 MB of products; smaller ones are slower, larger ones are no faster
NOBODY = -1
BELOW_ALL, ABOVE_ALL = np.float32(-2), np.float32(2)  # no cosine is there


@dataclass(frozen=True, slots=True)
class Pairs:
    """Some pairs of near rows."""

    rows: Numbers  # (pairs,)
    columns: Numbers  # (pairs,), each above its row
    cosines: Doubles  # (pairs,)


@dataclass(frozen=True, slots=True)
class Clusters:
    """What belongs together: who is near to one of a cluster is in it (single linkage)."""

    labels: Numbers  # (rows,) the least row of each one's cluster
    nearest: Numbers  # (rows,) the row that each one is nearest to; -1 for one that is near to none
    cosines: Doubles  # (rows,) to that one; 0 where there is none

    def groups(self) -> list[Numbers]:
        """The rows of each cluster of two or more, in order."""
        order = np.argsort(self.labels, kind="stable")
        starts = np.flatnonzero(np.diff(self.labels[order])) + 1
        return [rows for rows in np.split(order, starts) if len(rows) > 1]


def pairs(vectors: Floats, threshold: float, *, block: int = BLOCK) -> Iterator[Pairs]:
    """All pairs of near rows, at most block * block at a time: where all rows are alike there are n² / 2.

    Args:
        vectors: (rows, dim); a row of zeros is near to none.
        threshold: the least cosine, above 0 and at most 1.
    Raises:
        BadRequest: NaN or infinity in the vectors, or such a threshold.
    """
    rows = _Rows.of(vectors, threshold)
    for met in _meetings(rows, np.flatnonzero(rows.lengths), threshold, block, lambda products: None):
        near = np.nonzero(met.is_near)
        left, right = met.rows[near[0]], met.columns[near[1]]
        yield Pairs(left, right, _each(rows, left, right, block))


def clusters(vectors: Floats, threshold: float, *, block: int = BLOCK, told: Told = lambda products: None) -> Clusters:
    """What belongs together. Rows with equal bytes are taken for one before anything is compared.

    Takes (rows - 1) * rows / 2 products; memory for the vectors once more, and some blocks of products.

    Args:
        vectors, threshold: as for `pairs`.
        told: how many of `comparisons(rows)` products are done since it was called before.
    Raises:
        BadRequest: as `pairs`.
    """
    rows = _Rows.of(vectors, threshold)
    first = _first_of_equal(rows)
    forest, nearest = Forest(len(vectors)), _Nearest(len(vectors))
    for copy in np.flatnonzero(first != np.arange(len(vectors))):
        forest.join(int(first[copy]), int(copy))
        nearest.see(first[copy, None], np.array([copy]), np.full((1, 1), ABOVE_ALL))
    distinct = np.flatnonzero((first == np.arange(len(vectors))) & (rows.lengths > 0))
    for met in _meetings(rows, distinct, threshold, block, told):
        forest.join_all(met.rows, met.columns, met.is_near)
        nearest.see(met.rows, met.columns, np.where(met.is_near, met.products, BELOW_ALL))
    labels = forest.roots(np.arange(len(vectors), dtype=np.int64))
    return Clusters(labels, nearest.rows, nearest.exact(rows, block))


def comparisons(rows: int) -> int:
    """Pairs of so many rows."""
    return rows * (rows - 1) // 2


def cosines(vectors: Floats, row: int, others: Numbers) -> Doubles:
    """(others,): of one row with some, in float64; of a row of zeros 0."""
    found = np.zeros(len(others), np.float64)
    left = vectors[row].astype(np.float64)
    for at in range(0, len(others), BLOCK):
        right = vectors[others[at : at + BLOCK]].astype(np.float64)
        lengths = np.linalg.norm(left) * np.linalg.norm(right, axis=1)
        found[at : at + BLOCK] = (left * right).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
    return np.clip(found, -1.0, 1.0)


def check_threshold(threshold: float) -> None:
    """Raises: BadRequest: it is no cosine above 0."""
    if not 0 < threshold <= 1:
        raise BadRequest(f"threshold {threshold!r} is not above 0 and at most 1; give a cosine such as 0.9")


def slack(dim: int) -> float:
    """By how much a cosine in float64 may be wrong, whatever the order of its sum, and as much again.

    Source:
        Higham 2002, Accuracy and Stability of Numerical Algorithms, 3.1.
    """
    return (dim + 4) * 2.0**-52


# ------------------------------------------------------------------------------------------------ rows


@dataclass(frozen=True, slots=True)
class _Rows:
    """The vectors, and how long they are."""

    vectors: Floats
    lengths: Doubles  # (rows,)

    @classmethod
    def of(cls, vectors: Floats, threshold: float) -> "_Rows":
        if vectors.ndim != 2:
            raise BadRequest(f"vectors of the shape {vectors.shape} are no matrix; give (rows, dim)")
        check_threshold(threshold)
        lengths = np.zeros(len(vectors), np.float64)
        for at in range(0, len(vectors), BLOCK):
            lengths[at : at + BLOCK] = np.linalg.norm(vectors[at : at + BLOCK].astype(np.float64), axis=1)
        unsound = np.flatnonzero(~np.isfinite(lengths))
        if len(unsound):
            raise BadRequest(f"row {unsound[0]} holds NaN or infinity, which is like nothing; make its vector again")
        return cls(vectors, lengths)

    def units(self, rows: Numbers) -> Doubles:
        """(rows, dim), of length 1."""
        found: Doubles = self.vectors[rows].astype(np.float64) / self.lengths[rows, None]
        return found


def _first_of_equal(rows: _Rows) -> Numbers:
    """(rows,): the first row with the same bytes; of zeros the row itself."""
    seen: dict[bytes, int] = {}
    first = np.arange(len(rows.vectors), dtype=np.int64)
    for row in np.flatnonzero(rows.lengths):
        digest = hashlib.blake2b(rows.vectors[row].tobytes(), digest_size=16).digest()
        first[row] = seen.setdefault(digest, int(row))
    return first


# ------------------------------------------------------------------------------------------------ products


@dataclass(frozen=True, slots=True)
class _Meeting:
    """Two blocks of rows, of which those are left that may be near to one of the other."""

    rows: Numbers
    columns: Numbers
    products: Floats  # (rows, columns)
    is_near: Flags  # (rows, columns)


def _meetings(rows: _Rows, chosen: Numbers, threshold: float, block: int, told: Told) -> Iterator[_Meeting]:
    """Every pair of the chosen rows once, the lower one in front; blocks without a near pair are passed over."""
    may_err = np.float32((rows.vectors.shape[1] + 4) * 2.0**-23)
    low, high = np.float32(threshold) - may_err, np.float32(threshold) + may_err
    units = np.empty((len(chosen), rows.vectors.shape[1]), np.float32)
    for at in range(0, len(chosen), block):
        units[at : at + block] = rows.units(chosen[at : at + block])
    for at, to, products in _products(units, block, told):
        if products.size == 0 or products.max() < low:
            continue
        may_be = products >= low
        along, down = np.flatnonzero(may_be.any(axis=1)), np.flatnonzero(may_be.any(axis=0))
        few = products[np.ix_(along, down)]
        met = _Meeting(chosen[at + along], chosen[to + down], few, few >= high)
        _settle(rows, met, (few >= low) & ~met.is_near, threshold)
        yield met


def _products(units: Floats, block: int, told: Told) -> Iterator[tuple[int, int, Floats]]:
    """Of two blocks, where these begin; the array is used again for the next two."""
    room = np.empty((min(block, len(units)), min(block, len(units))), np.float32)
    for at in range(0, len(units), block):
        left = units[at : at + block]
        for to in range(at, len(units), block):
            right = units[to : to + block]
            products = np.matmul(left, right.T, out=room[: len(left), : len(right)])
            if at == to:
                products[np.tri(len(left), dtype=np.bool_)] = BELOW_ALL
            yield at, to, products
            told(comparisons(len(left)) if at == to else products.size)


def _settle(rows: _Rows, met: _Meeting, is_open: Flags, threshold: float) -> None:
    """Those that are too near to the threshold for float32 are decided by float64."""
    along, down = np.flatnonzero(is_open.any(axis=1)), np.flatnonzero(is_open.any(axis=0))
    if not len(along):
        return
    exact = rows.units(met.rows[along]) @ rows.units(met.columns[down]).T
    here = np.ix_(along, down)
    met.is_near[here] |= is_open[here] & (exact >= threshold - slack(rows.vectors.shape[1]))


def _each(rows: _Rows, left: Numbers, right: Numbers, block: int) -> Doubles:
    """(pairs,): the cosines of pairs of rows, so many at a time."""
    found = np.zeros(len(left), np.float64)
    for at in range(0, len(left), block):
        here = slice(at, at + block)
        found[here] = (rows.units(left[here]) * rows.units(right[here])).sum(axis=1)
    return np.clip(found, -1.0, 1.0)


class _Nearest:
    """Of each row the one that it is nearest to, among those that were seen; the first of equal ones."""

    def __init__(self, size: int) -> None:
        self.rows: Numbers = np.full(size, NOBODY, np.int64)
        self._best: Floats = np.full(size, BELOW_ALL, np.float32)

    def see(self, rows: Numbers, columns: Numbers, products: Floats) -> None:
        """Both sides; `products` (rows, columns) are below every cosine where they do not count."""
        if products.size:
            self._keep(rows, columns[products.argmax(axis=1)], products.max(axis=1))
            self._keep(columns, rows[products.argmax(axis=0)], products.max(axis=0))

    def exact(self, rows: _Rows, block: int) -> Doubles:
        """(rows,): the cosines in float64."""
        found = np.zeros(len(self.rows), np.float64)
        known = np.flatnonzero(self.rows != NOBODY)
        found[known] = _each(rows, known, self.rows[known], block)
        return found

    def _keep(self, rows: Numbers, others: Numbers, products: Floats) -> None:
        is_better = products > self._best[rows]
        self.rows[rows[is_better]] = others[is_better]
        self._best[rows[is_better]] = products[is_better]
