"""Jina's rerank body becomes a request, and scores become its reply."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from embedstack.dialects.dialect import Field, Limits, Wire
from embedstack.dialects.jina_embed import truncation
from embedstack.dialects.openai_shape import TokenUsage, token_usage
from embedstack.dialects.ranking import results
from embedstack.dialects.reply import must_carry, one_query
from embedstack.dialects.wire import Count, Misfit, Name, check_count, decode, dump, model_for
from embedstack.errors import Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.types import Pair, Score, Scored

CARRIES: frozenset[Field] = frozenset({"document_tokens"})
NO_IMAGES = "no reranker for images is served here; send documents as texts"
NO_VECTORS = "a reranker has no vectors of its documents here; leave return_embeddings out"


class Doc(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A document."""

    text: str | None = None
    image: str | None = None


class RerankBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A query and the documents to order by it."""

    query: str
    documents: list[str | Doc]
    model: Name | None = None
    top_n: Count | None = None
    return_documents: bool | None = None  # true if null
    truncation: bool | None = None
    max_doc_length: Annotated[int, msgspec.Meta(ge=1, le=8192)] | None = None  # tokens
    return_embeddings: bool | None = None


class ShownDoc(msgspec.Struct, forbid_unknown_fields=True):
    """A document in a reply."""

    text: str


class Rank(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The relevance of one document."""

    index: int
    relevance_score: float
    document: ShownDoc | msgspec.UnsetType = msgspec.UNSET  # unless return_documents is false


class RerankReply(msgspec.Struct, forbid_unknown_fields=True):
    """The documents, the best first."""

    model: str
    object: Literal["list"]
    usage: TokenUsage
    results: list[Rank]


_BODY = msgspec.json.Decoder(RerankBody)


def read(raw: bytes) -> RerankBody:
    """Bytes to a body."""
    return decode(_BODY, raw)


def ask(body: RerankBody, limits: Limits, models: Sequence[ModelSpec]) -> Score:
    """Logits of all pairs; the sigmoid is taken when the reply is written."""
    if body.return_embeddings:
        raise Unsupported(NO_VECTORS)
    check_count(len(body.documents), limits, "documents")
    return Score(
        model=model_for("rerank", body.model, models),
        items=tuple(Pair(body.query, text) for text in _texts(body)),
        raw_scores=True,
        document_tokens=body.max_doc_length,
        truncate=truncation(body.truncation, limits),
    )


def _texts(body: RerankBody) -> list[str]:
    return [_text(one, place) for place, one in enumerate(body.documents)]


def _text(document: str | Doc, place: int) -> str:
    if isinstance(document, str):
        return document
    if document.image is not None:
        raise Unsupported(NO_IMAGES)
    if document.text is None:
        raise Misfit(f"documents[{place}] has no text; send a string, or an object with text", "documents")
    return document.text


def write(body: RerankBody, answer: Scored) -> Wire:
    """The best `top_n`, with their texts unless they are not wanted."""
    documents = None if body.return_documents is False else [{"text": text} for text in _texts(body)]
    return Wire(200, dump({**adds(answer), "results": results(answer, body.top_n, documents=documents)}))


def adds(answer: Scored) -> dict[str, object]:
    """What this dialect's clients read beside the results."""
    return {"model": answer.spec.name, "object": "list", "usage": token_usage(answer.usage)}


def say(request: Score) -> RerankBody:
    """What a client says."""
    must_carry(request, CARRIES, "jina")
    return RerankBody(
        query=one_query(request),
        documents=[pair.document for pair in request.items],
        model=request.model or None,
        return_documents=False,
        truncation=True,
        max_doc_length=request.document_tokens,
    )
