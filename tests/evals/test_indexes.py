"""Exact searches in memory beside plain loops over every pair."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from embedstack.errors import BadRequest
from embedstack.evals.systems import indexes
from embedstack.evals.systems.indexes import DenseIndex, MultiIndex, SparseIndex, index_of
from embedstack.types import Sparse

DIM = 6
TERM = Sparse(np.array([1], np.int32), np.ones(1, np.float32))
Pairs = list[list[tuple[int, float]]]


def found(index, queries, limit=10) -> Pairs:
    return [
        list(zip(places.tolist(), scores.tolist(), strict=True)) for places, scores in index.nearest(queries, limit)
    ]


def by_hand(documents: Sequence, queries: Sequence, score: Callable[..., float | None], limit=10) -> Pairs:
    """Each pair alone; what has no score is not found."""
    rankings = []
    for query in queries:
        scores = [(place, score(query, document)) for place, document in enumerate(documents)]
        known = [(place, float(np.float32(one))) for place, one in scores if one is not None]
        rankings.append(sorted(known, key=lambda hit: (-hit[1], hit[0]))[:limit])
    return rankings


def cosine(a, b) -> float:
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True)) / math.sqrt(
        sum(x * x for x in a.tolist()) * sum(y * y for y in b.tolist())
    )


def product(a, b) -> float:
    return math.fsum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def close(ours: Pairs, theirs: Pairs) -> bool:
    """The same places in the same order; scores to the last digits of float32."""
    places = [[place for place, _ in one] for one in ours] == [[place for place, _ in one] for one in theirs]
    return places and all(
        np.allclose([s for _, s in a], [s for _, s in b], rtol=1e-6) for a, b in zip(ours, theirs, strict=True)
    )


def drawn(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)


def drawn_multi(count: int, seed: int, *, empty: bool = False) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [drawn(int(draw.integers(0 if empty else 1, 6)), seed + at) for at in range(count)]


def drawn_sparse(count: int, seed: int) -> list[Sparse]:
    draw = np.random.default_rng(seed)
    rows = [np.sort(draw.choice(12, int(draw.integers(0, 5)), replace=False)).astype(np.int32) for _ in range(count)]
    return [Sparse(ids, draw.uniform(0.1, 2, len(ids)).astype(np.float32)) for ids in rows]


@pytest.mark.parametrize(("similarity", "score"), [("cosine", cosine), ("dot", product)])
def test_dense_search_finds_what_a_loop_finds(similarity, score):
    documents, queries = drawn(50), drawn(9, seed=1)

    assert close(found(DenseIndex(documents, similarity), queries), by_hand(documents, queries, score))


@pytest.mark.parametrize(("similarity", "score"), [("cosine", cosine), ("dot", product)])
@pytest.mark.parametrize(("block", "rows"), [(1024, 1024), (7, 5), (1, 1)])
def test_maxsim_finds_what_a_double_loop_finds(similarity, score, block, rows, monkeypatch):
    monkeypatch.setattr(indexes, "BLOCK", block)
    monkeypatch.setattr(indexes, "ROWS", rows)
    documents, queries = drawn_multi(40, seed=0, empty=True), drawn_multi(9, seed=100, empty=True)

    def maxsim(query, document) -> float | None:
        if not len(query) or not len(document):
            return None
        return math.fsum(max(score(one, other) for other in document) for one in query)

    assert any(not len(one) for one in documents)
    assert any(not len(one) for one in queries)
    assert close(found(MultiIndex(documents, similarity), queries), by_hand(documents, queries, maxsim))


@pytest.mark.parametrize("idf", [False, True])
def test_sparse_search_finds_what_a_loop_finds(idf):
    documents, queries = drawn_sparse(40, seed=0), drawn_sparse(9, seed=1)
    having = [one for one in documents if len(one.ids)]

    def score(query, document) -> float | None:
        shared = set(query.ids.tolist()) & set(document.ids.tolist())
        if not shared:
            return None
        theirs = dict(zip(document.ids.tolist(), document.weights.tolist(), strict=True))
        counts = {term: sum(term in one.ids for one in having) for term in shared}
        rarity = {n: math.log1p((len(having) - c + 0.5) / (c + 0.5)) if idf else 1.0 for n, c in counts.items()}
        return sum(w * theirs[t] * rarity[t] for t, w in zip(query.ids, query.weights.tolist()) if t in shared)  # noqa: B905 - both are of one query

    assert any(not len(one.ids) for one in documents)
    assert close(found(SparseIndex(documents, idf=idf), queries), by_hand(documents, queries, score))


@pytest.mark.parametrize(
    ("kind", "documents", "queries"),
    [
        ("dense", drawn(60), drawn(20, seed=1)),
        ("multi", drawn_multi(60, seed=0), drawn_multi(20, seed=200)),
        ("sparse", drawn_sparse(60, seed=0), drawn_sparse(20, seed=1)),
    ],
)
def test_a_query_alone_finds_what_it_finds_among_others(kind, documents, queries):
    index = index_of(kind, documents, "cosine")

    assert found(index, queries) == [found(index, queries[place : place + 1])[0] for place in range(len(queries))]


@pytest.mark.parametrize(
    ("kind", "documents", "query"),
    [
        ("dense", np.tile(drawn(1), (30, 1)), drawn(1, seed=1)),
        ("multi", [drawn(3)] * 30, [drawn(2, seed=1)]),
        ("sparse", [Sparse(np.array([1, 4], np.int32), np.array([0.3, 0.7], np.float32))] * 30, [TERM]),
    ],
)
def test_of_equal_documents_the_first_ones_are_found(kind, documents, query):
    index = index_of(kind, documents, "cosine")

    assert [place for place, _ in found(index, query, 5)[0]] == [0, 1, 2, 3, 4]


def test_documents_without_vectors_are_no_documents():
    index = MultiIndex([drawn(0), drawn(0)], "cosine")

    assert found(index, [drawn(2)]) == [[]]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["documents", "queries"])
@pytest.mark.parametrize("kind", ["dense", "multi", "sparse"])
def test_vectors_that_are_not_finite_are_refused(kind, side, wrong):
    sound = {"dense": drawn(3), "multi": [drawn(3)], "sparse": [TERM]}
    unsound = {
        "dense": np.where(np.eye(3, DIM) == 1, wrong, drawn(3)).astype(np.float32),
        "multi": [np.full((2, DIM), wrong, np.float32)],
        "sparse": [Sparse(np.array([1], np.int32), np.array([wrong], np.float32))],
    }
    documents, queries = (unsound, sound) if side == "documents" else (sound, unsound)

    with pytest.raises(BadRequest, match="NaN or infinity"):
        index_of(kind, documents[kind], "cosine").nearest(queries[kind], 1)


@pytest.mark.parametrize(
    ("kind", "zeros"), [("dense", np.zeros((1, DIM), np.float32)), ("multi", [np.zeros((1, DIM), np.float32)])]
)
def test_vectors_without_a_direction_are_refused_where_that_is_compared(kind, zeros):
    with pytest.raises(BadRequest, match="all zeros"):
        index_of(kind, zeros, "cosine")
    index_of(kind, zeros, "dot")
