"""The FastAPI service that followed the model worker: `/embeddings/text`, `/embeddings/image`, one of each, `/health`.

Source: https://github.com/subinsk/ai-file-cleanup, services/ml-service at 2ec1c3ad. As there, an unknown field is
ignored, and a body that does not fit is FastAPI's 422. Other failures have their own status, where the original said
500 to all, and `/health/ready` is a 503 until it is ready, where the original said 200. `model` is more.
"""

from collections.abc import Sequence
from typing import Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec

from embedstack.dialects.dialect import Info, Limits, Page, Route, State, Status, Wire
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
from embedstack.dialects.pictures import DARK, LIGHT
from embedstack.dialects.wire import (
    EmptyList,
    Misfit,
    Name,
    TooManyItems,
    as_floats,
    decode,
    dump,
    retry_after,
)
from embedstack.errors import BadRequest, DeadlineExceeded, EmbedstackError, Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded

HealthWord = Literal["healthy", "initializing", "unhealthy"]
WORDS: dict[State, HealthWord] = {
    "loading": "initializing",
    "ready": "healthy",
    "draining": "unhealthy",
    "failed": "unhealthy",
    "dead": "unhealthy",
}

Body = TypeVar("Body", bound=msgspec.Struct)


class TextBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One text; in the original the address has it, as `?text=`."""

    text: str
    model: Name | None = None


class ImageBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One picture; in the original the address has it, as `?image=`."""

    image: str
    model: Name | None = None


class VectorsReply(msgspec.Struct, forbid_unknown_fields=True):
    """The vectors, in the order of the texts or images."""

    embeddings: list[list[float]]
    count: int
    dimension: int


class VectorReply(msgspec.Struct, forbid_unknown_fields=True):
    """One vector."""

    embedding: list[float]
    dimension: int


class ServiceHealth(msgspec.Struct, forbid_unknown_fields=True):
    """How the server is."""

    status: HealthWord
    models_loaded: bool
    service: Literal["ml-service"]


class ServiceReady(msgspec.Struct, forbid_unknown_fields=True):
    """Whether vectors can be had, and if not, why."""

    ready: bool
    message: str


class WrongField(msgspec.Struct, forbid_unknown_fields=True):
    """One thing that is wrong with the body."""

    loc: list[str | int]
    msg: str
    type: str


