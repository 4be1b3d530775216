"""Infinity: `/embeddings`, `/rerank`, `/classify`, `/models` and `/health` with the bodies and errors of the original.

Source: https://github.com/michaelfeil/infinity, libs/infinity_emb at fcb951c: fastapi_schemas/pymodels.py and
infinity_server.py. As there, an unknown field is ignored, texts are stripped of white space at both ends and get no
prompt, vectors are brought to length 1, a score is the sigmoid of the logit unless `raw_scores`, and `dimensions` 0 is
the model's own width. Other than there, usage counts tokens and not characters, cut vectors are brought to length 1
again, `raw_scores` of a classifier are raw, a health page says 503 when nothing can be had, and an unknown model is
refused also where only one is served. `input_type`, the role of the texts, is more.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from embedstack.dialects.dialect import Field, Info, Limits, Page, Route, Wire
from embedstack.dialects.failure import CODES, failure
from embedstack.dialects.infinity_pages import HealthReply, ModelsReply, health, models_page
from embedstack.dialects.infinity_scores import (
    RERANK_CARRIES,
    ClassifyBody,
    ClassifyReply,
    RerankBody,
    RerankReply,
    ask_classify,
    ask_rerank,
    named,
    read_classify,
    read_rerank,
    say_rerank,
    stamp,
    write_classify,
    write_rerank,
)
from embedstack.dialects.openai_shape import ROLES, EmbeddingsReply, Format, embeddings, hear_embeddings
from embedstack.dialects.pictures import pictures
from embedstack.dialects.ranking import hear_results
from embedstack.dialects.reply import must_carry, one_role, texts_of
from embedstack.dialects.wire import (
    BodyTooLong,
    Misfit,
    Name,
    NoRoute,
    WrongMethod,
    check_count,
    decode,
    dump,
    model_for,
    retry_after,
)
from embedstack.errors import (
    DeadlineExceeded,
    EmbedstackError,
    Forbidden,
    TooLong,
    Unauthorized,
    UnknownModel,
    Unsupported,
)
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded, Image, Link, Text

MAX_PICTURES = 32  # ITEMS_LIMIT_SMALL of fastapi_schemas/pydantic_v2.py
NO_AUDIO = "no model for audio can be served here; send texts or images"

Several = str | list[str]


class EmbeddingsBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for; images as data URLs, base64 or links."""

    input: Several
    model: Name | None = None
    encoding_format: Format | None = None
    user: Name | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    modality: Literal["text", "image", "audio"] = "text"
    input_type: Name | None = None  # query, document, none, or another role that the model has a prompt for


class InfinityEmbeddings(EmbeddingsReply, forbid_unknown_fields=True):
    """The vectors, in the order of the inputs."""

    id: str
    created: int


