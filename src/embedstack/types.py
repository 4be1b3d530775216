"""The nouns: what is embedded, by which model, in which request, and what comes back."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]

Task = Literal["embed", "rerank", "classify"]
Input = Literal["text", "image"]
Output = Literal["dense", "sparse", "multi", "score", "states"]
Pooling = Literal["cls", "mean", "max", "last"]
Activation = Literal["gelu", "gelu_tanh", "quick_gelu", "relu", "silu", "tanh"]
Head = Literal[
    "none", "bert", "roberta", "distilbert", "modernbert", "linear",  # of classifiers and rerankers
    "bert_mlm", "distilbert_mlm", "roberta_mlm",  # of lexical models
    "lm_head",  # of decoders that rerank: the rows of yes and no
]  # fmt: skip
"""What makes scores of pooled rows; of a masked language model (mlm), lexical weights over the vocabulary."""
ScoreActivation = Literal["sigmoid", "softmax", "identity"]
Precision = Literal["float64", "float32", "tf32", "bfloat16", "float16", "int8"]
"""What products are computed in; tf32 is float32 with a mantissa of 10 bits, as some GPUs have it."""
Truncate = Literal["refuse", "left", "right"]
Priority = Literal["interactive", "bulk"]
Vectors: TypeAlias = Mapping[Output, Floats]
"""What a runtime gives: dense (items, dim), sparse (tokens, 1) or (items, vocab), multi (tokens, dim), score (items,
labels), states (tokens, hidden): the last layer's, which late chunking reads and no caller can ask for."""
VectorType = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
"""What the numbers of a dense vector are sent and kept in; see `quantize`."""

DENSE: frozenset[Output] = frozenset({"dense"})
STATES: frozenset[Output] = frozenset({"states"})


# ------------------------------------------------------------------------------------------------ the model