class ServiceFailure(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong: a list for a body that is wrong, else a sentence."""

    detail: list[WrongField] | str


_TEXT = msgspec.json.Decoder(TextBody)
_IMAGE = msgspec.json.Decoder(ImageBody)


class MlService:
    """The dialect."""

    name = "ml-service"
    prefix = "/ml-service"
    failure = ServiceFailure
    max_items = 32  # services/ml-service/app/core/config.py, MAX_BATCH_SIZE
    info: Info | None = None

    def __init__(self) -> None:
        self.routes = (
            Route(
                path="/embeddings/text",
                task="embed",
                summary="Vectors of texts, as the ml-service gives them.",
                body=TextsBody,
                reply=VectorsReply,
                example=TextsBody(texts=["a cat is a small animal", "rain falls"]),
                read=read_texts,
                ask=ask_texts,
                write=_write_vectors,
                carries=CARRIES,
                say=lambda request: say(request, "ml-service"),
                hear=hear,
                overlooks_role=True,
            ),
            Route(
                path="/embeddings/image",
                task="embed",
                summary="Vectors of pictures, as the ml-service gives them.",
                body=ImagesBody,
                reply=VectorsReply,
                example=ImagesBody(images=[DARK, LIGHT]),
                read=read_images,
                ask=ask_images,
                write=_write_vectors,
                input="image",
                carries=CARRIES,
                say=lambda request: say_images(request, "ml-service"),
                hear=hear,
            ),
            Route(
                path="/embeddings/single/text",
                task="embed",
                summary="The vector of one text.",
                body=TextBody,
                reply=VectorReply,
                example=TextBody(text="a cat is a small animal"),
                read=lambda raw: _read_one(_TEXT, raw),
                ask=_ask_text,
                write=_write_vector,
                takes_query=True,
            ),
            Route(
                path="/embeddings/single/image",
                task="embed",
                summary="The vector of one picture.",
                body=ImageBody,
                reply=VectorReply,
                example=ImageBody(image=DARK),
                read=lambda raw: _read_one(_IMAGE, raw),
                ask=_ask_image,
                write=_write_vector,
                takes_query=True,
                input="image",
            ),
        )
        self.pages = (
            Page(
                path="/health",
                summary="200 while loading and when ready; 503 when no vectors will be had.",
                reply=ServiceHealth,
                show=_health,
                needs_key=False,
                shape="health",
            ),
            Page(
                path="/health/ready",
                summary="200 when vectors can be had, else 503.",
                reply=ServiceReady,
                show=_ready,
                needs_key=False,
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """FastAPI's two: a 422 with a list for what is wrong with a body, else a status with a sentence."""
        if isinstance(error, Misfit | Unsupported) or type(error) is BadRequest:
            return Wire(422, dump({"detail": [_wrong(error)]}))
        return Wire(error.status, dump({"detail": error.message}), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the status; a gateway's 504 has no such body."""
        return failure(wire, {"detail": DeadlineExceeded} if wire.status == 504 else {})


def _wrong(error: BadRequest) -> dict[str, object]:
    """As pydantic has it, without the `input`: what a caller sent is not said again."""
    kinds: dict[type[BadRequest], str] = {EmptyList: "too_short", TooManyItems: "too_long"}
    field = [error.param] if isinstance(error, Misfit) and error.param else []
    return {"loc": ["body", *field], "msg": error.message, "type": kinds.get(type(error), "value_error")}


def _read_one(decoder: msgspec.json.Decoder[Body], raw: bytes) -> Body:
    """The body as JSON, or the query of the address, where the original has its only field."""
    if raw.lstrip()[:1] in (b"{", b"["):
        return decode(decoder, raw)
    try:
        return decode(decoder, dump(dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict"))))
    except ValueError as error:
        raise Misfit(f"the query cannot be read ({type(error).__name__}); send it percent-encoded in UTF-8") from error


def _ask_text(body: TextBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    return ask_texts(TextsBody(texts=[body.text], model=body.model), limits, models)


def _ask_image(body: ImageBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    return ask_images(ImagesBody(images=[body.image], model=body.model), limits, models)


def _write_vectors(_: TextsBody | ImagesBody, answer: Encoded) -> Wire:
    assert answer.dense is not None
    count, dimension = answer.dense.shape
    return Wire(
        200, dump({"embeddings": [as_floats(row) for row in answer.dense], "count": count, "dimension": dimension})
    )


def _write_vector(_: TextBody | ImageBody, answer: Encoded) -> Wire:
    assert answer.dense is not None
    return Wire(200, dump({"embedding": as_floats(answer.dense[0]), "dimension": answer.dense.shape[1]}))


def _health(status: Status, _: str) -> Wire:
    """The original answers 200 while it loads; an orchestrator that asks here must not restart a server for that."""
    body = {"status": WORDS[status.state], "models_loaded": _is_loaded(status), "service": "ml-service"}
    return Wire(200 if status.state in ("loading", "ready") else 503, dump(body))


def _ready(status: Status, _: str) -> Wire:
    if _is_ready(status):
        return Wire(200, dump({"ready": True, "message": "Service ready"}))
    return Wire(503, dump({"ready": False, "message": status.reason or "no model for vectors is served here"}))


def _is_ready(status: Status) -> bool:
    return status.state == "ready" and any(status.answers(spec.name) for spec in status.models if spec.task == "embed")


def _is_loaded(status: Status) -> bool:
    """Whether a model for vectors is in memory; one that is loaded at its first request is not yet."""
    return any(status.holds(spec.name) for spec in status.models if spec.task == "embed")
