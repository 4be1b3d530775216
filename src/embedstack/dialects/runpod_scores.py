"""Jobs with a query and documents become Scores, and scores outputs; and the inverse.

The worker of the RAG stack gives the best first, Infinity's the order of the job; both give what is between 0 and 1.
"""

from collections.abc import Mapping, Sequence

import msgspec

from embedstack.dialects.dialect import AnyRoute, Field, Heard, Limits, Route, Wire
from embedstack.dialects.jobs import Json, completed, heard_output
from embedstack.dialects.openai_shape import token_usage
from embedstack.dialects.ranking import results, sigmoid
from embedstack.dialects.reply import in_order, must_carry, one_query, scores
from embedstack.dialects.runpod_identity import HeardMadeBy, claim_of, made, must_have_heeded, tokens_of
from embedstack.dialects.runpod_input import PATH, Kind, reader
from embedstack.dialects.runpod_outputs import RankReply
from embedstack.dialects.runpod_shapes import DocsInput, DocsJob, RankInput, RankJob
from embedstack.dialects.wire import check_count, model_for
from embedstack.errors import Upstream
from embedstack.modelspec import ModelSpec
from embedstack.types import Pair, Score, Scored

CARRIES: frozenset[Field] = frozenset({"max_tokens", "truncate", "raw_scores"})
QUERY, TWO = "what is a cat?", ["rain falls", "a cat is a small animal"]


class HeardRank(msgspec.Struct):
    """What a client needs of a rank, under either of its names in the plan of the RAG stack."""

    index: int
    relevance_score: float | None = None
    score: float | None = None


class HeardRanks(HeardMadeBy, kw_only=True):
    """What a client needs of an output."""

    results: list[HeardRank]


_HEARD = msgspec.json.Decoder(HeardRanks)


def score_routes() -> Mapping[Kind, AnyRoute]:
    """Jobs with a query and documents, under two names."""
    return {
        "rank": Route(
            path=PATH,
            task="rerank",
            summary="A job with a query and documents: the documents by their relevance, the best first.",
            body=RankJob,
            reply=RankReply,
            example=RankJob(RankInput(query=QUERY, documents=[*TWO])),
            read=reader("rank", RankJob),
            ask=ask_rank,
            write=write_rank,
            carries=CARRIES,
            say=say_rank,
            hear=hear_rank,
        ),
        "docs": Route(
            path=PATH,
            task="rerank",
            summary="A job with a query and docs: their relevance in the job's order, as Infinity's worker gives it.",
            body=DocsJob,
            reply=RankReply,
            example=DocsJob(DocsInput(query=QUERY, docs=[*TWO])),
            read=reader("docs", DocsJob),
            ask=ask_docs,
            write=write_docs,
            keeps_order=True,
        ),
    }


def ask_rank(body: RankJob, limits: Limits, models: Sequence[ModelSpec]) -> Score:
    """Logits of all pairs; the sigmoid is taken when the output is written."""
    given = body.input
    check_count(len(given.documents), limits, "input.documents")
    return Score(
        model=model_for("rerank", given.model, models),
        items=tuple(Pair(given.query, text) for text in given.documents),
        raw_scores=True,
        max_tokens=given.max_tokens,
        truncate=given.truncate or limits.truncate,
    )


def write_rank(body: RankJob, answer: Scored) -> Wire:
    """The best `top_n`; all, if it is 0."""
    ranks = results(answer, body.input.top_n or None, raw=body.input.raw_scores)
    return completed({"results": ranks, **made(answer)}, answer)


def ask_docs(body: DocsJob, limits: Limits, models: Sequence[ModelSpec]) -> Score:
    """Logits of all pairs."""
    given = body.input
    check_count(len(given.docs), limits, "input.docs")
    return Score(
        model=model_for("rerank", given.model, models),
        items=tuple(Pair(given.query, text) for text in given.docs),
        raw_scores=True,
        truncate=limits.truncate,
    )


def write_docs(body: DocsJob, answer: Scored) -> Wire:
    """Each beside its number, in the order of the job."""
    rows: list[Json] = [
        {"relevance_score": score, "index": index} for index, score in enumerate(sigmoid(answer.scores))
    ]
    if body.input.return_docs:
        rows = [{**row, "document": text} for row, text in zip(rows, body.input.docs, strict=True)]
    return completed({"results": rows, "usage": token_usage(answer.usage), **made(answer)}, answer)


def say_rank(request: Score) -> RankJob:
    """What a client says."""
    must_carry(request, CARRIES, "runpod")
    given = RankInput(
        query=one_query(request),
        documents=[pair.document for pair in request.items],
        model=request.model or None,
        max_tokens=request.max_tokens,
        truncate=request.truncate,
        raw_scores=request.raw_scores,
    )
    return RankJob(given)


def hear_rank(wire: Wire, request: Score) -> Heard:
    """The scores of a job, in the order of the request, whichever order they came in."""
    heard = heard_output(_HEARD, wire)
    claim = claim_of(heard)
    must_have_heeded(request, claim)
    places = in_order([rank.index for rank in heard.results], len(request.items))
    found = [_score(heard.results[place]) for place in places]
    return Heard(scores(found), tokens_of(heard, claim), claim)


def _score(rank: HeardRank) -> float:
    found = rank.score if rank.relevance_score is None else rank.relevance_score
    if found is None:
        raise Upstream(f"the result of document {rank.index} has no score; check which worker answers")
    return found
