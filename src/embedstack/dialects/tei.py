"""Text Embeddings Inference: `/embed` and `/rerank` with bare arrays and the error map of the original.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/http at 0d124dc. As there, an unknown field
is ignored, a text without `prompt_name` gets no prompt, and a score is the sigmoid of the logit unless `raw_scores`,
whatever the model's config says. `model` is more, needed where several are served.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np

from embedstack.dialects.dialect import Limits, Page, Route, Wire
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


class EmbedBody(msgspec.Struct, kw_only=True):
    """What is asked for."""

    inputs: Inputs
    truncate: bool | None = None  # the server's setting if null; false refuses texts over the limit
    truncation_direction: Side | None = None
    prompt_name: Name | None = None
    normalize: bool = True
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    model: Name | None = None


class RerankBody(msgspec.Struct, kw_only=True):
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


_EMBED = msgspec.json.Decoder(EmbedBody)
_RERANK = msgspec.json.Decoder(RerankBody)


class Tei:
    """The dialect."""

    name = "tei"
    prefix = "/tei"
    failure = TeiFailure
    pages: Sequence[Page] = ()

    def __init__(self) -> None:
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
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The flat body of the original with its status."""
        status, kind = _in_their_words(error)
        return Wire(status, dump({"error": error.message, "error_type": kind}), retry_after(error))


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
