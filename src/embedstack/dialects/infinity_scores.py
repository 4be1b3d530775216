"""Infinity's rerank and classify bodies become requests, and scores become its replies; see infinity.py."""

import time
from collections.abc import Sequence
from typing import Literal
from uuid import uuid4

import msgspec

from embedstack.dialects.dialect import Field, Limits, Wire
from embedstack.dialects.openai_shape import TokenUsage, token_usage
from embedstack.dialects.ranking import results
from embedstack.dialects.reply import must_carry, one_query
from embedstack.dialects.wire import Count, Name, check_count, decode, dump, model_for
from embedstack.modelspec import ModelSpec
from embedstack.types import Classified, Classify, Pair, Score, Scored, Text

ANY_MODEL = "default/not-specified"  # what the original's clients send where they name none
RERANK_CARRIES: frozenset[Field] = frozenset({"raw_scores"})


class RerankBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A query and the documents to order by it."""

    query: str
    documents: list[str]
    return_documents: bool = False
    raw_scores: bool = False
    model: Name | None = None
    top_n: Count | None = None


class ClassifyBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Texts to classify."""

    input: list[str]
    model: Name | None = None
    raw_scores: bool = False


class Rank(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The relevance of one document."""

    relevance_score: float
    index: int
    document: str | msgspec.UnsetType = msgspec.UNSET  # only if return_documents


class RerankReply(msgspec.Struct, forbid_unknown_fields=True):
    """The documents, the best first."""

    object: Literal["rerank"]
    results: list[Rank]
    model: str
    usage: TokenUsage
    id: str
    created: int


class LabelScore(msgspec.Struct, forbid_unknown_fields=True):
    """A label and its score."""

    score: float
    label: str


class ClassifyReply(msgspec.Struct, forbid_unknown_fields=True):
    """The labels of each text, the best first."""

    object: Literal["classify"]
    data: list[list[LabelScore]]
    model: str
    usage: TokenUsage
    id: str
    created: int


_RERANK = msgspec.json.Decoder(RerankBody)
_CLASSIFY = msgspec.json.Decoder(ClassifyBody)


def read_rerank(raw: bytes) -> RerankBody:
    """Bytes to a body."""
    return decode(_RERANK, raw)


def read_classify(raw: bytes) -> ClassifyBody:
    """Bytes to a body."""
    return decode(_CLASSIFY, raw)


def ask_rerank(body: RerankBody, limits: Limits, models: Sequence[ModelSpec]) -> Score:
    """Logits of all pairs; the sigmoid is taken when the reply is written."""
    check_count(len(body.documents), limits, "documents")
    return Score(
        model=model_for("rerank", named(body.model), models),
        items=tuple(Pair(body.query.strip(), text.strip()) for text in body.documents),
        raw_scores=True,
        truncate=limits.truncate,
    )


def ask_classify(body: ClassifyBody, limits: Limits, models: Sequence[ModelSpec]) -> Classify:
    """Scores of all labels."""
    check_count(len(body.input), limits, "input")
    return Classify(
        model=model_for("classify", named(body.model), models),
        items=tuple(Text(text.strip(), "none") for text in body.input),
        raw_scores=body.raw_scores,
        truncate=limits.truncate,
    )


def write_rerank(body: RerankBody, answer: Scored) -> Wire:
    """The best `top_n`; a document is a string here, and an object at Cohere."""
    documents = [text.strip() for text in body.documents] if body.return_documents else None
    ranks = results(answer, body.top_n, documents=documents, raw=body.raw_scores)
    return Wire(200, dump({"object": "rerank", "results": ranks, **_about(answer), **stamp()}))


def write_classify(_: ClassifyBody, answer: Classified) -> Wire:
    """All labels of each text, the best first."""
    names = answer.spec.label_names
    rows = [
        [{"score": row[label], "label": names[label]} for label in (-row).argsort(kind="stable")]
        for row in answer.scores
    ]
    return Wire(200, dump({"object": "classify", "data": rows, **_about(answer), **stamp()}))


def _about(answer: Scored | Classified) -> dict[str, object]:
    return {"model": answer.spec.name, "usage": token_usage(answer.usage)}


def stamp() -> dict[str, object]:
    """What makes a reply unlike any other."""
    return {"id": f"infinity-{uuid4()}", "created": int(time.time())}


def say_rerank(request: Score) -> RerankBody:
    """What a client says."""
    must_carry(request, RERANK_CARRIES, "infinity")
    return RerankBody(
        query=one_query(request),
        documents=[pair.document for pair in request.items],
        raw_scores=request.raw_scores,
        model=request.model or None,
    )


def named(model: str | None) -> str | None:
    """The model that a body names, None where it names none in the original's words."""
    return None if model == ANY_MODEL else model
