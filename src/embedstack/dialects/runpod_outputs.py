"""The outputs of the jobs that RunPod workers take, as types.

What is more than in the originals says who made it: `model`, `space`, `fingerprint`, and what was cut away.
"""

from typing import Literal, TypeAlias

import msgspec

from embedstack.dialects.jobs import JobDone
from embedstack.dialects.kriptikworker_shapes import Result
from embedstack.dialects.modelworker import TextsMetadata
from embedstack.dialects.modelworker_batch import BatchMetadata, BatchResult
from embedstack.dialects.openai_shape import EmbeddingsReply, TokenUsage
from embedstack.dialects.runpod_shapes import Written

Vector: TypeAlias = list[float] | str  # numbers, or base64 of them


class MadeBy(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who made an output, what the model read, and what was cut away."""

    model: str | msgspec.UnsetType = msgspec.UNSET  # not there where nothing was computed, or by two models
    space: str | msgspec.UnsetType = msgspec.UNSET
    fingerprint: str | msgspec.UnsetType = msgspec.UNSET
    tokens_used: int | msgspec.UnsetType = msgspec.UNSET
    truncated: int | msgspec.UnsetType = msgspec.UNSET
    dropped_tokens: int | msgspec.UnsetType = msgspec.UNSET


class VectorsOutput(MadeBy, forbid_unknown_fields=True, kw_only=True):
    """Vectors of texts or of pictures, under all names that clients of such jobs read."""

    embeddings: list[Vector]
    texts_processed: int | msgspec.UnsetType = msgspec.UNSET
    metadata: TextsMetadata | msgspec.UnsetType = msgspec.UNSET
    dimensions: int | msgspec.UnsetType = msgspec.UNSET
    normalized: bool | msgspec.UnsetType = msgspec.UNSET
    encoding_format: Written | msgspec.UnsetType = msgspec.UNSET
    sparse_embeddings: list[dict[str, float]] | msgspec.UnsetType = msgspec.UNSET
    colbert_embeddings: list[list[list[float]]] | msgspec.UnsetType = msgspec.UNSET


class InfinityOutput(EmbeddingsReply, forbid_unknown_fields=True, kw_only=True):
    """Vectors as OpenAI has them."""

    space: str
    fingerprint: str
    tokens_used: int
    truncated: int
    dropped_tokens: int


class ItemsOutput(MadeBy, forbid_unknown_fields=True, kw_only=True):
    """Vectors beside the ids of their items."""

    results: list[BatchResult]
    metadata: BatchMetadata


class RankRow(msgspec.Struct, forbid_unknown_fields=True):
    """The relevance of one document."""

    index: int
    relevance_score: float
    document: str | msgspec.UnsetType = msgspec.UNSET


class RankOutput(MadeBy, forbid_unknown_fields=True, kw_only=True):
    """The documents, the best first; in the order of the job where Infinity's worker was asked."""

    results: list[RankRow]
    usage: TokenUsage | msgspec.UnsetType = msgspec.UNSET


class QueryOutput(MadeBy, forbid_unknown_fields=True, kw_only=True):
    """The vector of one query, or of each."""

    dimensions: int
    embedding: Vector | msgspec.UnsetType = msgspec.UNSET
    embeddings: list[Vector] | msgspec.UnsetType = msgspec.UNSET
    encoding_format: Written | msgspec.UnsetType = msgspec.UNSET


class LateRow(msgspec.Struct, forbid_unknown_fields=True):
    """The vectors of one text's sentences, in their order."""

    vectors: list[Vector]


class LateOutput(MadeBy, forbid_unknown_fields=True, kw_only=True):
    """The vectors of the sentences, in their order."""

    vectors: list[Vector]
    encoding_format: Written | msgspec.UnsetType = msgspec.UNSET


class LateBatchOutput(MadeBy, forbid_unknown_fields=True, kw_only=True):
    """The same for each text."""

    results: list[LateRow]
    encoding_format: Written | msgspec.UnsetType = msgspec.UNSET


class TokensOutput(MadeBy, forbid_unknown_fields=True, kw_only=True):
    """The state of each token, its first character and the one after its last, and the vector of the text."""

    token_embeddings: list[Vector]
    offset_mapping: list[tuple[int, int]]
    pooled_embedding: Vector
    encoding_format: Written | msgspec.UnsetType = msgspec.UNSET


class HealthOutput(MadeBy, forbid_unknown_fields=True, kw_only=True):
    """A model that has just made a vector."""

    status: Literal["ok"]
    endpoint: Literal["query"]
    runtime: str
    dimensions: int


class SeenOutput(Result, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What KripTik's SigLIP and VL-JEPA workers give, and what was cut away."""

    truncated: int | None = None
    dropped_tokens: int | None = None


class VectorsReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: VectorsOutput


class InfinityReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: InfinityOutput


class ItemsReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: ItemsOutput


class RankReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: RankOutput


class QueryReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: QueryOutput


class LateReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: LateOutput


class LateBatchReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: LateBatchOutput


class TokensReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: TokensOutput


class HealthReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: HealthOutput


class SeenReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done."""

    output: SeenOutput


class AnyReply(JobDone, forbid_unknown_fields=True, rename="camel"):
    """A job that is done; its output is what the route gives, and the vectors of OpenAI's stand in a list."""

    output: msgspec.Raw
