"""`/info` and the health pages of Text Embeddings Inference, from the status.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/lib.rs, `Info`, at 0d124dc. It describes
one model: here the first that embeds, else the first of all. What is refused depends on tokens here and not on a number
of requests, of which there can be no more than tokens. All threads of the tokeniser work on any request.
"""

from typing import Annotated

import msgspec

from embedstack.dialects.dialect import Info, Page, Status, Wire
from embedstack.dialects.reply import understood
from embedstack.errors import NotReady
from embedstack.modelspec import ModelSpec, Pooling

NO_LIMIT = 2**31 - 1  # clients that send as many at a time as they are told need more than 0
POOLING: dict[Pooling, str] = {"cls": "cls", "mean": "mean", "max": "max", "last": "last_token"}


class EmbeddingModel(msgspec.Struct, forbid_unknown_fields=True):
    """How its vectors are made."""

    pooling: str


class ClassifierModel(msgspec.Struct, forbid_unknown_fields=True):
    """Its labels by number, and their numbers."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class ModelType(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One of these."""

    embedding: EmbeddingModel | msgspec.UnsetType = msgspec.UNSET
    reranker: ClassifierModel | msgspec.UnsetType = msgspec.UNSET
    classifier: ClassifierModel | msgspec.UnsetType = msgspec.UNSET


class InfoReply(msgspec.Struct, forbid_unknown_fields=True):
    """The model and the limits."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: ModelType
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None


class HeardInfo(msgspec.Struct):
    """What a client needs of it."""

    max_client_batch_size: Annotated[int, msgspec.Meta(ge=1)]


_INFO = msgspec.json.Decoder(HeardInfo)


def pages() -> tuple[Page, ...]:
    """All of them; the original asks for a key for the first alone."""
    health = [
        Page(
            path=path,
            summary="200 without a body when vectors can be had, else 503.",
            reply=None,
            show=_health,
            needs_key=False,
            shape="health" if path == "/health" else "",  # a client that looks at the status alone minds no body
        )
        for path in ("/health", "/ping", "/")
    ]
    return (Page(path="/info", summary="The first model and the limits.", reply=InfoReply, show=_info), *health)


def heard_info() -> Info:
    """Where servers say how much a request may hold."""
    return Info(path="/info", hear_max_items=lambda wire: understood(_INFO, wire).max_client_batch_size)


def _health(status: Status, _: str) -> Wire:
    if status.state != "ready":
        raise NotReady(status.reason)
    return Wire(200, b"", media_type="text/plain")


def _info(status: Status, _: str) -> Wire:
    if not (status.is_usable or status.state == "draining") or not status.models:
        raise NotReady(status.reason or "no model is served yet; try again")
    spec = next((spec for spec in status.models if spec.task == "embed"), status.models[0])
    return Wire(200, msgspec.json.encode(_described(spec, status)))


def _described(spec: ModelSpec, status: Status) -> InfoReply:
    return InfoReply(
        model_id=spec.name,
        model_sha=spec.revision or None,
        model_dtype=status.load.precisions.get(spec.name, "unknown"),  # until the model is in memory
        served_model_name=spec.name,
        model_type=_kind(spec),
        max_concurrent_requests=status.load.limit_tokens or NO_LIMIT,
        max_input_length=spec.max_tokens,
        max_batch_tokens=status.load.batch_tokens,
        max_batch_requests=None,
        max_client_batch_size=status.limits.max_items,
        auto_truncate=status.limits.truncate != "refuse",
        tokenization_workers=status.threads,
        version=status.version,
        sha=None,
        docker_label=None,
    )


def _kind(spec: ModelSpec) -> ModelType:
    match spec.task:
        case "embed":
            return ModelType(embedding=EmbeddingModel(POOLING[spec.pooling] if "dense" in spec.outputs else "splade"))
        case "rerank":
            return ModelType(reranker=_labels(spec))
        case "classify":
            return ModelType(classifier=_labels(spec))


def _labels(spec: ModelSpec) -> ClassifierModel:
    names = spec.label_names
    numbered = {str(index): name for index, name in enumerate(names)}
    return ClassifierModel(numbered, {name: index for index, name in enumerate(names)})
