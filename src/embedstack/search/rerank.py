"""The scores of a first ranking decide whether a second one is asked; its scores and the first become one ranking.

A reranker reads every document together with the question, and costs more than all else of a search. So it is given
the first few documents only, and none where the first ranking is sure.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import TypeVar

from embedstack.errors import BadRequest

Id = TypeVar("Id", bound=int | str)

TOP, GAP = 0.9, 0.2
HIGHEST = 1.001  # a cosine of vectors that are kept as float16


def is_settled(scores: Sequence[float], *, top: float = TOP, gap: float = GAP) -> bool:
    """Whether the first document is so good, and so much better than the second, that no reranker need be asked.

    This has a meaning for cosines and for probabilities, as a reranker's sigmoid gives them, and both numbers are to be
    found with questions of one's own: some models give texts that have nothing in common a cosine of 0.7. It has none
    for fused scores, of which the best of two rankings by rank is 2 / 61, so that nothing would ever be settled; nor
    for products and BM25, which have no highest one, and are refused where they show.

    Args:
        scores: of the first ranking, best first. One or none is settled: there is nothing to put in order.
        top: the first must be above this,
        gap: and above the second by more than this.
    Raises:
        BadRequest: a score is not from -1 to 1, or they are not best first.
    """
    for score in scores:
        if not -HIGHEST <= score <= HIGHEST:
            raise BadRequest(
                f"score {score!r} is neither a cosine nor a probability, so no threshold has a meaning for it; "
                "rerank without asking whether it is settled"
            )
    for before, score in pairwise(scores):
        if score > before:
            raise BadRequest(f"score {score!r} stands behind {before!r}, and they must be best first; sort them")
    return len(scores) < 2 or (scores[0] > top and scores[0] - scores[1] > gap)


def merged(first: Sequence[tuple[Id, float]], scored: Sequence[tuple[Id, float]], limit: int) -> list[tuple[Id, float]]:
    """Documents in the order of the reranker's scores, and behind them the others in the order they had.

    The first ones keep the reranker's scores, and equal ones the order they had. The others were never scored: they
    have the lowest of those scores less 1, less 2, and so on, which says where they stand and nothing else.

    Args:
        first: the first ranking, best first.
        scored: those of it that the reranker was given, in any order; mostly its first ones.
    Raises:
        BadRequest: a document is there twice, or was scored and is not of the first ranking; a score of the reranker
            is not finite; the limit is below 1.
    """
    if limit < 1:
        raise BadRequest(f"limit {limit!r} of a ranking is below 1; ask for at least one document")
    known, scores = _once(first), _once(scored)
    for one, score in scores.items():
        if one not in known:
            raise BadRequest(f"document {one!r} was reranked and is not in the first ranking; score what it found")
        if not isfinite(score):
            raise BadRequest(f"the reranker's score of document {one!r} is {score!r}; leave it out")
    best = sorted((one for one in known if one in scores), key=lambda one: -scores[one])
    lowest = min(scores.values(), default=0.0)
    others = enumerate((one for one in known if one not in scores), 1)
    return [*((one, scores[one]) for one in best), *((one, lowest - place) for place, one in others)][:limit]


def _once(ranking: Sequence[tuple[Id, float]]) -> dict[Id, float]:
    found = dict(ranking)
    if len(found) < len(ranking):
        ids = [one for one, _ in ranking]
        twice = next(one for place, one in enumerate(ids) if one in ids[:place])
        raise BadRequest(f"document {twice!r} is in a ranking twice; give it once")
    return found
