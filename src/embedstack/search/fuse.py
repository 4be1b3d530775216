"""Several rankings of documents become one: by their ranks, or by their scores.

Fused here or in Qdrant, rankings give the same documents with the same scores, to the last bit: all is computed in
float32 and in Qdrant's order. Of equal scores the lower id comes first here. Qdrant leaves them as they fall, in the
rankings that it fuses as in the one that it gives: who fuses there asks for more than is wanted, sorts and cuts.

A fused score says nothing of how good a document is: the best that two rankings can give by rank is 2 / 61. No
threshold has a meaning for it; put one on a ranking before it is fused.

Source: Qdrant 1.19, `lib/segment/src/common/reciprocal_rank_fusion.rs` and `score_fusion.rs` there, at
https://github.com/qdrant/qdrant/tree/74f3e85b94.
"""

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from embedstack.databases.database import order_of
from embedstack.errors import BadRequest
from embedstack.types import Floats

Id = TypeVar("Id", bound=int | str)
Ranking: TypeAlias = Sequence[tuple[Id, float]]
"""Documents with their scores, best first; a document is there once."""

K = 60  # https://plg.uwaterloo.ca/~gvcormac/cormacksigir09-rrf.pdf; small where one document is relevant, see `rrf`
MOST_K = 2**24  # float32 has all whole numbers up to here
MOST_WEIGHT = 1000.0
MOST_SCORE = 1e15  # float32 has the squares of so large ones, and the sum of many
SIGMAS = np.float32(3)


def rrf(
    rankings: Sequence[Ranking[Id]], *, k: int = K, weights: Sequence[float] | None = None, limit: int
) -> list[tuple[Id, float]]:
    """Reciprocal rank fusion: the sum of 1 / (k + rank / weight), where the first rank is 1. Scores do not count.

    Without weights this is the paper's. A weight stretches ranks, as Qdrant has it: of a ranking of weight 3 the third
    counts as the first of a ranking of weight 1 does, so the two are dealt out like cards, three to one. (1, 2) is not
    (2, 4), and the larger k is, the less the first ranks feel of it. Documents of weight 0 come last, with score 0.

    Args:
        k: at least 0. Of 1 to 5 the first ranks decide, for questions with one answer; 20 to 60 reward what all agree
            on. Qdrant counts it another way: see `qdrant_k`.
        weights: one for each ranking, at least 0.
    Raises:
        BadRequest: a ranking is not best first, has a document twice or a score that is not finite; k, a weight or
            the limit is out of range.
    Source:
        Cormack, Clarke and Büttcher 2009, at K above; the weights: Qdrant.
    """
    if not isinstance(k, int) or not 0 <= k <= MOST_K:
        raise BadRequest(f"k={k!r} of a fusion by ranks is no whole number from 0; 60 is the usual one")
    shares = [
        _by_rank(len(scores), k, weight)
        for scores, weight in zip(_checked(rankings), _factors(weights, rankings), strict=True)
    ]
    return _summed(rankings, shares, limit)


def qdrant_k(k: int) -> int:
    """What Qdrant calls the same k, since it counts ranks from 0: its own default of 2 is 1 here."""
    return k + 1


def dbsf(rankings: Sequence[Ranking[Id]], limit: int) -> list[tuple[Id, float]]:
    """Distribution-based score fusion: the sum of scores of which 0 is the mean less 3 deviations, and 1 with 3 more.

    The deviation is that of a sample (n - 1). Beyond 3 of them a score is below 0 or above 1. A single document, and
    those of a ranking whose scores are all equal, have 0.5.

    Raises:
        BadRequest: as `rrf`; scores whose squares are beyond float32.
    """
    return _summed(rankings, [_by_spread(scores) for scores in _checked(rankings)], limit)


def weighted(rankings: Sequence[Ranking[Id]], weights: Sequence[float], limit: int) -> list[tuple[Id, float]]:
    """The weighted sum of scores that are brought from each ranking's lowest and highest to 0 and 1.

    The last of a ranking has 0, as if it had not been found: give it more documents than are wanted. Of a single
    document, and where all scores are equal, they become 1. Qdrant has no such fusion.

    Args:
        weights: one for each ranking, at least 0; only their ratios matter to the order.
    Raises:
        BadRequest: as `rrf`.
    """
    shares = [
        _by_range(scores) * weight
        for scores, weight in zip(_checked(rankings), _factors(weights, rankings), strict=True)
    ]
    return _summed(rankings, shares, limit)