@dataclass(frozen=True, slots=True, kw_only=True)
class Vision:
    """The tower that reads pictures, and what is done with a picture before."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    activation: Activation
    norm_eps: float
    side: int  # pixels of the square that it reads
    patch: int  # pixels of the square that becomes one token
    has_class: bool = False  # whether a token that holds no pixels stands before the patches
    fit: Literal["crop", "squash"] = "crop"  # cut the middle out, or change width and height as is needed
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)  # of red, green and blue, from 0 to 1
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    @property
    def tokens(self) -> int:
        """Of one picture; pixels past the last whole patch are left out."""
        return (self.side // self.patch) ** 2 + self.has_class

    @property
    def patch_width(self) -> int:
        """Numbers of one patch."""
        return 3 * self.patch**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The fields of config.json that the graph reads, under one name for all families."""

    family: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocab: int
    positions: int  # rows of the position table
    position_offset: int = 0  # the first token's row: 0 for BERT, pad_token_id + 1 for RoBERTa
    segments: int = 0  # rows of the token type table
    activation: Activation = "gelu"
    norm_eps: float = 1e-12
    kv_heads: int = 0  # of keys and values where several heads share them; 0 for as many as there are heads
    head_size: int = 0  # numbers of one head; 0 for hidden / heads
    rope_theta: float = 0.0  # 0 where positions are not turned
    rope_factor: float = 1.0  # what the speeds of turning are divided by
    local_theta: float = 0.0  # of layers that see a window
    window: int = 0  # tokens that such a layer sees to either side
    global_every: int = 0  # of so many layers the first sees everything, the others a window; 0 for all layers
    buckets: int = 0  # of relative positions
    vision: Vision | None = None  # of a model that takes pictures, too

    @property
    def size(self) -> int:
        """Numbers of one head."""
        return self.head_size or self.hidden // self.heads


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model as data: everything that decides a vector, and what a caller may ask of it."""

    name: str
    revision: str
    task: Task
    architecture: Architecture
    outputs: tuple[Output, ...]
    inputs: tuple[Input, ...] = ("text",)
    dim: int  # width of a dense vector; 0 where there is none
    max_tokens: int  # special tokens included
    weights: str  # sha256 over the weight files
    tokenizer: str  # sha256 of tokenizer.json
    graph: int = 1  # the family's version, raised when its code changes a vector
    pooling: Pooling = "mean"
    normalize: bool = True
    lowercase: bool = False  # texts are lower-cased before the tokeniser sees them
    canonical: bool = False  # texts lose their punctuation and double spaces before the tokeniser sees them
    special_tokens: bool = True  # whether the tokeniser's special tokens are put around a text
    dropped_ids: tuple[int, ...] = ()  # tokens of these ids are taken out of a text, after it was cut
    stop_id: int | None = None  # a token of this id ends a text: those after the first one do not count
    pad_to: int = 0  # texts are filled up to so many tokens, which count like others
    pad_id: int = 0  # with tokens of this id
    pad_left: bool = False  # before the text
    needs_prompt: bool = False  # without one of its prompts the model gives vectors that mean nothing
    cut_norm: bool = False  # a row that is cut has mean 0 and variance 1 before and length 1 after it
    head: Head = "none"
    labels: int = 0
    label_names: tuple[str, ...] = ()  # of a classifier, in the order of its logits
    score_activation: ScoreActivation = "sigmoid"
    pair_template: str = ""  # how a pair becomes one text, with {query} and {document}; else the tokeniser joins them
    score_ids: tuple[int, ...] = ()  # of a decoder that reranks: the token that says yes, and the one that says no
    logit_scale: float = 0.0  # of a text with a picture: their cosine times this, plus the bias, is a logit
    logit_bias: float = 0.0
    similarity: Literal["", "softmax", "sigmoid"] = ""  # how such logits become probabilities
    prompts: Mapping[str, str] = field(default_factory=dict)
    sparse_ignore: tuple[int, ...] = ()  # token ids that carry no lexical weight
    log_twice: bool = False  # a weight over the vocabulary is log1p of log1p of its logit, not of the logit itself
    cuts: tuple[int, ...] = ()  # Matryoshka widths the model was trained for
    licence: str = "unknown"

    def __hash__(self) -> int:
        """The one that a dataclass has would fail, since prompts are a mapping."""
        return hash((self.name, self.space))

    @property
    def is_lexical(self) -> bool:
        """Whether sparse vectors are rows over the vocabulary, and not a weight for each token of the text."""
        return self.head.endswith("_mlm")

    @cached_property
    def space(self) -> str:
        """32 hex digits that are equal exactly when two vectors may be compared."""
        decides = {name: value for name, value in _stated(self).items() if name not in _NOT_IN_SPACE}
        return _digest({**decides, "architecture": _stated(self.architecture)})

    def is_unit(self, asked: bool | None, dim: int | None = None) -> bool:
        """Whether rows of `dim` numbers are brought to length 1: as asked, else by the model's own rule."""
        is_cut = dim is not None and dim < self.dim
        return self.normalize or (self.cut_norm and is_cut) if asked is None else asked

    def fingerprint(
        self,
        precision: Precision,
        dim: int | None = None,
        *,
        normalize: bool | None = None,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        document_tokens: int | None = None,
        late_chunking: bool = False,
        calibration: str = "",
    ) -> str:
        """32 hex digits for vectors that agree within the stated fidelity: space, precision, and how a request cut.

        Args:
            dim: the width after cutting; the model's own if None.
            normalize: whether rows were brought to length 1; the model's own rule if None.
            max_tokens, truncate, document_tokens: what a request asked for; part of it where they can give a long text
                another vector, or a long document another score.
            late_chunking: whether each item was read with those around it, and is the mean of its tokens.
            calibration: how a runtime rounds to few bits, or which unproven provider computes; empty for all others.
        """
        made: dict[str, object] = {
            "space": self.space,
            "precision": precision,
            "dim": dim or self.dim,
            "normalize": self.is_unit(normalize, dim),
        }
        if max_tokens is not None and max_tokens < self.max_tokens:
            made["max_tokens"] = max_tokens
        if truncate == "left":
            made["truncate"] = truncate
        if document_tokens is not None and document_tokens < self.max_tokens:
            made["document_tokens"] = document_tokens
        if late_chunking:
            made["late_chunking"] = 1  # a number of the rule of windows, see inputs/late.py
        if calibration:
            made["calibration"] = calibration
        return _digest(made)


