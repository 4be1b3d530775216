"""Text Embeddings Inference: `/embed` and `/rerank` with bare arrays and the error map of the original.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/http at 0d124dc. As there, an unknown field
is ignored, a text without `prompt_name` gets no prompt, and a score is the sigmoid of the logit unless `raw_scores`,
whatever the model's config says. `model` is more, needed where several are served.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np

from embedstack.dialects.dialect import Field, Heard, Info, Limits, Page, Route, Wire
from embedstack.dialects.failure import failure
from embedstack.dialects.reply import (
    in_order,
    must_carry,
    one_query,
    one_role,
    scores,
    texts_of,
    understood,
    vectors,
    whole_number,
)
from embedstack.dialects.wire import (
    BodyTooLong,
    EmptyList,
    Inputs,
    Name,
    NoRoute,
    WrongMethod,
    as_floats,
    check_count,
    decode,
    dump,
    items_of,
    model_for,
    retry_after,
)
from embedstack.errors import (
    BadRequest,
    DeadlineExceeded,
    EmbedstackError,
    NotReady,
    Overloaded,
    UnknownModel,
)
from embedstack.types import Encode, Encoded, Floats, ModelSpec, Pair, Score, Scored, Truncate, Usage

Side = Literal["left", "right", "Left", "Right"]
ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"]


class EmbedBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for."""

    inputs: Inputs
    truncate: bool | None = None  # the server's setting if null; false refuses texts over the limit
    truncation_direction: Side | None = None
    prompt_name: Name | None = None
    normalize: bool = True
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    model: Name | None = None


class RerankBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A query and the texts to order by it."""

    query: str
    texts: list[str]
    truncate: bool | None = None
    truncation_direction: Side | None = None
    raw_scores: bool = False
    return_text: bool = False
    model: Name | None = None


class Rank(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The score of one text."""

    index: int
    score: float
    text: str | msgspec.UnsetType = msgspec.UNSET  # only if return_text


