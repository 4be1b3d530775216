"""Candidates and a model that reads them with the question -> the first of them in its order, unless they are sure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from embedstack.databases.database import PointId
from embedstack.search.found import FoundPoint, How, text_of
from embedstack.search.legs import Asked
from embedstack.search.rerank import is_settled, merged
from embedstack.types import Encoder, Pair, Score

RERANK = "rerank"  # the stage


@dataclass(frozen=True, slots=True)
class Reranked:
    """Candidates, best first."""

    points: Sequence[FoundPoint]
    notes: tuple[str, ...] = ()


async def reranked(text: str, points: Sequence[FoundPoint], how: How, *, encoder: Encoder) -> Reranked:
    """The first `how.rerank_top` by their scores, behind them the others in the order they had.

    Points without a text are behind those that have one.

    Raises:
        As `Encoder.score`. BadRequest: a score is not finite.
    """
    first = points[: how.rerank_top]
    texts = {one.id: document for one in first if (document := text_of(one, how.text_key)) and document.strip()}
    textless = len(first) - len(texts)
    note = f"{textless} of the first {len(first)} points have no text under {how.text_key!r} to rerank"
    notes = (note,) if textless else ()
    if not texts:
        return Reranked(points, notes)
    pairs = tuple(Pair(text, document) for document in texts.values())
    scored = await encoder.score(Score(model=how.reranker, items=pairs))
    scores = dict(zip(texts, map(float, scored.scores), strict=True))
    return Reranked(in_order_of(points, scores), notes)


def in_order_of(points: Sequence[FoundPoint], scores: Mapping[PointId, float]) -> list[FoundPoint]:
    """Those that have a score of the reranker by these, behind them the others in the order they had.

    Raises:
        BadRequest: a score is not finite.
    """
    by_id = {one.id: one for one in points}
    ranked = merged([(one.id, one.score) for one in points], [*scores.items()], max(1, len(points)))
    return [_with(by_id[one], score, scores.get(one)) for one, score in ranked]


def _with(point: FoundPoint, score: float, own: float | None) -> FoundPoint:
    """
    Args:
        own: the reranker's score; None where it has none.
    """
    scores = point.scores if own is None else {**point.scores, RERANK: own}
    return replace(point, score=score, scores=scores)


def is_sure(points: Sequence[FoundPoint], fields: Sequence[Asked]) -> bool | None:
    """Whether the cosines of a dense field settle who is first, and the fusion agrees; None: there is no such field.

    Args:
        points: all candidates, with the scores of their fields.
        fields: that were asked; the first one with cosines decides.
    """
    name = next((one.shown for one in fields if one.kind == "dense" and one.field.distance == "cosine"), None)
    if name is None:
        return None
    cosines = sorted((one.scores[name] for one in points if name in one.scores), reverse=True)
    if len(points) < 2 or len(cosines) < 2:
        return len(points) < 2
    return points[0].scores.get(name) == cosines[0] and is_settled(cosines)