# ------------------------------------------------------------------------------------------------ the shares


def _by_rank(count: int, k: int, weight: np.float32) -> Floats:
    """(count,). Summed as Qdrant does, rank / weight + its k - 1, since another order rounds in another way."""
    if not weight:
        return np.zeros(count, np.float32)
    with np.errstate(over="ignore"):  # of a weight near 0 ranks are infinite, and shares 0
        ranks = np.arange(1, count + 1, dtype=np.float32) / weight
    shares: Floats = 1 / (ranks + np.float32(qdrant_k(k)) - np.float32(1))
    return shares


def _by_spread(scores: Floats) -> Floats:
    if len(scores) < 2:
        return np.full(len(scores), 0.5, np.float32)
    mean, deviation = _mean_and_deviation(scores)
    return _between(scores, mean - SIGMAS * deviation, mean + SIGMAS * deviation, equal=0.5)


def _mean_and_deviation(scores: Floats) -> tuple[np.float32, np.float32]:
    """One score after the other, by Welford: scores that hardly differ get another deviation by any other way."""
    mean = squares = np.float32(0)
    for count, score in enumerate(scores, 1):
        before = score - mean
        mean += before / np.float32(count)
        squares += before * (score - mean)
    return mean, np.sqrt(squares / np.float32(len(scores) - 1))


def _by_range(scores: Floats) -> Floats:
    return _between(scores, scores[-1], scores[0], equal=1.0) if len(scores) else scores


def _between(scores: Floats, low: np.float32, high: np.float32, *, equal: float) -> Floats:
    if low == high:
        return np.full(len(scores), equal, np.float32)
    shares: Floats = (scores - low) / (high - low)
    return shares


# ------------------------------------------------------------------------------------------------ the sum


def _summed(rankings: Sequence[Ranking[Id]], shares: Sequence[Floats], limit: int) -> list[tuple[Id, float]]:
    """At most `limit` documents, best first, of equal scores in the order of ids."""
    if limit < 1:
        raise BadRequest(f"limit {limit!r} of a fusion is below 1; ask for at least one document")
    places: dict[Id, int] = {}
    rows = [[places.setdefault(one, len(places)) for one, _ in ranking] for ranking in rankings]
    totals = np.zeros(len(places), np.float32)
    for row, share in zip(rows, shares, strict=True):
        totals[row] += share  # a document is there once, so none is lost
    return sorted(zip(places, totals.tolist(), strict=True), key=lambda hit: (-hit[1], order_of(hit[0])))[:limit]


# ------------------------------------------------------------------------------------------------ the checks


def _checked(rankings: Sequence[Ranking[Id]]) -> list[Floats]:
    """The scores of each."""
    return [_scores(number, ranking) for number, ranking in enumerate(rankings, 1)]


def _scores(number: int, ranking: Ranking[Id]) -> Floats:
    """(documents,)."""
    scores = np.array([score for _, score in ranking], np.float64)
    wrong = np.flatnonzero(~(np.abs(scores) <= MOST_SCORE))  # NaN is not below it either
    if len(wrong):
        one, score = ranking[wrong[0]]
        raise BadRequest(
            f"ranking {number} has document {one!r} with score {score!r}, which is not from -1e15 to 1e15; leave it out"
        )
    rises = np.flatnonzero(scores[1:] > scores[:-1])
    if len(rises):
        one, score = ranking[rises[0] + 1]
        raise BadRequest(
            f"ranking {number} is not best first: document {one!r} with score {score!r} stands behind one with "
            f"{ranking[rises[0]][1]!r}; sort it"
        )
    ids = [one for one, _ in ranking]
    if len(set(ids)) < len(ids):
        twice = next(one for place, one in enumerate(ids) if one in ids[:place])
        raise BadRequest(f"ranking {number} has document {twice!r} twice; give it once, with its best score")
    return scores.astype(np.float32)


def _factors(weights: Sequence[float] | None, rankings: Sequence[Ranking[Id]]) -> Floats:
    """(rankings,)."""
    given = [1.0] * len(rankings) if weights is None else weights
    if len(given) != len(rankings):
        raise BadRequest(f"{len(given)} weights are given for {len(rankings)} rankings; give one for each")
    for weight in given:
        if not 0 <= weight <= MOST_WEIGHT:
            raise BadRequest(f"weight {weight!r} of a ranking is not from 0 to {MOST_WEIGHT:g}; 1 is the usual one")
    return np.array(given, np.float32)
