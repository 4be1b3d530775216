"""The self-hosted stack that MegaCampus planned: `/embeddings`, `/rerank` as a bare array, `/embed_sparse`, `/health`.

Source: https://github.com/maslennikov-ig/MC-2, docs/tasks/RERANKING-OPTIMIZATION-TASKS.md at b9fd2c1b. No server of it
exists, so its clients decide: they read `data[].embedding`, and of an array `index` and `score`, which they hand on as
`relevance_score` from 0 to 1; here a rank has both names. Nothing there reads sparse vectors; they have the shape of
Text Embeddings Inference, the only server with that path. The plan's local server is Infinity, which brings vectors to
length 1, so they are here too. An unknown field is refused. More than the plan has are `model`, `top_n` (as in its own
worker), and one text without a list.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from embedstack.dialects.arrays import SparseValue, hear_ranks, sparse_rows
from embedstack.dialects.dialect import Field, Heard, Info, Limits, Page, Route, Status, Wire
from embedstack.dialects.failure import CODES, failure
from embedstack.dialects.openai_shape import SHAPE, EmbeddingsReply, embeddings, hear_embeddings
from embedstack.dialects.ranking import hear_results, sigmoid
from embedstack.dialects.reply import must_carry, one_query, texts_of
from embedstack.dialects.wire import Count, Name, check_count, decode, dump, model_for, retry_after
from embedstack.errors import EmbedstackError, UnknownModel, Unsupported
from embedstack.modelspec import ModelSpec, Output
from embedstack.types import Encode, Encoded, Pair, Score, Scored, Text

Texts = str | list[str]
SPARSE: frozenset[Output] = frozenset({"sparse"})
CARRIES: frozenset[Field] = frozenset()


class InputBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Texts to make vectors of."""

    input: Texts
    model: Name | None = None


class DocumentsBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A query and the documents to order by it."""

    query: str
    documents: list[str]
    return_documents: bool = False
    top_n: Count | None = None
    model: Name | None = None


class DocumentRank(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The score of one document, from 0 to 1, under both of its names."""

    index: int
    score: float
    relevance_score: float
    document: str | msgspec.UnsetType = msgspec.UNSET  # only if return_documents


class StackHealth(msgspec.Struct, forbid_unknown_fields=True):
    """How the server is; `reason` is there unless the status is ok."""

    status: Literal["ok", "unavailable"]
    models: list[str]
    reason: str | msgspec.UnsetType = msgspec.UNSET


class StackFailure(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong, and our code for it."""

    error: str
    code: str


_INPUT = msgspec.json.Decoder(InputBody)
_DOCUMENTS = msgspec.json.Decoder(DocumentsBody)


class RagStack:
    """The dialect."""

    name = "rag-stack"
    prefix = "/rag-stack"
    failure = StackFailure
    max_items = 32  # what the plan's migration sends; it names no limit of a server
    info: Info | None = None

    def __init__(self) -> None:
        self.routes = (
            Route(
                path="/embeddings",
                task="embed",
                summary="Vectors of texts, as the RAG stack's clients read them.",
                body=InputBody,
                reply=EmbeddingsReply,
                example=InputBody(input=["Привет мир", "Hello world"]),
                read=_read_input,
                ask=_ask_embeddings,
                write=_write_embeddings,
                carries=CARRIES,
                say=_say_embeddings,
                hear=hear_embeddings,
                shape=SHAPE,
                overlooks_role=True,
            ),
            Route(
                path="/rerank",
                task="rerank",
                summary="Documents ordered by their relevance to a query, as a bare array.",
                body=DocumentsBody,
                reply=list[DocumentRank],
                example=DocumentsBody(query="what is a cat?", documents=["rain falls", "a cat is a small animal"]),
                read=lambda raw: decode(_DOCUMENTS, raw),
                ask=_ask_rerank,
                write=_write_rerank,
                carries=CARRIES,
                say=_say_rerank,
                hear=_hear_rerank,
            ),
            Route(
                path="/embed_sparse",
                task="embed",
                summary="Lexical weights of texts, for a hybrid search.",
                body=InputBody,
                reply=list[list[SparseValue]],
                example=InputBody(input=["Привет мир", "Hello world"]),
                read=_read_input,
                ask=_ask_sparse,
                write=_write_sparse,
            ),
        )
        self.pages = (
            Page(
                path="/health",
                summary="200 with the models that are served; 503 with the reason where none can be had.",
                reply=StackHealth,
                show=_health,
                needs_key=False,
                shape="health",
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """Our own status, sentence and code; the plan's clients look at the status alone and log the rest."""
        return Wire(error.status, dump({"error": error.message, "code": error.code}), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the code, else by the status."""
        return failure(wire, {**CODES, UnknownModel.code: UnknownModel})


def _read_input(raw: bytes) -> InputBody:
    return decode(_INPUT, raw)


def _items(body: InputBody, limits: Limits) -> tuple[Text, ...]:
    texts = [body.input] if isinstance(body.input, str) else body.input
    check_count(len(texts), limits, "input")
    return tuple(Text(text) for text in texts)


def _ask_embeddings(body: InputBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    items = _items(body, limits)
    model = model_for("embed", body.model, models)
    return Encode(model=model, items=items, normalize=True, truncate=limits.truncate)


def _ask_sparse(body: InputBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    items = _items(body, limits)
    able = [spec for spec in models if "sparse" in spec.outputs]
    if not able and not body.model:
        raise Unsupported("no model with sparse vectors is served here; start the server with one: --models")
    return Encode(model=model_for("embed", body.model, able), items=items, outputs=SPARSE, truncate=limits.truncate)


def _ask_rerank(body: DocumentsBody, limits: Limits, models: Sequence[ModelSpec]) -> Score:
    check_count(len(body.documents), limits, "documents")
    return Score(
        model=model_for("rerank", body.model, models),
        items=tuple(Pair(body.query, document) for document in body.documents),
        raw_scores=True,
        truncate=limits.truncate,
    )


def _write_embeddings(_: InputBody, answer: Encoded) -> Wire:
    return Wire(200, dump(embeddings(answer, "float")))


def _write_sparse(_: InputBody, answer: Encoded) -> Wire:
    return Wire(200, dump(sparse_rows(answer)))


def _write_rerank(body: DocumentsBody, answer: Scored) -> Wire:
    ranks: list[dict[str, object]] = []
    shown = sigmoid(answer.scores)
    for index in answer.order[: body.top_n]:
        score = shown[index]
        document = {"document": body.documents[index]} if body.return_documents else {}
        ranks.append({"index": index, "score": score, "relevance_score": score, **document})
    return Wire(200, dump(ranks))


def _say_embeddings(request: Encode) -> InputBody:
    must_carry(request, CARRIES, "rag-stack")
    return InputBody(input=texts_of(request), model=request.model or None)


def _say_rerank(request: Score) -> DocumentsBody:
    must_carry(request, CARRIES, "rag-stack")
    return DocumentsBody(
        query=one_query(request),
        documents=[pair.document for pair in request.items],
        model=request.model or None,
    )


def _hear_rerank(wire: Wire, request: Score) -> Heard:
    """A bare array; or an object, as Infinity sends it, which is the plan's own local server."""
    return hear_results(wire, request) if wire.body.lstrip().startswith(b"{") else hear_ranks(wire, request)


def _health(status: Status, _: str) -> Wire:
    names = [spec.name for spec in status.models]
    if status.state == "ready":
        return Wire(200, dump({"status": "ok", "models": names}))
    return Wire(503, dump({"status": "unavailable", "models": names, "reason": status.reason}))
