"""The REST model worker of ai-file-cleanup: `/embed/text`, `/embed/image`, `/embed/batch`, and `/health`.

Source: https://github.com/subinsk/ai-file-cleanup, services/model-worker at 87f3500a. As there, an unknown field is
ignored. The original took 32 texts or 16 images at most, and failed over its MAX_BATCH_SIZE of 16; here the server's
own limit counts, and what is over a model's batch is split; our client sends 16 at most. `model` is more, for several
models. `/embed/batch` without items has an empty reply, as there.
"""

from http import HTTPStatus
from typing import Literal

import msgspec

from embedstack.dialects.dialect import Info, Memory, Page, Route, State, Status, Wire
from embedstack.dialects.failure import failure
from embedstack.dialects.filecleanup import (
    CARRIES,
    ImagesBody,
    TextsBody,
    ask_images,
    ask_texts,
    hear,
    read_images,
    read_texts,
    say,
    say_images,
)
from embedstack.dialects.modelworker_batch import (
    BatchBody,
    BatchItem,
    BatchReply,
    ask_batch,
    places_of,
    read_batch,
    write_batch,
)
from embedstack.dialects.pictures import DARK, LIGHT
from embedstack.dialects.wire import (
    BodyTooLong,
    Misfit,
    as_floats,
    dump,
    milliseconds,
    retry_after,
)
from embedstack.errors import BadRequest, DeadlineExceeded, EmbedstackError, TooLong, UnknownModel
from embedstack.inputs.picture import ForeignFormat
from embedstack.types import Encoded

MEBIBYTE = 1024 * 1024
WORDS: dict[State, str] = {
    "loading": "initializing",
    "ready": "ok",
    "draining": "unhealthy",
    "failed": "unhealthy",
    "dead": "unhealthy",
}
PHRASES = {413: "Payload Too Large", 422: "Unprocessable Entity"}  # as Node has them; Python 3.13 renamed its own


class TextsMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """How many vectors, how wide, in how many milliseconds."""

    count: int
    dimension: int
    duration: int


class TextsReply(msgspec.Struct, forbid_unknown_fields=True):
    """The vectors, in the order of the texts or images."""

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


class ModelWorker:
    """The dialect."""

    name = "model-worker"
    prefix = "/model-worker"
    failure = WorkerFailure
    max_items = 16  # of images in services/model-worker/src/routes/embeddings.ts, and MAX_BATCH_SIZE of config/env.ts
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
                read=read_texts,
                ask=ask_texts,
                write=_write,
                carries=CARRIES,
                say=lambda request: say(request, "model-worker"),
                hear=hear,
                overlooks_role=True,
            ),
            Route(
                path="/embed/image",
                task="embed",
                summary="Vectors of pictures, as the model worker gives them.",
                body=ImagesBody,
                reply=TextsReply,
                example=ImagesBody(images=[f"data:image/png;base64,{DARK}", f"data:image/png;base64,{LIGHT}"]),
                read=read_images,
                ask=ask_images,
                write=_write,
                input="image",
                carries=CARRIES,
                say=lambda request: say_images(request, "model-worker"),
                hear=hear,
            ),
            Route(
                path="/embed/batch",
                task="embed",
                summary="Vectors of texts and pictures, each with the id of its item.",
                body=BatchBody,
                reply=BatchReply,
                example=BatchBody(
                    items=[
                        BatchItem("animals.txt", "text", "a cat is a small animal"),
                        BatchItem("weather.txt", "text", "rain falls"),
                    ]
                ),
                read=read_batch,
                ask=ask_batch,
                write=write_batch,
                places=places_of,
                takes_none=True,
            ),
        )
        self.pages = (
            Page(
                path="/health",
                summary="200 when vectors can be had; 503 while loading and when the engine is dead.",
                reply=HealthReply,
                show=_health,
                needs_key=False,
                shape="health",
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The flat body of the original; all that is wrong with a body is a 400 there, what is missing here is not."""
        if _is_of_the_body(error):
            return Wire(400, dump(_invalid(error)))
        phrase = PHRASES.get(error.status) or HTTPStatus(error.status).phrase
        return Wire(error.status, dump({"error": phrase, "message": error.message}), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the status; a gateway's 504 has no such body."""
        return failure(wire, {HTTPStatus.GATEWAY_TIMEOUT.phrase: DeadlineExceeded})


def _is_of_the_body(error: EmbedstackError) -> bool:
    if isinstance(error, Misfit | UnknownModel | TooLong | ForeignFormat):
        return not isinstance(error, BodyTooLong)
    return type(error) is BadRequest


def _invalid(error: EmbedstackError) -> dict[str, object]:
    path = [error.param] if isinstance(error, Misfit) and error.param else []
    details = [{"path": path, "message": error.message}]
    return {"error": "Validation Error", "message": "Invalid request body", "details": details}


def _write(_: TextsBody | ImagesBody, answer: Encoded) -> Wire:
    assert answer.dense is not None
    count, dimension = answer.dense.shape
    duration = milliseconds(answer.usage)
    metadata = {"count": count, "dimension": dimension, "duration": duration}
    return Wire(200, dump({"embeddings": [as_floats(row) for row in answer.dense], "metadata": metadata}))


def _health(status: Status, _: str) -> Wire:
    embedding = [spec for spec in status.models if spec.task == "embed" and status.answers(spec.name)]
    body: dict[str, object] = {
        "status": WORDS[status.state],
        "models": {kind: any(kind in spec.inputs for spec in embedding) for kind in ("text", "image")},
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
