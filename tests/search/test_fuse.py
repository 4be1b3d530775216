"""Fusion here against fusion in Qdrant's engine, to the last bit, and against the papers' formulas."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import permutations
from uuid import UUID

import numpy as np
import pytest
import qdrant_edge as edge

from embedstack.databases.database import PointId, order_of
from embedstack.errors import BadRequest
from embedstack.search.fuse import dbsf, qdrant_k, rrf, weighted

Ranking = list[tuple[PointId, float]]
LEGS = 3
MANY = 1000

draw = random.Random(11)
IDS: list[PointId] = [*range(60), *(str(UUID(int=draw.getrandbits(128))) for _ in range(40))]


def _drawn() -> dict[PointId, dict[int, float]]:
    """Document -> leg -> score: some of each, many equal, far apart, below 0, or one step of float32 apart."""
    close = [float(np.nextafter(np.float32(0.7), np.float32(1))), 0.7]
    spreads: Sequence[Callable[[], float]] = (
        lambda: draw.choice([0.25, 0.5, draw.random()]),
        lambda: draw.gauss(0, 30),
        lambda: draw.choice(close),
    )
    return {one: {leg: spreads[leg]() for leg in range(LEGS) if draw.random() < 0.6} for one in IDS}


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    """Documents whose scores of each leg are those that were drawn: products with 1."""
    params = edge.EdgeVectorParams(1, edge.Distance.Dot)
    shard = edge.EdgeShard.create(
        str(tmp_path_factory.mktemp("shard")),
        edge.EdgeConfig(vectors={f"leg{leg}": params for leg in range(LEGS)}, sparse_vectors={}),
    )
    points = [
        edge.Point(_theirs(one), {f"leg{leg}": [score] for leg, score in scores.items()}, {})
        for one, scores in _drawn().items()
    ]
    shard.update(edge.UpdateOperation.upsert_points(points))
    yield shard
    shard.close()


def _theirs(one: PointId) -> "int | UUID":
    return UUID(one) if isinstance(one, str) else one


def _nearest(leg: int) -> edge.Query:
    return edge.Query.Nearest([1.0], f"leg{leg}")


def _asked(shard: edge.EdgeShard, **asked: object) -> Ranking:
    hits = shard.query(edge.QueryRequest(**asked))
    return [(str(hit.id) if isinstance(hit.id, UUID) else hit.id, hit.score) for hit in hits]


def _legs(shard: edge.EdgeShard, limits: Sequence[int]) -> list[Ranking]:
    """What is fused, in the order that equal scores have there."""
    return [_asked(shard, limit=limit, query=_nearest(leg)) for leg, limit in enumerate(limits)]


def _fused(shard: edge.EdgeShard, fusion: edge.Fusion, limits: Sequence[int]) -> Ranking:
    """By the engine, with ties in the order of ids."""
    legs = [edge.Prefetch(limit=limit, query=_nearest(leg)) for leg, limit in enumerate(limits)]
    return _in_order(_asked(shard, limit=MANY, prefetches=legs, query=fusion))


def _in_order(ranking: Ranking) -> Ranking:
    return sorted(ranking, key=lambda hit: (-hit[1], order_of(hit[0])))


LIMITS = [(100, 100, 100), (1, 100, 2), (1, 1, 1), (2, 5, 30), (100, 1), (7,)]

# ------------------------------------------------------------------------------------------------ Qdrant's engine


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("k", [0, 1, 2, 60, 1000])
def test_by_rank_is_what_qdrant_gives(shard: edge.EdgeShard, limits: Sequence[int], k: int) -> None:
    ours = rrf(_legs(shard, limits), k=k, limit=MANY)

    assert ours == _fused(shard, edge.Fusion.Rrf(qdrant_k(k)), limits)


@pytest.mark.parametrize(
    "weights", [(1, 2, 3), (2, 4, 6), (0.3, 0.7, 1.1), (0, 1, 1), (0, 0, 0), (1e-3, 1000, 7), (1e-44, 1, 1)]
)
@pytest.mark.parametrize("k", [0, 1, 60])
def test_weights_are_what_they_are_in_qdrant(shard: edge.EdgeShard, weights: Sequence[float], k: int) -> None:
    limits = (100, 50, 30)
    ours = rrf(_legs(shard, limits), k=k, weights=weights, limit=MANY)

    assert ours == _fused(shard, edge.Fusion.Rrf(qdrant_k(k), [*weights]), limits)


@pytest.mark.parametrize("limits", LIMITS)
def test_by_spread_is_what_qdrant_gives(shard: edge.EdgeShard, limits: Sequence[int]) -> None:
    assert dbsf(_legs(shard, limits), MANY) == _fused(shard, edge.Fusion.Dbsf(), limits)


def test_legs_of_the_engine_are_of_all_kinds(shard: edge.EdgeShard) -> None:
    legs = _legs(shard, (100, 100, 100))

    assert {type(one) for leg in legs for one, _ in leg} == {int, str}
    assert all(len(leg) > 30 for leg in legs)
    assert [len({score for _, score in leg}) < len(leg) for leg in legs] == [True, False, True]


# ------------------------------------------------------------------------------------------------ by hand


DENSE: Ranking = [("a", 0.9), ("b", 0.8), ("c", 0.1)]
SPARSE: Ranking = [("c", 12.0), ("a", 3.0)]
FUSIONS = [
    pytest.param(partial(rrf), id="rrf"),
    pytest.param(dbsf, id="dbsf"),
    pytest.param(lambda rankings, limit: weighted(rankings, [1.0] * len(rankings), limit), id="weighted"),
]
Fusion = Callable[..., Ranking]


def test_by_rank_is_the_papers_formula() -> None:
    wanted = {"a": 1 / 61 + 1 / 62, "b": 1 / 62, "c": 1 / 63 + 1 / 61}

    assert dict(rrf([DENSE, SPARSE], limit=9)) == pytest.approx(wanted, rel=1e-6)


def test_the_best_score_of_two_rankings_is_two_sixty_firsts() -> None:
    assert rrf([[("a", 1.0)], [("a", 99.0)]], limit=1) == [("a", pytest.approx(2 / 61, rel=1e-6))]


def test_a_ranking_of_weight_three_is_dealt_three_to_one() -> None:
    heavy: Ranking = [(number, 1.0 - number / 100) for number in range(9)]
    light: Ranking = [(number + 100, score) for number, score in heavy]

    assert [one for one, _ in rrf([heavy, light], k=1, weights=[3, 1], limit=8)] == [0, 1, 2, 100, 3, 4, 5, 101]


def test_by_spread_is_the_mean_with_three_deviations_around() -> None:
    scores = [score for _, score in DENSE]
    low, high = (np.mean(scores) + sign * 3 * np.std(scores, ddof=1) for sign in (-1, 1))

    assert dbsf([DENSE], 9) == [(one, pytest.approx((score - low) / (high - low), rel=1e-5)) for one, score in DENSE]


@pytest.mark.parametrize("leg", [[("a", 7.0)], [("a", 0.1), ("b", 0.1), ("c", 0.1)]])
def test_by_spread_equal_scores_are_half(leg: Ranking) -> None:
    assert dbsf([leg], 9) == [(one, 0.5) for one, _ in leg]


def test_weighted_scores_go_from_lowest_to_highest() -> None:
    wanted = [("c", 2.0), ("a", 1.0), ("b", pytest.approx(0.875))]

    assert weighted([DENSE, SPARSE], [1, 2], 9) == wanted


@pytest.mark.parametrize("leg", [[("a", -7.0)], [("a", 0.1), ("b", 0.1)]])
def test_weighted_equal_scores_are_one(leg: Ranking) -> None:
    assert weighted([leg], [0.5], 9) == [(one, 0.5) for one, _ in leg]


# ------------------------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("fuse", FUSIONS)
@pytest.mark.parametrize("rankings", [[], [[]], [[], []]])
def test_nothing_fused_is_nothing(fuse: Fusion, rankings: list[Ranking]) -> None:
    assert fuse(rankings, limit=5) == []


@pytest.mark.parametrize("fuse", FUSIONS)
def test_an_empty_ranking_changes_nothing(fuse: Fusion) -> None:
    assert fuse([DENSE, [], SPARSE], limit=9) == fuse([DENSE, SPARSE], limit=9)


@pytest.mark.parametrize("fuse", FUSIONS)
def test_of_equal_scores_numbers_come_before_texts_and_lower_ones_first(fuse: Fusion) -> None:
    ids: list[PointId] = [2, 10, "1", "b"]

    for some in permutations(ids):
        assert [one for one, _ in fuse([[(one, 1.0)] for one in some], limit=9)] == ids


@pytest.mark.parametrize("fuse", FUSIONS)
def test_a_limit_cuts_what_would_have_come(fuse: Fusion) -> None:
    assert [fuse([DENSE, SPARSE], limit=limit) for limit in (1, 2, 3)] == [
        fuse([DENSE, SPARSE], limit=9)[:limit] for limit in (1, 2, 3)
    ]


@pytest.mark.parametrize("fuse", FUSIONS)
@pytest.mark.parametrize(
    ("ranking", "said"),
    [
        ([("a", 1.0), ("b", math.nan)], "ranking 2 has document 'b' with score nan"),
        ([("a", math.inf)], "ranking 2 has document 'a' with score inf"),
        ([("a", 1e16)], "ranking 2 has document 'a' with score 1e[+]16"),
        ([("a", 1.0), ("b", 0.5), ("a", 0.1)], "ranking 2 has document 'a' twice"),
        ([("a", 1.0), ("b", 1.5)], "ranking 2 is not best first: document 'b' with score 1.5 stands behind"),
    ],
)
def test_a_ranking_that_is_none_is_refused(fuse: Fusion, ranking: Ranking, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        fuse([DENSE, ranking], limit=9)


@pytest.mark.parametrize("fuse", FUSIONS)
@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(fuse: Fusion, limit: int) -> None:
    with pytest.raises(BadRequest, match=f"limit {limit} of a fusion is below 1"):
        fuse([DENSE], limit=limit)


@pytest.mark.parametrize("k", [-1, 0.5, 2**25])
def test_a_k_that_is_no_rank_is_refused(k: float) -> None:
    with pytest.raises(BadRequest, match=f"k={k} of a fusion by ranks"):
        rrf([DENSE], k=k, limit=9)


@pytest.mark.parametrize("weights", [[1.0, -0.1], [1.0, math.nan], [1.0, math.inf], [1.0], [1.0, 1.0, 1.0]])
def test_weights_are_one_for_each_and_not_below_zero(weights: list[float]) -> None:
    for fuse in (lambda: rrf([DENSE, SPARSE], weights=weights, limit=9), lambda: weighted([DENSE, SPARSE], weights, 9)):
        with pytest.raises(
            BadRequest, match=r"weight -?\w+(\.\d)? of a ranking is not from|weights are given for 2 rankings"
        ):
            fuse()


def test_the_largest_scores_are_fused_without_overflow() -> None:
    ranking: Ranking = [("a", 1e15), *((number, -1e15) for number in range(1000))]

    assert all(
        math.isfinite(score)
        for fuse in (dbsf, partial(weighted, weights=[1.0]))
        for _, score in fuse([ranking], limit=9)
    )
