"""Vectors in memory and a question become the places of the nearest and their scores, in numpy alone.

Two steps: all are compared in blocks by fast products, whose last digits depend on where a vector lies in its block;
then those that may be among the nearest are compared again, each for itself in float64. So equal vectors have equal
scores, and the nearest are exactly those that a plain loop finds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embedstack.databases.database import Distance
from embedstack.types import Floats

Numbers: TypeAlias = NDArray[np.floating[Any]]
Doubles: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]
Nearest: TypeAlias = tuple[Places, Floats]
"""Places among all, best first and of equal ones the lower first; their scores."""

BLOCK = 16384  # vectors that are compared at once: 25 MB of 384 numbers
FEW = 1024  # of those that are compared again
COPY = 2  # as long takes it to copy vectors that do not lie together, as to compare them
PLAIN = 1e15  # squares of lengths up to it, and down to its inverse, are far from the ends of float32


@dataclass(frozen=True, slots=True)
class Vectors:
    """Of some points, end to end; a dense one is a point's only vector."""

    numbers: Floats  # (vectors, dim); also of float16, as numpy would take ten times as long for products of those
    lengths: Doubles  # (vectors,)
    offsets: Places | None = None  # (points + 1,) of multi vectors

    def __len__(self) -> int:
        """Points."""
        return len(self.lengths) if self.offsets is None else len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Question:
    """What every vector is compared with."""

    rows: Doubles  # (queries, dim); of cosines each of length 1
    lengths: Doubles  # (queries,)
    distance: Distance


def question(vector: Floats, distance: Distance) -> Question:
    """Of a dense query (dim,) or a multi one (queries, dim)."""
    rows = np.atleast_2d(vector).astype(np.float64)
    lengths = lengths_of(rows)
    if distance == "cosine":
        rows, lengths = rows / lengths[:, None], np.ones(len(rows))
    return Question(rows, lengths, distance)


def lengths_of(rows: Numbers) -> Doubles:
    """(rows,)."""
    wide = rows.astype(np.float64)  # beforehand: einsum's own conversion would cut rows where its buffers end
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", wide, wide)))  # a fifth of the time of squares and their sums


def nearest(vectors: Vectors, asked: Question, *, limit: int, least: float | None, places: Places | None) -> Nearest:
    """At most `limit`, with scores of at least `least`.

    Args:
        places: only these points are meant, rising; None: all.
    """
    dtype = _dtype(vectors, asked)
    everything = np.arange(len(vectors))
    if places is None or len(places) * COPY > len(vectors):
        near = _near(vectors, asked, everything, dtype)
        near, places = (near, everything) if places is None else (near[places], places)
    else:
        near = _near(vectors, asked, places, dtype)
    best = places[_may_be_best(near, limit, _margin(vectors, asked, dtype))]
    scores = np.concatenate([np.empty(0), *(_scores(vectors, asked, some) for some in _blocks(vectors, best, FEW))])
    with np.errstate(over="ignore"):  # a product that is too large for float32 is infinite
        return best_of(best, scores.astype(np.float32), limit=limit, least=least)


def best_of(places: Places, scores: Floats, *, limit: int, least: float | None) -> Nearest:
    """The same in order, cut off.

    Args:
        least: is rounded as scores are.
    """
    if least is not None:
        is_enough = scores >= np.float32(least)
        places, scores = places[is_enough], scores[is_enough]
    some = _may_be_best(scores, limit, 0.0)  # to sort all of a million takes longer than to find these
    order = some[np.lexsort((places[some], -scores[some]))[:limit]]
    return places[order], scores[order]


# ------------------------------------------------------------------------------------------------ all, fast


