"""Cohere's rerank bodies, v1 and v2, become requests, and scores become their replies.

Source: https://docs.cohere.com/reference/rerank, https://docs.cohere.com/v1/reference/rerank, and the types of
cohere-python at bc495daa. Both versions take all fields of either. A document is read whole and not in chunks: where
more than one chunk was asked for, one that is over the limit is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from embedstack.dialects.cohere_shape import Meta, Version, meta, new_id
from embedstack.dialects.dialect import Field, Limits, Wire
from embedstack.dialects.ranking import results
from embedstack.dialects.reply import must_carry, one_query
from embedstack.dialects.wire import Count, Misfit, Name, check_count, decode, dump, model_for
from embedstack.modelspec import ModelSpec
from embedstack.types import Pair, Score, Scored

CARRIES: frozenset[Field] = frozenset({"document_tokens"})
PAIRS_IN_UNIT = 100  # https://docs.cohere.com/docs/how-does-cohere-pricing-work, "search unit"

Document = str | dict[str, str]


class RerankBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A query and the documents to order by it."""

    query: str
    documents: list[Document]
    model: Name | None = None
    top_n: Count | None = None
    rank_fields: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None  # of documents that are objects
    return_documents: bool = False
    max_chunks_per_doc: Count | None = None
    max_tokens_per_doc: Count | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0  # 0 is the most urgent


class Rank(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The relevance of one document."""

    index: int
    relevance_score: float
    document: dict[str, str] | msgspec.UnsetType = msgspec.UNSET  # only if return_documents


class RerankReply(msgspec.Struct, forbid_unknown_fields=True):
    """The documents, the best first."""

    id: str
    results: list[Rank]
    meta: Meta


_BODY = msgspec.json.Decoder(RerankBody)


def read(raw: bytes) -> RerankBody:
    """Bytes to a body."""
    return decode(_BODY, raw)


def ask(body: RerankBody, limits: Limits, models: Sequence[ModelSpec]) -> Score:
    """Logits of all pairs; the sigmoid is taken when the reply is written."""
    check_count(len(body.documents), limits, "documents")
    return Score(
        model=model_for("rerank", body.model, models),
        items=tuple(Pair(body.query, _text(one, body, place)) for place, one in enumerate(body.documents)),
        raw_scores=True,
        document_tokens=body.max_tokens_per_doc,
        truncate="refuse" if (body.max_chunks_per_doc or 1) > 1 else limits.truncate,
        priority="bulk" if body.priority else "interactive",
    )


def _text(document: Document, body: RerankBody, place: int) -> str:
    """What of a document is read: its `rank_fields` one below the other, else its text."""
    if isinstance(document, str):
        return document
    wanted = body.rank_fields or ["text"]
    lost = next((name for name in wanted if name not in document), None)
    if lost is not None:
        raise Misfit(f"documents[{place}] has no field {lost!r}; send it, or other rank_fields", "documents")
    return "\n".join(document[name] for name in wanted)


def write_v1(body: RerankBody, answer: Scored) -> Wire:
    """The best `top_n`."""
    return _reply(body, answer, "1")


def write_v2(body: RerankBody, answer: Scored) -> Wire:
    """The best `top_n`."""
    return _reply(body, answer, "2")


def _reply(body: RerankBody, answer: Scored, version: Version) -> Wire:
    documents = [_shown(one) for one in body.documents] if body.return_documents else None
    ranks = results(answer, body.top_n, documents=documents)
    return Wire(200, dump({"id": new_id(), "results": ranks, "meta": _meta(answer, version)}))


def _shown(document: Document) -> Mapping[str, str]:
    return {"text": document} if isinstance(document, str) else document


def _meta(answer: Scored, version: Version) -> dict[str, object]:
    return meta(version, {"search_units": -(-answer.usage.items // PAIRS_IN_UNIT)}, answer.usage)


def adds_v1(answer: Scored) -> dict[str, object]:
    """What clients of v1 read in another's reply of this shape."""
    return {"meta": _meta(answer, "1")}


def say(request: Score) -> RerankBody:
    """What a client says."""
    must_carry(request, CARRIES, "cohere")
    return RerankBody(
        query=one_query(request),
        documents=[pair.document for pair in request.items],
        model=request.model or None,
        max_tokens_per_doc=request.document_tokens,
    )
