"""The inputs of the jobs that RunPod workers take, as types.

As in the originals, an unknown field of an input is ignored, and so is what stands beside `input` (`id`, `webhook`,
`policy`). What is more in an input: `model`, and those of our options (`runpod_input.OPTIONS`) that it has a field for.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from embedstack.dialects.filecleanup import ImagesBody
from embedstack.dialects.infinity import EmbeddingsBody
from embedstack.dialects.kriptikworker_shapes import BgeOptions, SiglipBody, SiglipInput, Texts, VisionBody, VisionInput
from embedstack.dialects.modelworker_batch import BatchBody
from embedstack.dialects.runpod_told import told
from embedstack.dialects.wire import Count, Name
from embedstack.modelspec import Truncate

Written: TypeAlias = Literal["float", "base64", "float16"]
"""Numbers, base64 of little-endian float32, or base64 of little-endian float16."""


class TextsInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Texts, as the workers of KripTik, of ai-file-cleanup and of the RAG stack take them."""

    texts: Texts | None = None
    text: Texts | None = None
    options: BgeOptions = msgspec.field(default_factory=BgeOptions)
    model: Name | None = None
    role: Name | None = None  # query, document, none, or another role that the model has a prompt for
    encoding_format: Written | None = None
    dim: Count | None = None
    max_tokens: Count | None = None
    truncate: Truncate | None = None
    normalize: bool | None = None


class PicturesInput(ImagesBody, kw_only=True, omit_defaults=True):
    """Pictures as data URLs or base64."""

    encoding_format: Written | None = None


class RankInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A query and the documents to order by it, as the RAG stack's worker takes them."""

    query: str
    documents: list[str]
    top_n: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None  # 0: all
    model: Name | None = None
    max_tokens: Count | None = None
    truncate: Truncate | None = None
    raw_scores: bool = False


class DocsInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A query and documents, as Infinity's worker takes them."""

    query: str
    docs: list[str]
    return_docs: bool | None = None
    model: Name | None = None


class QueryInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One query, or several."""

    action: Literal["embed_query"] | None = None
    query: str | None = None
    queries: Texts | None = None
    model: Name | None = None
    encoding_format: Written | None = None


class BatchInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Texts of documents, or of queries."""

    action: Literal["embed_batch"]
    texts: Texts | None = None
    is_query: bool | None = None  # must be said where the model reads queries and documents differently
    model: Name | None = None
    encoding_format: Written | None = None


class Paragraph(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A text and its sentences; what stands before the text is read with it and has no vector."""

    paragraph_text: str = ""
    sentence_texts: list[str] = msgspec.field(default_factory=list)
    section_context: str | None = None


class LateInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A text, its sentences, and how many of its characters stand before the first of them can."""

    action: Literal["late_chunk"]
    paragraph_text: str = ""
    sentence_texts: list[str] = msgspec.field(default_factory=list)
    prefix_len: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    model: Name | None = None
    encoding_format: Written | None = None


class LateBatchInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Several texts, each with its sentences."""

    action: Literal["late_chunk_batch"]
    paragraphs: list[Paragraph] = msgspec.field(default_factory=list)
    model: Name | None = None
    encoding_format: Written | None = None


class TokensInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A text, of which every token is shown."""

    action: Literal["embed_tokens"]
    text: str | None = None
    model: Name | None = None
    encoding_format: Written | None = None


class HealthInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Whether the model answers."""

    action: Literal["health_check"]
    model: Name | None = None


class ForwardInput(msgspec.Struct, kw_only=True):
    """A path and the body that it gets."""

    openai_route: str
    openai_input: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))


class TextsJob(msgspec.Struct):
    """A job."""

    input: Annotated[TextsInput, told("texts", TextsInput)]


class PicturesJob(msgspec.Struct):
    """A job."""

    input: Annotated[PicturesInput, told("pictures", PicturesInput)]


class ItemsJob(msgspec.Struct):
    """A job."""

    input: Annotated[BatchBody, told("items", BatchBody)]


class InfinityJob(msgspec.Struct):
    """A job."""

    input: Annotated[EmbeddingsBody, told("infinity", EmbeddingsBody)]


class RankJob(msgspec.Struct):
    """A job."""

    input: Annotated[RankInput, told("rank", RankInput)]


class DocsJob(msgspec.Struct):
    """A job."""

    input: Annotated[DocsInput, told("docs", DocsInput)]


class QueryJob(msgspec.Struct):
    """A job."""

    input: Annotated[QueryInput, told("query", QueryInput)]


class BatchJob(msgspec.Struct):
    """A job."""

    input: Annotated[BatchInput, told("batch", BatchInput)]


class LateJob(msgspec.Struct):
    """A job."""

    input: Annotated[LateInput, told("late", LateInput)]


class LateBatchJob(msgspec.Struct):
    """A job."""

    input: Annotated[LateBatchInput, told("lates", LateBatchInput)]


class TokensJob(msgspec.Struct):
    """A job."""

    input: Annotated[TokensInput, told("tokens", TokensInput)]


class HealthJob(msgspec.Struct):
    """A job."""

    input: Annotated[HealthInput, told("health", HealthInput)]


class ForwardJob(msgspec.Struct):
    """A job."""

    input: Annotated[ForwardInput, told("forward", ForwardInput)]


class SiglipJob(SiglipBody):
    """A job."""

    input: Annotated[SiglipInput, told("siglip", SiglipInput)]


class VisionJob(VisionBody):
    """A job."""

    input: Annotated[VisionInput, told("vision", VisionInput)]