def _near(vectors: Vectors, asked: Question, places: Places, dtype: np.dtype[Any]) -> Numbers:
    """(places,), more is nearer: cosines, products, their sums, or minus the square of a distance."""
    rows = asked.rows.astype(dtype)
    found = [np.empty(0, dtype)]
    for some in _blocks(vectors, places, BLOCK):
        numbers, lengths, offsets = _of(vectors, some)
        products = numbers.astype(dtype, copy=False) @ rows.T  # (vectors, queries)
        if asked.distance == "cosine":
            products /= lengths[:, None].astype(dtype)
        if asked.distance == "l2":
            products = 2 * products - (lengths[:, None] ** 2 + asked.lengths**2).astype(dtype)
        if offsets is not None:
            products = np.maximum.reduceat(products, offsets[:-1], axis=0)  # (points, queries)
        found.append(products.sum(axis=1))
    return np.concatenate(found)


def _dtype(vectors: Vectors, asked: Question) -> np.dtype[Any]:
    """Lengths that are not plain need more than float32 has."""
    lengths = np.concatenate([vectors.lengths, asked.lengths])
    lengths = lengths if asked.distance == "cosine" else lengths[lengths > 0]
    is_plain = len(lengths) == 0 or (lengths.min() > 1 / PLAIN and lengths.max() < PLAIN)
    return np.dtype(np.float32 if is_plain else np.float64)


def _margin(vectors: Vectors, asked: Question, dtype: np.dtype[Any]) -> float:
    """By how much `_near` is wrong at most: for each query as many roundings as there are numbers, and some.

    Source: Higham, Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    longest = np.float64(vectors.lengths.max(initial=0.0))
    roundings = asked.rows.shape[1] + len(asked.rows) + 8
    largest = {"cosine": asked.lengths, "dot": asked.lengths * longest, "l2": (asked.lengths + longest) ** 2}
    return float(roundings * np.finfo(dtype).eps * largest[asked.distance].sum())


def _may_be_best(near: Numbers, limit: int, margin: float) -> Places:
    """Whatever may be among the best although both it and the last of them are wrong by the margin."""
    if limit >= len(near):
        return np.arange(len(near))
    last = np.partition(near, len(near) - limit)[len(near) - limit]
    return np.flatnonzero(near >= float(last) - 2 * margin)


# ------------------------------------------------------------------------------------------------ a few, exactly


def _scores(vectors: Vectors, asked: Question, places: Places) -> Doubles:
    """(places,); each depends on its own vectors alone, as sums along rows are made in one order."""
    numbers, lengths, offsets = _of(vectors, places)
    wide = numbers.astype(np.float64)
    scores = np.zeros(len(places))
    for row in asked.rows:
        each = _compared(wide, lengths, row, asked.distance)
        scores += each if offsets is None else np.maximum.reduceat(each, offsets[:-1])
    return scores


def _compared(wide: Doubles, lengths: Doubles, row: Doubles, distance: Distance) -> Doubles:
    match distance:
        case "l2":
            return np.asarray(0.0 - np.sqrt(((wide - row) ** 2).sum(axis=1)))
        case "cosine":
            return np.asarray((wide * row).sum(axis=1) / lengths)
        case "dot":
            return np.asarray((wide * row).sum(axis=1))


# ------------------------------------------------------------------------------------------------ some of them


def _of(vectors: Vectors, places: Places) -> tuple[Numbers, Doubles, Places | None]:
    """Numbers and lengths of these points, end to end, and their offsets; those that lie together are not copied."""
    offsets = vectors.offsets
    if offsets is None:
        index = _slice(places)
        return vectors.numbers[index], vectors.lengths[index], None
    counts = offsets[places + 1] - offsets[places]
    own = np.concatenate([[0], np.cumsum(counts)])
    index = _slice(np.repeat(offsets[places] - own[:-1], counts) + np.arange(own[-1]))
    return vectors.numbers[index], vectors.lengths[index], own


def _slice(places: Places) -> "Places | slice[int, int, None]":
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def _blocks(vectors: Vectors, places: Places, size: int) -> Iterator[Places]:
    """Of about so many vectors."""
    per_point = max(1, len(vectors.lengths) // max(1, len(vectors)))
    step = max(1, size // per_point)
    for start in range(0, len(places), step):
        yield places[start : start + step]