class TeiFailure(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong."""

    error: str
    error_type: ErrorType


class HeardRank(msgspec.Struct):
    """What a client needs of a rank, whatever else a server sends."""

    index: int
    score: float


class HeardInfo(msgspec.Struct):
    """What a client needs of `/info`."""

    max_client_batch_size: Annotated[int, msgspec.Meta(ge=1)]


_EMBED = msgspec.json.Decoder(EmbedBody)
_RERANK = msgspec.json.Decoder(RerankBody)
_VECTORS: msgspec.json.Decoder[list[list[float]]] = msgspec.json.Decoder(list[list[float]])
_RANKS = msgspec.json.Decoder(list[HeardRank])
_INFO = msgspec.json.Decoder(HeardInfo)
EMBED_CARRIES: frozenset[Field] = frozenset({"role", "dim", "normalize", "truncate"})
RERANK_CARRIES: frozenset[Field] = frozenset({"truncate", "raw_scores"})


class Tei:
    """The dialect."""

    name = "tei"
    prefix = "/tei"
    failure = TeiFailure
    pages: Sequence[Page] = ()
    max_items = 32  # router/src/main.rs, the default of --max-client-batch-size

    def __init__(self) -> None:
        self.info: Info | None = Info(path="/info", hear_max_items=_hear_max_items)
        self.routes = (
            Route(
                path="/embed",
                task="embed",
                summary="Vectors of texts, as Text Embeddings Inference gives them.",
                body=EmbedBody,
                reply=list[list[float]],
                example=EmbedBody(inputs=["what is a cat?", "why does rain fall?"], prompt_name="query"),
                read=_read_embed,
                ask=_ask_embed,
                write=_write_embed,
                carries=EMBED_CARRIES,
                say=_say_embed,
                hear=_hear_embed,
                unsaid_role="none",
            ),
            Route(
                path="/rerank",
                task="rerank",
                summary="Texts ordered by their relevance to a query, as Text Embeddings Inference gives them.",
                body=RerankBody,
                reply=list[Rank],
                example=RerankBody(query="what is a cat?", texts=["rain falls", "a cat is a small animal"]),
                read=_read_rerank,
                ask=_ask_rerank,
                write=_write_rerank,
                carries=RERANK_CARRIES,
                say=_say_rerank,
                hear=_hear_rerank,
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The flat body of the original with its status."""
        status, kind = _in_their_words(error)
        return Wire(status, dump({"error": error.message, "error_type": kind}), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the status. The original has no 504: with a body of this dialect it is a deadline, else a gateway's."""
        return failure(wire, {"Backend": DeadlineExceeded} if wire.status == 504 else {})


def _in_their_words(error: EmbedstackError) -> tuple[int, ErrorType]:
    """Status and error type. The original has no 404, 405 and 504; a route without its model is a 424 there."""
    match error:
        case BodyTooLong():
            return 413, "Validation"
        case EmptyList():
            return 400, "Empty"
        case UnknownModel():
            return 424, "Backend"
        case NoRoute() | WrongMethod():
            return error.status, "Validation"
        case BadRequest():
            return 422, "Validation"
        case Overloaded():
            return 429, "Overloaded"
        case NotReady():
            return 503, "Unhealthy"
        case DeadlineExceeded():
            return 504, "Backend"
        case _:
            return 424, "Backend"


def _read_embed(raw: bytes) -> EmbedBody:
    return decode(_EMBED, raw)


def _read_rerank(raw: bytes) -> RerankBody:
    return decode(_RERANK, raw)


def _ask_embed(body: EmbedBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    return Encode(
        model=model_for("embed", body.model, models),
        items=items_of(body.inputs, _role(body), limits, "inputs"),
        dim=body.dimensions,
        normalize=body.normalize,
        truncate=_truncate(body, limits),
    )


def _ask_rerank(body: RerankBody, limits: Limits, models: Sequence[ModelSpec]) -> Score:
    check_count(len(body.texts), limits, "texts")
    return Score(
        model=model_for("rerank", body.model, models),
        items=tuple(Pair(body.query, text) for text in body.texts),
        raw_scores=True,
        truncate=_truncate(body, limits),
    )


def _role(body: EmbedBody) -> str:
    return "none" if body.prompt_name is None else body.prompt_name


def _truncate(body: EmbedBody | RerankBody, limits: Limits) -> Truncate:
    if body.truncate is False or (body.truncate is None and limits.truncate == "refuse"):
        return "refuse"
    if body.truncation_direction is not None:
        return "left" if body.truncation_direction in ("left", "Left") else "right"
    return "left" if limits.truncate == "left" else "right"


def _write_embed(_: EmbedBody, answer: Encoded) -> Wire:
    assert answer.dense is not None
    return Wire(200, dump([as_floats(row) for row in answer.dense]), _times(answer.usage))


def _write_rerank(body: RerankBody, answer: Scored) -> Wire:
    scores = answer.scores if body.raw_scores else _sigmoid(answer.scores)
    ranks: list[dict[str, object]] = [{"index": i, "score": scores[i]} for i in answer.order]
    if body.return_text:
        ranks = [{**rank, "text": body.texts[index]} for rank, index in zip(ranks, answer.order, strict=True)]
    return Wire(200, dump(ranks), _times(answer.usage))


def _say_embed(request: Encode) -> EmbedBody:
    must_carry(request, EMBED_CARRIES, "tei")
    role = one_role(request)
    return EmbedBody(
        inputs=texts_of(request),
        truncate=request.truncate != "refuse",
        truncation_direction=_side(request.truncate),
        prompt_name=None if role == "none" else role,
        normalize=request.normalize is not False,
        dimensions=request.dim,
        model=request.model or None,
    )


def _say_rerank(request: Score) -> RerankBody:
    must_carry(request, RERANK_CARRIES, "tei")
    return RerankBody(
        query=one_query(request),
        texts=[pair.document for pair in request.items],
        truncate=request.truncate != "refuse",
        truncation_direction=_side(request.truncate),
        raw_scores=request.raw_scores,
        model=request.model or None,
    )


def _side(truncate: Truncate) -> Side | None:
    sides: dict[Truncate, Side] = {"left": "Left", "right": "Right"}
    return sides.get(truncate)


def _hear_embed(wire: Wire, request: Encode) -> Heard:
    rows = understood(_VECTORS, wire)
    return Heard(vectors(rows, len(request.items)), _tokens(wire))


def _hear_rerank(wire: Wire, request: Score) -> Heard:
    ranks = understood(_RANKS, wire)
    places = in_order([rank.index for rank in ranks], len(request.items))
    return Heard(scores([ranks[place].score for place in places]), _tokens(wire))


def _tokens(wire: Wire) -> int:
    return whole_number(wire.headers.get("x-compute-tokens"))


def _hear_max_items(wire: Wire) -> int:
    return understood(_INFO, wire).max_client_batch_size


def _sigmoid(logits: Floats) -> Floats:
    """What the original makes of a model of one label.

    Source: https://github.com/huggingface/text-embeddings-inference/blob/0d124dc/core/src/infer.rs, `predict`.
    """
    return np.exp(-np.logaddexp(0.0, -logits.astype(np.float64))).astype(np.float32)  # never overflows


def _times(usage: Usage) -> dict[str, str]:
    """The headers of the original that we can fill; times in milliseconds."""
    return {
        "x-compute-tokens": str(usage.tokens),
        "x-queue-time": str(round(usage.wait_s * 1000)),
        "x-inference-time": str(round(usage.run_s * 1000)),
    }
