"""Questions to several fields become one ranking of points: put together by the database if it can, or else here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from embedstack.databases.bound import Bound
from embedstack.databases.database import Fused, Fusing, Hit, Leg, PointId
from embedstack.errors import Unsupported
from embedstack.origin import Origin
from embedstack.search import fuse
from embedstack.search.found import FoundPoint, How
from embedstack.search.legs import depth_of, wanted_of
from embedstack.search.questions import Question

FUSED = "fused"  # the stage
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Candidates, best first."""

    points: list[FoundPoint]
    took_s: Mapping[str, float]
    notes: tuple[str, ...] = ()


def gather(bound: Bound, questions: Sequence[Question], how: How, *, clock: Clock) -> Gathered:
    """The answers to one question as they are, to several as `how` fuses them.

    Where the database puts them together, points come without the scores of their fields.

    Args:
        clock: seconds.
    Raises:
        As `Bound.query`.
    """
    if len(questions) == 1:
        return _alone(bound, questions[0], how, clock)
    if not _is_for_database(bound, how):
        return _here(bound, questions, how, clock)
    began = clock()
    try:
        hits = _fused_there(bound, questions, how)
    except Unsupported as error:
        return replace(_here(bound, questions, how, clock), notes=(f"fused here, since {error.message}",))
    points = [_point(hit, hit.score, {FUSED: hit.score}) for hit in hits]
    return Gathered(points=points, took_s={"search": clock() - began})


def _is_for_database(bound: Bound, how: How) -> bool:
    """Not where the fields' own scores are needed, as whoever is sure of the first one reads them."""
    needs_scores = bool(how.reranker) and how.is_adaptive
    return isinstance(bound.database, Fusing) and how.fusion != "weighted" and not needs_scores


def _fused_there(bound: Bound, questions: Sequence[Question], how: How) -> list[Hit]:
    assert how.fusion != "weighted"
    asked = replace(
        _asked(questions, how),
        fusion=how.fusion,
        k=fuse.qdrant_k(how.rrf_k),
        weights=[one.asked.weight for one in questions] if how.weights else (),
    )
    return bound.fuse(asked, _origins(questions))


def _asked(questions: Sequence[Question], how: How) -> Fused:
    """`how` without the way in which they are fused."""
    depth = depth_of(how) if len(questions) > 1 else wanted_of(how)
    legs = [Leg(vector=one.vector, field=one.asked.name, limit=depth, least=one.asked.least) for one in questions]
    return Fused(legs=legs, limit=wanted_of(how), where=how.where, is_exact=how.is_exact)


# ------------------------------------------------------------------------------------------------ here


def _alone(bound: Bound, question: Question, how: How, clock: Clock) -> Gathered:
    began = clock()
    (hits,) = _answers(bound, [question], how)
    points = [_point(hit, hit.score, {question.asked.shown: hit.score}) for hit in hits]
    return Gathered(points=points, took_s={"search": clock() - began})


def _here(bound: Bound, questions: Sequence[Question], how: How, clock: Clock) -> Gathered:
    """One field after the other."""
    began = clock()
    answers = _answers(bound, questions, how)
    searched = clock()
    hits = {hit.id: hit for answer in answers for hit in answer}
    scores: dict[PointId, dict[str, float]] = {one: {} for one in hits}
    for question, answer in zip(questions, answers, strict=True):
        for hit in answer:
            scores[hit.id][question.asked.shown] = hit.score
    fused = _fused_here([[(hit.id, hit.score) for hit in answer] for answer in answers], questions, how)
    points = [_point(hits[one], score, {**scores[one], FUSED: score}) for one, score in fused]
    return Gathered(points=points, took_s={"search": searched - began, "fuse": clock() - searched})


def _answers(bound: Bound, questions: Sequence[Question], how: How) -> list[list[Hit]]:
    asked = _asked(questions, how)
    return bound.queries([asked.query(leg) for leg in asked.legs], _origins(questions))


def _origins(questions: Sequence[Question]) -> dict[str, Origin]:
    return {one.asked.name: one.origin for one in questions}


def _fused_here(
    rankings: Sequence[fuse.Ranking[PointId]], questions: Sequence[Question], how: How
) -> list[tuple[PointId, float]]:
    """All of them, so that who looks on sees whom the fields were sure of."""
    limit, weights = max(1, sum(map(len, rankings))), [one.asked.weight for one in questions]
    match how.fusion:
        case "rrf":
            return fuse.rrf(rankings, k=how.rrf_k, weights=weights if how.weights else None, limit=limit)
        case "dbsf":
            return fuse.dbsf(rankings, limit)
        case "weighted":
            return fuse.weighted(rankings, weights, limit)


def _point(hit: Hit, score: float, scores: Mapping[str, float]) -> FoundPoint:
    return FoundPoint(id=hit.id, score=score, payload=hit.payload, scores=scores)