_NOT_IN_SPACE = {
    "name", "revision", "licence", "task", "outputs", "inputs", "label_names", "cuts", "dim", "architecture",
    "logit_scale", "logit_bias", "similarity",
}  # fmt: skip


def _stated(noun: "ModelSpec | Architecture") -> dict[str, object]:
    """Fields that differ from their default, so that a field added later changes no earlier space."""
    values = ((f, getattr(noun, f.name)) for f in fields(noun))
    return {f.name: value for f, value in values if value != f.default and value not in ({}, ())}


def _plain(value: Any) -> dict[str, object]:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


def _digest(decides: Mapping[str, object]) -> str:
    text = json.dumps(decides, sort_keys=True, ensure_ascii=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# ------------------------------------------------------------------------------------------------ the items


@dataclass(frozen=True, slots=True)
class Text:
    """A text and the role it plays: query, document, none (no prompt in front), or another of the model's prompts."""

    text: str
    role: str = "document"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text already turned into the model's own token ids, special tokens included."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query with one document, for a reranker."""

    query: str
    document: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture as its file's bytes: PNG, JPEG, WebP or GIF."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """Where a picture lies; it becomes an `Image` before it meets an Encoder, if links are allowed at all."""

    url: str


Item: TypeAlias = Text | Tokens | Pair | Image | Link


@dataclass(frozen=True, slots=True)
class Encoding:
    """One item as the graph reads it."""

    ids: Ints  # (tokens,); zeros for a picture
    segments: Ints | None = None  # (tokens,), None where all are 0
    dropped: int = 0  # tokens that truncation cut away
    patches: Floats | None = None  # (tokens, patch_width) of a picture, see `Batch`

    @property
    def cost(self) -> int:
        """Tokens that the device must work through."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Items laid end to end, never padded; all texts, or all pictures."""

    ids: Ints  # (tokens,)
    segments: Ints  # (tokens,)
    offsets: Ints  # (items + 1,)
    patches: Floats | None = None  # (tokens, 3 * patch * patch) of pictures: red, green, blue, each row by row

    def __len__(self) -> int:
        return len(self.offsets) - 1


# ------------------------------------------------------------------------------------------------ the requests


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    model: str
    max_tokens: int | None = None  # the model's own limit if None; never above it
    truncate: Truncate = "right"  # which end is cut from a text over the limit, or refuse it
    deadline: float | None = None  # on time.monotonic's clock
    priority: Priority = "interactive"
    caller: str = ""
    whole: bool = False  # pack by a pure function of the lengths, never with other callers


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode(_Request):
    """A wish for vectors."""

    items: tuple[Text | Tokens | Image | Link, ...]
    outputs: frozenset[Output] = DENSE
    dim: int | None = None
    normalize: bool | None = None  # the model's own rule if None
    late_chunking: bool = False  # the items are parts of one text, and each is read with all of it around


@dataclass(frozen=True, slots=True, kw_only=True)
class Score(_Request):
    """A wish for the relevance of documents to a query."""

    items: tuple[Pair, ...]
    raw_scores: bool = False  # logits instead of the model's activation
    document_tokens: int | None = None  # of each document, before it meets the query; None: no limit of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Classify(_Request):
    """A wish for the scores of a classifier's labels."""

    items: tuple[Text | Pair, ...]
    raw_scores: bool = False  # logits instead of the model's activation


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenize(_Request):
    """A wish to see what the model reads: nothing is computed. `truncate` and `max_tokens` say where it would cut."""

    items: tuple[Text | Pair, ...]
    special_tokens: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Decode(_Request):
    """A wish for the texts of token ids."""

    items: tuple[Tokens, ...]
    skip_special_tokens: bool = True


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost."""

    items: int
    tokens: int
    dropped: int = 0  # tokens cut away
    truncated: int = 0  # items that lost tokens
    wait_s: float = 0.0
    run_s: float = 0.0
    tokenize_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sparse:
    """Lexical weights of one item."""

    ids: Ints  # (terms,), rising
    weights: Floats  # (terms,), all > 0


@dataclass(frozen=True, slots=True)
class Span:
    """Where an item of a late chunked text stands: tokens of all of it, the special ones in front among them."""

    item: int
    start: int
    stop: int  # the one after its last


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Vectors in input order, with the identity that they must keep wherever they are stored."""

    spec: ModelSpec
    fingerprint: str
    usage: Usage
    dense: Floats | None = None  # (items, dim)
    sparse: tuple[Sparse, ...] | None = None
    multi: tuple[Floats, ...] | None = None  # per item (vectors, dim)
    spans: tuple[Span, ...] | None = None  # of late chunking, one for each item

    def __array__(self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None) -> NDArray[np.generic]:
        if self.dense is None:
            raise TypeError("this result holds no dense vectors; read .sparse or .multi")
        if copy is False and dtype is not None and dtype != self.dense.dtype:
            raise ValueError(f"vectors are float32; as {dtype} they need a copy")
        return np.array(self.dense, dtype=dtype) if copy else np.asarray(self.dense, dtype=dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Scores in input order."""

    spec: ModelSpec
    fingerprint: str
    usage: Usage
    scores: Floats  # (items,)

    @property
    def order(self) -> list[int]:
        """Item numbers, best first; equal scores keep input order."""
        return [int(i) for i in np.argsort(-self.scores, kind="stable")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """Scores of all labels in input order."""

    spec: ModelSpec
    fingerprint: str
    usage: Usage
    scores: Floats  # (items, labels)


@dataclass(frozen=True, slots=True)
class Piece:
    """A token and the characters of the caller's text that it stands for; those of a prompt stand for none."""

    id: int
    text: str
    special: bool
    start: int | None = None  # the first character, None where it stands for none
    stop: int | None = None  # the one after the last
    is_cut: bool = False  # whether truncation would cut it away


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenized:
    """What the model reads of each item, before anything is cut."""

    spec: ModelSpec
    usage: Usage  # tokens as a request would count them, after the cut
    items: tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Texts in input order."""

    spec: ModelSpec
    usage: Usage
    texts: tuple[str, ...]


Request: TypeAlias = Encode | Score | Classify | Tokenize | Decode
Answer: TypeAlias = Encoded | Scored | Classified | Tokenized | Decoded


class Encoder(Protocol):
    """The one door: server, worker, jobs and evaluation see nothing else."""

    async def encode(self, request: Encode) -> Encoded: ...

    async def score(self, request: Score) -> Scored: ...

    async def classify(self, request: Classify) -> Classified: ...

    async def tokens(self, request: Tokenize) -> Tokenized: ...

    async def decode(self, request: Decode) -> Decoded: ...

    def models(self) -> tuple[ModelSpec, ...]: ...


async def answered(encoder: Encoder, request: Request) -> Answer:
    """The answer to any request."""
    match request:
        case Encode():
            return await encoder.encode(request)
        case Score():
            return await encoder.score(request)
        case Classify():
            return await encoder.classify(request)
        case Tokenize():
            return await encoder.tokens(request)
        case Decode():
            return await encoder.decode(request)


def spec_fields(spec: ModelSpec) -> dict[str, object]:
    """The spec as plain data, for `--json` and file footers."""
    return {**asdict(spec), "prompts": dict(spec.prompts), "space": spec.space}
