"""The JSON of KripTik's RunPod workers: the `input` of a job that its clients send, and the `output` that they read.

Source: https://github.com/Flickinny11/kriptik-ai-opus-build, server/src/services/embeddings/runpod-workers/ at 9acfa2d:
bge-m3/handler.py, siglip/handler.py, vl-jepa/handler.py. As there, an unknown field is ignored. What is more in a reply
says honestly who made it: `engine`, `space`, `fingerprint`, `normalized`.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from embedstack.dialects.jobs import JobDone
from embedstack.dialects.wire import Count, Name

Texts: TypeAlias = str | list[str]


class BgeOptions(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Which vectors, and of how many tokens."""

    return_dense: bool = True
    return_sparse: bool = False
    return_colbert: bool = False
    max_length: Count | None = None


class BgeInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Texts; `text` is another name of `texts`, and `input` is what the provider in the same repository sends."""

    texts: Texts | None = None
    text: Texts | None = None
    input: Texts | None = None
    options: BgeOptions = msgspec.field(default_factory=BgeOptions)
    model: Name | None = None


class SiglipInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A picture (base64, a data URL, or a link where links are allowed), or texts, or both to be compared."""

    type: Literal["auto", "image", "text", "similarity"] = "auto"
    image: str | None = None
    texts: Texts | None = None
    text: Texts | None = None
    model: Name | None = None


class VisionInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What somebody wants to do, a picture with a text, or the frames of a video."""

    type: Literal["intent", "visual_text", "video", "predictive"] = "intent"
    text: str | None = None
    context: str | dict[str, msgspec.Raw] | None = None  # an object where a prediction is asked for
    image: str | None = None
    frames: list[str] | None = None
    video: str | list[str] | None = None
    segment_growth: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None  # see `frames.GROWTH`
    model: Name | None = None


class BgeBody(msgspec.Struct):
    """A job."""

    input: BgeInput


class SiglipBody(msgspec.Struct):
    """A job."""

    input: SiglipInput


class VisionBody(msgspec.Struct):
    """A job."""

    input: VisionInput


# ------------------------------------------------------------------------------------------------ replies


class Frames(msgspec.Struct, forbid_unknown_fields=True):
    """Frames that belong together: the first, and the one after the last."""

    start: int
    stop: int


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """A vector as OpenAI's replies have it."""

    object: Literal["embedding"]
    index: int
    embedding: list[float]


class Tokens(msgspec.Struct, forbid_unknown_fields=True):
    """As OpenAI's replies count them."""

    prompt_tokens: int
    total_tokens: int


class Result(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a job gives; which fields there are depends on what was asked."""

    model: str
    space: str
    fingerprint: str
    dimensions: int | None = None
    normalized: bool | None = None
    type: str | None = None
    engine: str | None = None
    embeddings: list[list[float]] | None = None
    tokens_used: int | None = None
    texts_processed: int | None = None
    sparse_embeddings: list[dict[str, float]] | None = None
    colbert_embeddings: list[list[list[float]]] | None = None
    data: list[Row] | None = None
    usage: Tokens | None = None
    embedding: list[float] | None = None
    image_embedding: list[float] | None = None
    text_embedding: list[float] | None = None
    text_embeddings: list[list[float]] | None = None
    similarity_scores: list[float] | None = None
    cosines: list[float] | None = None
    frame_embeddings: list[list[float]] | None = None
    aggregation: str | None = None
    segments: list[Frames] | None = None


class JobReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done, as RunPod's `/runsync` tells of it."""

    output: Result
