"""The REST model worker of ai-file-cleanup: `/embed/text` and `/health` with the bodies of the original.

Source: https://github.com/subinsk/ai-file-cleanup, services/model-worker at 87f3500a. As there, an unknown field is
ignored. The original took 32 texts at most; here the server's own limit counts. `model` is more, for several models.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal

import msgspec

from embedstack.dialects.dialect import Field, Heard, Info, Limits, Memory, Page, Route, State, Status, Wire
from embedstack.dialects.failure import failure
from embedstack.dialects.reply import must_carry, texts_of, understood, vectors
from embedstack.dialects.wire import (
    BodyTooLong,
    Misfit,
    Name,
    NoRoute,
    WrongMethod,
    as_floats,
    check_count,
    decode,
    dump,
    model_for,
    retry_after,
)
from embedstack.errors import BadRequest, DeadlineExceeded, EmbedstackError
from embedstack.types import Encode, Encoded, ModelSpec, Text

MEBIBYTE = 1024 * 1024
WORDS: dict[State, str] = {"loading": "initializing", "ready": "ok", "failed": "unhealthy", "dead": "unhealthy"}


class TextsBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for."""

    texts: list[str]
    model: Name | None = None


class TextsMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """How many vectors, how wide, in how many milliseconds."""

    count: int
    dimension: int
    duration: int


class TextsReply(msgspec.Struct, forbid_unknown_fields=True):
    """The vectors, in the order of the texts."""

    embeddings: list[list[float]]
    metadata: TextsMetadata


class HealthModels(msgspec.Struct, forbid_unknown_fields=True):
    """Which kinds of model can be used."""

    text: bool
    image: bool


class HealthMemory(msgspec.Struct, forbid_unknown_fields=True):
    """Mebibytes, under the names of the original's JavaScript heap.

    heapUsed is anonymous memory, heapTotal is all that is resident, external is what is shared or backed by files.
    """

    heapUsed: int  # noqa: N815
    heapTotal: int  # noqa: N815
    external: int


class HealthReply(msgspec.Struct, forbid_unknown_fields=True):
    """How the server is; `reason` is there unless the status is ok."""

    status: Literal["ok", "initializing", "unhealthy"]
    models: HealthModels
    memory: HealthMemory
    uptime: int
    reason: str | msgspec.UnsetType = msgspec.UNSET


class Detail(msgspec.Struct, forbid_unknown_fields=True):
    """One thing that is wrong with the body."""

    path: list[str]
    message: str


class WorkerFailure(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong; `details` are there for a body that is wrong."""

    error: str
    message: str
    details: list[Detail] | msgspec.UnsetType = msgspec.UNSET


class HeardTexts(msgspec.Struct):
    """What a client needs of a reply."""

    embeddings: list[list[float]]


_DECODER = msgspec.json.Decoder(TextsBody)
_HEARD = msgspec.json.Decoder(HeardTexts)
CARRIES: frozenset[Field] = frozenset()


class ModelWorker:
    """The dialect."""

    name = "model-worker"
    prefix = "/model-worker"
    failure = WorkerFailure
    max_items = 32  # services/model-worker/src/routes/embeddings.ts
    info: Info | None = None

    def __init__(self) -> None:
        self.routes = (
            Route(
                path="/embed/text",
                task="embed",
                summary="Vectors of texts, as the model worker gives them.",
                body=TextsBody,
                reply=TextsReply,
                example=TextsBody(texts=["a cat is a small animal", "rain falls"]),
                read=_read,
                ask=_ask,
                write=_write,
                carries=CARRIES,
                say=_say,
                hear=_hear,
                overlooks_role=True,
            ),
        )
        self.pages = (
            Page(
                path="/health",
                summary="200 when vectors can be had; 503 while loading and when the engine is dead.",
                reply=HealthReply,
                show=_health,
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The flat body of the original; all that is wrong with a body is a 400 there."""
        if isinstance(error, BadRequest) and not isinstance(error, BodyTooLong | NoRoute | WrongMethod):
            return Wire(400, dump(_invalid(error)))
        phrase = HTTPStatus(error.status).phrase
        return Wire(error.status, dump({"error": phrase, "message": error.message}), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the status; a gateway's 504 has no such body."""
        return failure(wire, {HTTPStatus.GATEWAY_TIMEOUT.phrase: DeadlineExceeded})


def _invalid(error: BadRequest) -> dict[str, object]:
    path = [error.param] if isinstance(error, Misfit) and error.param else []
    details = [{"path": path, "message": error.message}]
    return {"error": "Validation Error", "message": "Invalid request body", "details": details}


def _read(raw: bytes) -> TextsBody:
    return decode(_DECODER, raw)


def _ask(body: TextsBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    check_count(len(body.texts), limits, "texts")
    return Encode(
        model=model_for("embed", body.model, models),
        items=tuple(Text(text) for text in body.texts),
        truncate=limits.truncate,
    )


def _write(_: TextsBody, answer: Encoded) -> Wire:
    assert answer.dense is not None
    count, dimension = answer.dense.shape
    duration = round((answer.usage.wait_s + answer.usage.run_s) * 1000)
    metadata = {"count": count, "dimension": dimension, "duration": duration}
    return Wire(200, dump({"embeddings": [as_floats(row) for row in answer.dense], "metadata": metadata}))


def _say(request: Encode) -> TextsBody:
    must_carry(request, CARRIES, "model-worker")
    return TextsBody(texts=[text for text in texts_of(request) if isinstance(text, str)], model=request.model or None)


def _hear(wire: Wire, request: Encode) -> Heard:
    return Heard(vectors(understood(_HEARD, wire).embeddings, len(request.items)))


def _health(status: Status, _: str) -> Wire:
    has_text = status.state == "ready" and any(spec.task == "embed" for spec in status.models)
    body: dict[str, object] = {
        "status": WORDS[status.state],
        "models": {"text": has_text, "image": False},
        "memory": _memory(status.memory),
        "uptime": round(status.uptime_s),
    }
    if status.state != "ready":
        return Wire(503, dump({**body, "reason": status.reason}))
    return Wire(200, dump(body))


def _memory(memory: Memory) -> dict[str, int]:
    return {
        "heapUsed": round(memory.anonymous / MEBIBYTE),
        "heapTotal": round(memory.resident / MEBIBYTE),
        "external": round(memory.mapped / MEBIBYTE),
    }
