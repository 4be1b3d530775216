"""Candidates and a question's vectors of tokens -> the first of them in the order of their own, by MaxSim.

The database compares: it is asked about these points alone, so that the vectors of their tokens, thousands of numbers
each, stay where they are. This is no stage of the question that finds the candidates, since Qdrant puts rankings
together in each shard for itself wherever another stage follows.
"""

from collections.abc import Sequence

from embedstack.databases.bound import Bound
from embedstack.databases.database import PointId, Query
from embedstack.search.found import FoundPoint, How
from embedstack.search.questions import Question
from embedstack.search.reranking import Reranked, in_order_of

AT_ONCE = 64  # points: of 512 tokens with 1024 numbers each 130 MB, where a database in this process reads them


def reranked_late(bound: Bound, question: Question, points: Sequence[FoundPoint], how: How) -> Reranked:
    """The first `how.rerank_top` by their scores, behind them the others in the order they had.

    A score is the sum over the question's tokens of the nearest of the point's. Points without such vectors are behind
    those that have them.

    Raises:
        As `Bound.query`.
    Source:
        Khattab and Zaharia 2020, https://arxiv.org/abs/2004.12832.
    """
    first = [one.id for one in points[: how.rerank_top]]
    asked = [_about(question, first[at : at + AT_ONCE]) for at in range(0, len(first), AT_ONCE)]
    answers = bound.queries(asked, {question.asked.name: question.origin})
    scores = {hit.id: hit.score for hits in answers for hit in hits}
    without = len(first) - len(scores)
    note = f"{without} of the first {len(first)} points have no vector {question.asked.shown!r} to rerank by"
    return Reranked(in_order_of(points, scores) if scores else points, (note,) if without else ())


def _about(question: Question, some: Sequence[PointId]) -> Query:
    return Query(
        vector=question.vector,
        field=question.asked.name,
        among=some,
        limit=len(some),
        is_exact=True,
        with_payload=False,
    )
