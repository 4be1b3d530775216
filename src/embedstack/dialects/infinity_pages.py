"""The server's status becomes Infinity's pages: its models with how busy they are, and its health."""

from typing import Literal

import msgspec

from embedstack.dialects.dialect import Status, Wire
from embedstack.dialects.openai_shape import must_be_ready
from embedstack.dialects.wire import dump
from embedstack.modelspec import Input, ModelSpec, Task
from embedstack.watching import Load

Capability = Literal["embed", "rerank", "classify", "image_embed"]


class Stats(msgspec.Struct, forbid_unknown_fields=True):
    """How busy the server is; one line serves all models, so these are the same for each."""

    queue_fraction: float  # of the line that is taken
    queue_absolute: int  # items in it
    results_pending: int  # items without an answer
    batch_size: int  # items in a batch, on average


class ModelRow(msgspec.Struct, forbid_unknown_fields=True):
    """A model that is served."""

    id: str
    stats: Stats
    object: Literal["model"]
    owned_by: Literal["infinity"]  # the original's clients take no other word
    created: int
    backend: str
    capabilities: list[Capability]


class ModelsReply(msgspec.Struct, forbid_unknown_fields=True):
    """All models that are served."""

    data: list[ModelRow]
    object: Literal["list"]


class HealthReply(msgspec.Struct, forbid_unknown_fields=True):
    """Seconds since 1970."""

    unix: float


def models_page(status: Status, _: str) -> Wire:
    """The models, once they can be used."""
    must_be_ready(status)
    stats = _stats(status.load)
    return Wire(200, dump({"data": [_row(spec, stats, status) for spec in status.models], "object": "list"}))


def health(status: Status, _: str) -> Wire:
    """200 when models can be used, 503 when not; the original says 200 always."""
    return Wire(200 if status.state == "ready" else 503, dump({"unix": status.started + status.uptime_s}))


def _stats(load: Load) -> dict[str, object]:
    return {
        "queue_fraction": load.waiting_tokens / load.limit_tokens if load.limit_tokens else 0.0,
        "queue_absolute": load.waiting_items,
        "results_pending": load.waiting_items + load.running_items,
        "batch_size": round(load.batch_items / load.batches) if load.batches else 0,
    }


def _row(spec: ModelSpec, stats: dict[str, object], status: Status) -> dict[str, object]:
    return {
        "id": spec.name,
        "stats": stats,
        "object": "model",
        "owned_by": "infinity",
        "created": int(status.started),
        "backend": "embedstack",
        "capabilities": _capabilities(spec.task, spec.inputs),
    }


def _capabilities(task: Task, inputs: tuple[Input, ...]) -> list[Capability]:
    if task != "embed":
        return [task]
    found: list[tuple[Input, Capability]] = [("text", "embed"), ("image", "image_embed")]
    return [name for kind, name in found if kind in inputs]
