"""A text and how it is asked become the points of a collection that answer it: by several vectors, fused, reranked."""

import asyncio
import time
from collections.abc import Callable, Sequence

from embedstack.databases.bound import Bound
from embedstack.databases.database import Database
from embedstack.errors import BadRequest
from embedstack.inputs.checks import check_text
from embedstack.search.found import Found, FoundPoint, How
from embedstack.search.gathering import gather
from embedstack.search.late_reranking import reranked_late
from embedstack.search.legs import Asked, models_of, plan_of
from embedstack.search.questions import Question, questions_of
from embedstack.search.reranking import Reranked, is_sure, reranked
from embedstack.types import Encoder

__all__ = ["Searcher", "models_of"]


class Searcher:
    """Asks one collection; coroutines may share it, and it closes neither the database nor the encoder.

    Whose vectors a field holds says how it is asked: a model's by the encoder, which reads the question once for all of
    them, BM25's without one. What is signed is looked at again every 5 s at most.

    Where several fields are asked, Qdrant puts their rankings together itself, and points come without the scores of
    each. Of points with equal scores in a field it ranks first whom it likes; elsewhere ids decide, at every stage.

    Args:
        name: of a collection or an alias.
        clock: seconds.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        encoder: Encoder,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._bound = Bound(database, name, {})
        self._encoder = encoder
        self._clock = clock

    async def search(self, text: str, how: How) -> Found:
        """The points that answer it best.

        Raises:
            BadRequest: the text is blank, or `how` is out of range or about a field that is not asked.
            Mismatch: no field can be asked, or one that `how` names cannot; or its vectors are of another space.
            UnknownCollection: it is not there. As `Encoder` and `Database` say.
        """
        check_text(text, "the question")
        if not text.strip():
            raise BadRequest("the question is blank; say what is looked for")
        there = await asyncio.to_thread(self._bound.recent)
        plan = plan_of(there, how, self._encoder.models())
        began = self._clock()
        late = () if plan.reranking is None else (plan.reranking,)
        questions = await questions_of(text, (*plan.fields, *late), self._encoder)
        took_s = {"embed": self._clock() - began}
        asked, last = questions.each[: len(plan.fields)], next(iter(questions.each[len(plan.fields) :]), None)
        found = await asyncio.to_thread(gather, self._bound, asked, how, clock=self._clock)
        began = self._clock()
        ranked = await self._reranked(text, found.points, plan.fields, how, last)
        took_s |= {**found.took_s, **({"rerank": self._clock() - began} if how.reranker else {})}
        return Found(
            points=tuple(ranked.points[: how.limit]),
            fields=tuple(one.shown for one in plan.fields),
            notes=(*plan.notes, *questions.notes, *found.notes, *ranked.notes),
            took_s=took_s,
        )

    async def _reranked(
        self, text: str, points: Sequence[FoundPoint], fields: Sequence[Asked], how: How, late: Question | None
    ) -> Reranked:
        """
        Args:
            late: of the field that reranks; None where a model does.
        """
        if not how.reranker:
            return Reranked(points)
        is_settled = is_sure(points, fields) if how.is_adaptive else False
        if is_settled:
            return Reranked(points, (f"{how.reranker!r} was not asked, since the first ranking is sure",))
        if late is None:
            made = await reranked(text, points, how, encoder=self._encoder)
        else:
            made = await asyncio.to_thread(reranked_late, self._bound, late, points, how)
        if is_settled is None:
            note = "no dense vector with cosines is asked, so nothing says whether the first ranking is sure"
            return Reranked(made.points, (note, *made.notes))
        return made
