"""What dialects made after OpenAI's share: a list of numbered vectors with a usage, written and heard; models shown."""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from embedstack.dialects.dialect import Heard, Status, Wire
from embedstack.dialects.reply import in_order, understood, vectors
from embedstack.dialects.wire import as_base64, as_floats, shortened
from embedstack.errors import NotReady, UnknownModel
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded, Floats, Usage

SHAPE = "openai embeddings"  # of replies that differ only in top-level keys
MODELS_SHAPE = "models"  # of pages that list the models, each dialect under a key of its own
MODEL_SHAPE = "model"  # of pages that show one
ROLES: Mapping[str, str] = {"passage": "document"}  # NVIDIA's word for it
Format = Literal["float", "base64"]
WRITTEN: Mapping[Format, Callable[[Floats], object]] = {"float": as_floats, "base64": as_base64}


class EmbeddingRow(msgspec.Struct, forbid_unknown_fields=True):
    """One vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"]
    embedding: list[float] | str
    index: int


class TokenUsage(msgspec.Struct, forbid_unknown_fields=True):
    """Tokens that the model read, its special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(msgspec.Struct, forbid_unknown_fields=True):
    """The vectors, in the order of the inputs."""

    object: Literal["list"]
    data: list[EmbeddingRow]
    model: str
    usage: TokenUsage


class HeardRow(msgspec.Struct):
    """What a client needs of a row, whatever else a server sends."""

    embedding: list[float] | str
    index: int


class HeardUsage(msgspec.Struct):
    """What a client needs of the usage."""

    prompt_tokens: int | None = None
    total_tokens: int | None = None


class HeardReply(msgspec.Struct):
    """What a client needs of a reply."""

    data: list[HeardRow]
    usage: HeardUsage | None = None


_HEARD = msgspec.json.Decoder(HeardReply)


def embeddings(answer: Encoded, written: Format | None) -> dict[str, object]:
    """The reply, as plain data."""
    assert answer.dense is not None
    write = WRITTEN[written or "float"]
    rows = [{"object": "embedding", "embedding": write(row), "index": index} for index, row in enumerate(answer.dense)]
    return {"object": "list", "data": rows, "model": answer.spec.name, "usage": token_usage(answer.usage)}


def token_usage(usage: Usage) -> dict[str, int]:
    """Nothing is generated, so all tokens are the prompt's."""
    return {"prompt_tokens": usage.tokens, "total_tokens": usage.tokens}


def hear_embeddings(wire: Wire, request: Encode) -> Heard:
    """The vectors of a reply, in the order of the request."""
    reply = understood(_HEARD, wire)
    places = in_order([row.index for row in reply.data], len(request.items))
    rows = vectors([reply.data[place].embedding for place in places], len(request.items))
    return Heard(rows, tokens_of(reply.usage))


def tokens_of(usage: HeardUsage | None) -> int:
    """What a reply says of the tokens, 0 where it says nothing."""
    return 0 if usage is None else usage.prompt_tokens or usage.total_tokens or 0


def must_be_ready(status: Status) -> None:
    """Models are shown when they can be used, also where one of several has failed."""
    if not status.is_usable:
        raise NotReady(status.reason)


def the_model(status: Status, wanted: str) -> ModelSpec:
    """The model of this name or alias."""
    must_be_ready(status)
    spec = status.find(wanted)
    if spec is None:
        served = ", ".join(spec.name for spec in status.models)
        raise UnknownModel(f"model {shortened(wanted)!r} is not served here; choose one of: {served}")
    return spec
