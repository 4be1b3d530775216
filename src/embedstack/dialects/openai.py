"""OpenAI's embeddings API: `/v1/embeddings` and `/v1/models` with the keys and the error envelope of the original.

Source: https://platform.openai.com/docs/api-reference/embeddings. As there, an unknown field is refused. One field is
more: `input_type`, the role of the texts, which NVIDIA NIM and others have too. `model` may be left out.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from embedstack.dialects.dialect import Field, Heard, Info, Limits, Page, Route, Status, Wire
from embedstack.dialects.failure import CODES, failure
from embedstack.dialects.reply import in_order, must_carry, one_role, texts_of, understood, vectors
from embedstack.dialects.wire import (
    BodyTooLong,
    Inputs,
    Misfit,
    Name,
    as_base64,
    as_floats,
    decode,
    dump,
    items_of,
    model_for,
    retry_after,
    shortened,
)
from embedstack.errors import BadRequest, EmbedstackError, NotReady, Overloaded, TooLong, UnknownModel, Unsupported
from embedstack.types import Encode, Encoded, ModelSpec

Width = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
ROLES = {"passage": "document"}  # NVIDIA's word for it


class EmbeddingsBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is asked for."""

    input: Inputs
    model: Name | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Width | None = None
    user: Name | None = None
    input_type: Name | None = None  # query, document, none, or another role that the model has a prompt for


class EmbeddingRow(msgspec.Struct, forbid_unknown_fields=True):
    """One vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"]
    embedding: list[float] | str
    index: int


class EmbeddingsUsage(msgspec.Struct, forbid_unknown_fields=True):
    """Tokens that the model read, its special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(msgspec.Struct, forbid_unknown_fields=True):
    """The vectors, in the order of the inputs."""

    object: Literal["list"]
    data: list[EmbeddingRow]
    model: str
    usage: EmbeddingsUsage


class ModelRow(msgspec.Struct, forbid_unknown_fields=True):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsReply(msgspec.Struct, forbid_unknown_fields=True):
    """All models that are served."""

    object: Literal["list"]
    data: list[ModelRow]


class OpenAIError(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIFailure(msgspec.Struct, forbid_unknown_fields=True):
    """The envelope of an error."""

    error: OpenAIError


class HeardRow(msgspec.Struct):
    """What a client needs of a row, whatever else a server sends."""

    embedding: list[float] | str
    index: int


class HeardUsage(msgspec.Struct):
    """What a client needs of the usage."""

    prompt_tokens: int | None = None


class HeardReply(msgspec.Struct):
    """What a client needs of a reply."""

    data: list[HeardRow]
    usage: HeardUsage | None = None


_DECODER = msgspec.json.Decoder(EmbeddingsBody)
_HEARD = msgspec.json.Decoder(HeardReply)
CARRIES: frozenset[Field] = frozenset({"role", "dim"})


class OpenAI:
    """The dialect."""

    name = "openai"
    prefix = "/openai"
    failure = OpenAIFailure
    max_items = 2048  # https://platform.openai.com/docs/api-reference/embeddings/create, `input`
    info: Info | None = None

    def __init__(self) -> None:
        self.routes = (
            Route(
                path="/v1/embeddings",
                task="embed",
                summary="Vectors of texts, as OpenAI's API gives them.",
                body=EmbeddingsBody,
                reply=EmbeddingsReply,
                example=EmbeddingsBody(input=["what is a cat?", "a cat is a small animal"]),
                read=_read,
                ask=_ask,
                write=_write,
                carries=CARRIES,
                say=_say,
                hear=_hear,
                overlooks_role=True,  # `input_type` is not of the original
            ),
        )
        self.pages = (
            Page(path="/v1/models", summary="The models that are served.", reply=ModelsReply, show=_models),
            Page(path="/v1/models/{id}", summary="One model.", reply=ModelRow, show=_model),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The envelope that the clients' exception classes are made from."""
        status, kind, code = _in_their_words(error)
        param = error.param if isinstance(error, Misfit) else None
        body = {"error": {"message": error.message, "type": kind, "param": param, "code": code}}
        return Wire(status, dump(body), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the code; vLLM writes the status there, and says 404 for a model alone."""
        return failure(wire, {**CODES, "model_not_found": UnknownModel, "404": UnknownModel})


def _in_their_words(error: EmbedstackError) -> tuple[int, str, str]:
    """Status, type and code. The original answers 400 also to texts that are too long."""
    match error:
        case UnknownModel():
            return 404, "invalid_request_error", "model_not_found"
        case BodyTooLong():
            return 413, "invalid_request_error", error.code
        case TooLong() | Unsupported():
            return 400, "invalid_request_error", error.code
        case BadRequest():
            return error.status, "invalid_request_error", error.code
        case Overloaded():
            return 429, "requests", "rate_limit_exceeded"
        case _:
            return error.status, "server_error", error.code


def _read(raw: bytes) -> EmbeddingsBody:
    return decode(_DECODER, raw)


def _ask(body: EmbeddingsBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    role = body.input_type or "document"
    return Encode(
        model=model_for("embed", body.model, models),
        items=items_of(body.input, ROLES.get(role, role), limits, "input"),
        dim=body.dimensions,
        truncate=limits.truncate,
        caller=body.user or "",
    )


def _write(body: EmbeddingsBody, answer: Encoded) -> Wire:
    assert answer.dense is not None
    written = as_base64 if body.encoding_format == "base64" else as_floats
    rows = [
        {"object": "embedding", "embedding": written(row), "index": index} for index, row in enumerate(answer.dense)
    ]
    usage = {"prompt_tokens": answer.usage.tokens, "total_tokens": answer.usage.tokens}
    return Wire(200, dump({"object": "list", "data": rows, "model": answer.spec.name, "usage": usage}))


def _say(request: Encode) -> EmbeddingsBody:
    must_carry(request, CARRIES, "openai")
    role = one_role(request)
    return EmbeddingsBody(
        input=texts_of(request),
        model=request.model or None,
        encoding_format="base64",  # a quarter of the bytes; servers that do not know it send numbers
        dimensions=request.dim,
        input_type=None if role == "document" else role,
    )


def _hear(wire: Wire, request: Encode) -> Heard:
    reply = understood(_HEARD, wire)
    places = in_order([row.index for row in reply.data], len(request.items))
    rows = vectors([reply.data[place].embedding for place in places], len(request.items))
    return Heard(rows, (reply.usage and reply.usage.prompt_tokens) or 0)


def _models(status: Status, _: str) -> Wire:
    _must_be_ready(status)
    return Wire(200, dump({"object": "list", "data": [_row(spec, status) for spec in status.models]}))


def _model(status: Status, wanted: str) -> Wire:
    _must_be_ready(status)
    spec = status.find(wanted)
    if spec is None:
        served = ", ".join(spec.name for spec in status.models)
        raise UnknownModel(f"model {shortened(wanted)!r} is not served here; choose one of: {served}")
    return Wire(200, dump(_row(spec, status)))


def _must_be_ready(status: Status) -> None:
    if status.state != "ready":
        raise NotReady(status.reason)


def _row(spec: ModelSpec, status: Status) -> dict[str, object]:
    owner, slash, _ = spec.name.partition("/")
    owned_by = owner if slash and owner else "embedstack"
    return {"id": spec.name, "object": "model", "created": int(status.started), "owned_by": owned_by}
