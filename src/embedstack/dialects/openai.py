"""OpenAI's embeddings API: `/v1/embeddings` and `/v1/models` with the keys and the error envelope of the original.

Source: https://platform.openai.com/docs/api-reference/embeddings. As there, an unknown field is refused. One field is
more: `input_type`, the role of the texts, which NVIDIA NIM and others have too. `model` may be left out.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from embedstack.dialects.dialect import AnyRoute, Field, Info, Limits, Page, Route, Status, Wire
from embedstack.dialects.failure import CODES, failure
from embedstack.dialects.openai_shape import (
    MODEL_SHAPE,
    MODELS_SHAPE,
    ROLES,
    SHAPE,
    EmbeddingsReply,
    embeddings,
    hear_embeddings,
    must_be_ready,
    the_model,
)
from embedstack.dialects.reply import must_carry, one_role, texts_of
from embedstack.dialects.wire import (
    BodyTooLong,
    Count,
    Inputs,
    Misfit,
    Name,
    decode,
    dump,
    items_of,
    model_for,
    retry_after,
)
from embedstack.errors import BadRequest, EmbedstackError, Overloaded, TooLong, Unauthorized, UnknownModel, Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded

WRONG_KEY = "Incorrect API key provided"  # the original's words, by which litellm 1.106 tells a 401 from a bad request


class EmbeddingsBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is asked for."""

    input: Inputs
    model: Name | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None
    user: Name | None = None
    input_type: Name | None = None  # query, document, none, or another role that the model has a prompt for


class ModelRow(msgspec.Struct, forbid_unknown_fields=True):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int  # not of the original; vLLM's word for the model's tokens


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


_DECODER = msgspec.json.Decoder(EmbeddingsBody)
CARRIES: frozenset[Field] = frozenset({"role", "dim"})
PATHS = ("/v1/embeddings", "/embeddings")  # the second for base URLs that do not end in /v1


class OpenAI:
    """The dialect."""

    name = "openai"
    prefix = "/openai"
    failure = OpenAIFailure
    max_items = 2048  # https://platform.openai.com/docs/api-reference/embeddings/create, `input`
    info: Info | None = None

    def __init__(self) -> None:
        self.routes = tuple(_route(path) for path in PATHS)
        self.pages = (
            Page(
                path="/v1/models",
                summary="The models that are served.",
                reply=ModelsReply,
                show=_models,
                shape=MODELS_SHAPE,
            ),
            Page(path="/v1/models/{id}", summary="One model.", reply=ModelRow, show=_model, shape=MODEL_SHAPE),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The envelope that the clients' exception classes are made from."""
        status, kind, code = _in_their_words(error)
        param = error.param if isinstance(error, Misfit) else None
        words = f"{WRONG_KEY}: {error.message}" if isinstance(error, Unauthorized) else error.message
        body = {"error": {"message": words, "type": kind, "param": param, "code": code}}
        return Wire(status, dump(body), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the code; vLLM writes the status there, and says 404 for a model alone."""
        return failure(wire, {**CODES, "model_not_found": UnknownModel, "404": UnknownModel})


def _in_their_words(error: EmbedstackError) -> tuple[int, str, str]:
    """Status, type and code. The original answers 400 also to texts that are too long."""
    match error:
        case Unauthorized():
            return 401, "invalid_request_error", "invalid_api_key"
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


def _route(path: str) -> AnyRoute:
    return Route(
        path=path,
        task="embed",
        summary="Vectors of texts, as OpenAI's API gives them.",
        body=EmbeddingsBody,
        reply=EmbeddingsReply,
        example=EmbeddingsBody(input=["what is a cat?", "a cat is a small animal"]),
        read=_read,
        ask=_ask,
        write=_write,
        shape=SHAPE,
        carries=CARRIES,
        say=_say,
        hear=hear_embeddings,
        overlooks_role=True,  # `input_type` is not of the original
    )


def _read(raw: bytes) -> EmbeddingsBody:
    return decode(_DECODER, raw)


def _ask(body: EmbeddingsBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    role = body.input_type or None
    return Encode(
        model=model_for("embed", body.model, models),
        items=items_of(body.input, ROLES.get(role, role) if role else None, limits, "input"),
        dim=body.dimensions,
        truncate=limits.truncate,
        caller=body.user or "",
    )


def _write(body: EmbeddingsBody, answer: Encoded) -> Wire:
    return Wire(200, dump(embeddings(answer, body.encoding_format)))


def _say(request: Encode) -> EmbeddingsBody:
    must_carry(request, CARRIES, "openai")
    role = one_role(request)
    return EmbeddingsBody(
        input=[*texts_of(request)],
        model=request.model or None,
        encoding_format="base64",  # a quarter of the bytes; servers that do not know it send numbers
        dimensions=request.dim,
        input_type=None if role == "document" else role,
    )


def _models(status: Status, _: str) -> Wire:
    must_be_ready(status)
    return Wire(200, dump(models_body(status.models, int(status.started))))


def _model(status: Status, wanted: str) -> Wire:
    return Wire(200, dump(_row(the_model(status, wanted), int(status.started))))


def models_body(models: Sequence[ModelSpec], created: int) -> dict[str, object]:
    """The page of all models, as plain data.

    Args:
        created: seconds since 1970; the originals' clients look for it.
    """
    return {"object": "list", "data": [_row(spec, created) for spec in models]}


def _row(spec: ModelSpec, created: int) -> dict[str, object]:
    owner, slash, _ = spec.name.partition("/")
    owned_by = owner if slash and owner else "embedstack"
    return {
        "id": spec.name,
        "object": "model",
        "created": created,
        "owned_by": owned_by,
        "max_model_len": spec.max_tokens,
    }