class InfinityError(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong."""

    message: str
    type: str | None
    param: str | None
    code: int


class FieldError(msgspec.Struct, forbid_unknown_fields=True):
    """What is wrong with a field of the body."""

    type: str
    loc: list[str]
    msg: str


class InfinityFailure(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The envelope of an error: `detail` for a body, path or key that is wrong, `error` for all others."""

    error: InfinityError | msgspec.UnsetType = msgspec.UNSET
    detail: list[FieldError] | str | msgspec.UnsetType = msgspec.UNSET


_EMBEDDINGS = msgspec.json.Decoder(EmbeddingsBody)
EMBED_CARRIES: frozenset[Field] = frozenset({"role", "dim"})


class Infinity:
    """The dialect."""

    name = "infinity"
    prefix = "/infinity"
    failure = InfinityFailure
    max_items = 2048  # ITEMS_LIMIT of fastapi_schemas/pydantic_v2.py
    info: Info | None = None

    def __init__(self) -> None:
        self.routes = (
            Route(
                path="/embeddings",
                task="embed",
                summary="Vectors of texts or images, as Infinity gives them.",
                body=EmbeddingsBody,
                reply=InfinityEmbeddings,
                example=EmbeddingsBody(input=["what is a cat?", "a cat is a small animal"]),
                read=_read_embeddings,
                ask=ask_embeddings,
                write=_write_embeddings,
                carries=EMBED_CARRIES,
                say=_say_embeddings,
                hear=hear_embeddings,
                unsaid_role="none",
                overlooks_role=True,  # `input_type` is not of the original
            ),
            Route(
                path="/rerank",
                task="rerank",
                summary="Documents ordered by their relevance to a query, as Infinity gives them.",
                body=RerankBody,
                reply=RerankReply,
                example=RerankBody(query="what is a cat?", documents=["rain falls", "a cat is a small animal"]),
                read=read_rerank,
                ask=ask_rerank,
                write=write_rerank,
                carries=RERANK_CARRIES,
                say=say_rerank,
                hear=hear_results,
            ),
            Route(
                path="/classify",
                task="classify",
                summary="The labels of texts with their scores, as Infinity gives them.",
                body=ClassifyBody,
                reply=ClassifyReply,
                example=ClassifyBody(input=["what a glad day", "the sea is calm"]),
                read=read_classify,
                ask=ask_classify,
                write=write_classify,
            ),
        )
        self.pages = (
            Page(
                path="/models",
                summary="The models that are served, and how busy they are.",
                reply=ModelsReply,
                show=models_page,
            ),
            Page(
                path="/health",
                summary="The time; 503 while nothing can be had.",
                reply=HealthReply,
                show=health,
                needs_key=False,
                shape="health",
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The envelope of FastAPI for what never reached a model, the original's own for the rest."""
        match error:
            case Misfit():
                loc = ["body", error.param] if error.param else ["body"]
                return Wire(422, dump({"detail": [{"type": "value_error", "loc": loc, "msg": error.message}]}))
            case Unauthorized() | Forbidden() | NoRoute() | WrongMethod():
                return Wire(error.status, dump({"detail": error.message}))
        status = _status_of(error)
        body = {"error": {"message": error.message, "type": None, "param": None, "code": status}}
        return Wire(status, dump(body), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the status, which stands in the envelope too; a gateway's 504 has no such envelope."""
        return failure(wire, {**CODES, "504": DeadlineExceeded})


def _status_of(error: EmbedstackError) -> int:
    """The original knows no 404, cuts what is too long, and says 422 only of a body; its client reads no other 422."""
    is_400 = isinstance(error, TooLong | UnknownModel | Unsupported) and not isinstance(error, BodyTooLong)
    return 400 if is_400 else error.status


def _read_embeddings(raw: bytes) -> EmbeddingsBody:
    return decode(_EMBEDDINGS, raw)


def ask_embeddings(body: EmbeddingsBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    if body.modality == "audio":
        raise Unsupported(NO_AUDIO)
    inputs = [body.input] if isinstance(body.input, str) else body.input
    check_count(len(inputs), limits, "input")
    return Encode(
        model=model_for("embed", named(body.model), models, body.modality),
        items=_pictures(inputs) if body.modality == "image" else _texts(inputs, body.input_type or "none"),
        dim=body.dimensions or None,
        normalize=True,
        truncate=limits.truncate,
        caller=body.user or "",
    )


def _texts(inputs: Sequence[str], role: str) -> tuple[Text, ...]:
    return tuple(Text(text.strip(), ROLES.get(role, role)) for text in inputs)


def _pictures(inputs: Sequence[str]) -> tuple[Image | Link, ...]:
    if len(inputs) > MAX_PICTURES:
        raise Misfit(f"input holds {len(inputs)} images, the limit is {MAX_PICTURES}; send several requests", "input")
    return pictures(inputs, "input")


def _write_embeddings(body: EmbeddingsBody, answer: Encoded) -> Wire:
    return Wire(200, dump({**embeddings(answer, body.encoding_format), **stamp()}))


def _say_embeddings(request: Encode) -> EmbeddingsBody:
    must_carry(request, EMBED_CARRIES, "infinity")
    role = one_role(request)
    return EmbeddingsBody(
        input=[*texts_of(request)],
        model=request.model or None,
        encoding_format="base64",
        dimensions=request.dim or 0,
        input_type=None if role == "none" else role,
    )
