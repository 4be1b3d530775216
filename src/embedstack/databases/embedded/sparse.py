"""Sparse vectors in memory become an inverted index, and a question the places of the points that share its terms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedstack.databases.embedded.scoring import Nearest, Places, best_of
from embedstack.types import Floats, Ints, Sparse


@dataclass(frozen=True, slots=True)
class Inverted:
    """For each term the points that have it, and its weight in them."""

    points: int  # how many have such a vector
    documents: int  # how many of them have a term: as in Qdrant, the others do not count for how rare a term is
    terms: Ints  # (terms,), rising
    offsets: Places  # (terms + 1,)
    places: Places  # of points, rising within a term
    weights: Floats

    def __len__(self) -> int:
        return self.points


def inverted(terms: Sequence[Ints], weights: Sequence[Floats]) -> Inverted:
    """Of as many points, in the order of their places."""
    counts = np.array([len(one) for one in terms], np.int64)
    every = np.concatenate([np.empty(0, np.int32), *terms])
    order = np.argsort(every, kind="stable")
    known, starts = np.unique(every[order], return_index=True)
    return Inverted(
        len(terms),
        int(np.count_nonzero(counts)),
        known,
        np.append(starts, len(every)).astype(np.int64),
        np.repeat(np.arange(len(terms)), counts)[order],
        np.concatenate([np.empty(0, np.float32), *weights])[order],
    )


def nearest_sparse(
    index: Inverted, query: Sparse, *, idf: bool, limit: int, least: float | None, places: Places | None
) -> Nearest:
    """At most `limit` of the points that share a term, with products of at least `least`.

    Args:
        idf: the query's weights are multiplied by how rare their terms are.
        places: only these points are meant; None: all.
    """
    scores = np.zeros(index.points)  # float64, and terms are added in one order: equal points have equal scores
    is_hit = np.zeros(index.points, bool)
    for term, weight in zip(query.ids.tolist(), query.weights.tolist(), strict=True):
        some, theirs = _of(index, term)
        factor = weight * rarity(index.documents, len(some)) if idf else weight
        scores[some] += factor * theirs.astype(np.float64)
        is_hit[some] = True
    hits = np.flatnonzero(is_hit)
    if places is not None:
        hits = np.intersect1d(hits, places, assume_unique=True)
    return best_of(hits, scores[hits].astype(np.float32), limit=limit, least=least)


def rarity(documents: int, having: int) -> float:
    """Of a term that so many of the documents have.

    Source: BM25's inverse document frequency as Lucene has it, never below 0.
    """
    return float(np.log1p((documents - having + 0.5) / (having + 0.5)))


def _of(index: Inverted, term: int) -> tuple[Places, Floats]:
    place = int(np.searchsorted(index.terms, term))
    if place == len(index.terms) or index.terms[place] != term:
        return index.places[:0], index.weights[:0]
    part = slice(int(index.offsets[place]), int(index.offsets[place + 1]))
    return index.places[part], index.weights[part]
