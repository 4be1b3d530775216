"""The JSON of KripTik's embedding service: bodies that its clients send and replies that they read.

Source: https://github.com/Flickinny11/kriptik-ai-opus-build, server/src/routes/embeddings.ts and
server/src/services/embeddings/embedding-service.ts at 9acfa2d. As there, an unknown field is ignored; an unknown option
is refused. `model` is more, for several models.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from embedstack.dialects.wire import Count, Name

EmbeddingType = Literal["intent", "code", "visual", "error", "reasoning"]
Method = Literal["cosine", "dot", "euclidean"]
Quantization = Literal["float32", "int8", "binary"]
Content: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)] | Annotated[list[str], msgspec.Meta(min_length=1)]
Numbers: TypeAlias = Annotated[list[float], msgspec.Meta(min_length=1)]

# ------------------------------------------------------------------------------------------------ bodies


class Options(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How vectors are made and sent."""

    dimensions: Count | None = None
    quantization: Quantization | None = None
    image_url: str | None = None
    image_base64: str | None = None
    text_for_visual: str | None = None
    cache_key: str | None = None  # this and the next change no vector, and nothing is done with them
    skip_cache: bool | None = None


class GenerateBody(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """Texts, or the caption of a picture, and what they are."""

    content: Content
    type: EmbeddingType
    project_id: Name | None = None
    options: Options | None = None
    model: Name | None = None


class SimilarityBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Two vectors."""

    embedding1: Numbers
    embedding2: Numbers
    method: Method = "cosine"


class BatchBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Several requests for vectors."""

    requests: Annotated[list[GenerateBody], msgspec.Meta(min_length=1)]


class EstimateBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Texts that would be sent."""

    content: Content
    type: EmbeddingType
    model: Name | None = None


# ------------------------------------------------------------------------------------------------ replies


class GenerateData(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The vectors of one request, in the order of its texts."""

    embeddings: list[list[float]]
    model: str
    provider: str
    dimensions: int
    tokens_used: int
    cached: bool
    latency_ms: int
    credits_cost: float


class GenerateReply(msgspec.Struct, forbid_unknown_fields=True):
    """Its envelope."""

    success: bool
    data: GenerateData
    timestamp: str


class Interpretation(msgspec.Struct, forbid_unknown_fields=True):
    """What a similarity means, by the original's thresholds."""

    match: Literal["high", "medium", "low"]
    description: str


class SimilarityData(msgspec.Struct, forbid_unknown_fields=True):
    """How alike two vectors are."""

    similarity: float
    method: Method
    interpretation: Interpretation


class SimilarityReply(msgspec.Struct, forbid_unknown_fields=True):
    """Its envelope."""

    success: bool
    data: SimilarityData
    timestamp: str


class BatchResult(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The vectors of one of the requests."""

    embeddings: list[list[float]]
    model: str
    dimensions: int
    tokens_used: int
    cached: bool
    credits_cost: float


class BatchTotals(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What all of them took."""

    tokens_used: int
    latency_ms: int
    credits_cost: float
    requests_processed: int


class BatchData(msgspec.Struct, forbid_unknown_fields=True):
    """Results in the order of the requests."""

    results: list[BatchResult]
    totals: BatchTotals


class BatchReply(msgspec.Struct, forbid_unknown_fields=True):
    """Its envelope."""

    success: bool
    data: BatchData
    timestamp: str


class EstimateData(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a request would take."""

    estimated_tokens: int
    estimated_credits_cost: float
    type: EmbeddingType
    input_count: int


class EstimateReply(msgspec.Struct, forbid_unknown_fields=True):
    """Its envelope."""

    success: bool
    data: EstimateData
    timestamp: str


class KriptikFailure(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong; the time is there where it was not the body."""

    error: str
    code: str
    timestamp: str | msgspec.UnsetType = msgspec.UNSET


# ------------------------------------------------------------------------------------------------ what a client hears


class HeardData(msgspec.Struct, rename="camel"):
    """What a client needs of the data of a reply."""

    embeddings: list[list[float]]
    tokens_used: int | None = None


class HeardGenerated(msgspec.Struct):
    """What a client needs of a reply."""

    data: HeardData
