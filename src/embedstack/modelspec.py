"""A model as data: what its graph reads, what a caller may ask of it, and the identity that all of it decides."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any, Literal

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
class Normalizer:
    """How BERT's kind of tokeniser puts a text in order: what it does beside taking control characters out."""

    lowercase: bool
    strip_accents: bool
    splits_chinese: bool  # each of its characters is a word


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
    normalizer: Normalizer | None = None  # in the place of the one in tokenizer.json
    canonical: bool = False  # texts lose their punctuation and double spaces before the tokeniser sees them
    special_tokens: bool = True  # whether the tokeniser's special tokens are put around a text
    dropped_ids: tuple[int, ...] = ()  # tokens of these ids are taken out of a text, after it was cut
    median_chars: int = 0  # a text is cut to so many characters for each token of the limit, before it is tokenised
    stop_id: int | None = None  # a token of this id ends a text: those after the first one do not count
    pad_to: int = 0  # texts are filled up to so many tokens, which count like others
    pad_id: int = 0  # with tokens of this id
    pad_left: bool = False  # before the text
    needs_prompt: bool = False  # without one of its prompts the model gives vectors that mean nothing
    cut_norm: bool = False  # a row that is cut has mean 0 and variance 1 before and length 1 after it
    head: Head = "none"
    head_activation: Activation = "gelu"  # of a ModernBERT that scores, between the two products of its head
    head_bias: bool = False  # of the first of them
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


def plain_fingerprint(
    space: str,
    precision: Precision,
    dim: int,
    *,
    is_unit: bool,
    calibration: str = "",
    max_tokens: int | None = None,
    truncate: Truncate = "right",
    late_chunking: bool = False,
) -> str:
    """What `ModelSpec.fingerprint` gives where only the space of a model is known.

    Args:
        max_tokens: where it is below the model's own, else None.
    """
    made: dict[str, object] = {"space": space, "precision": precision, "dim": dim, "normalize": is_unit}
    cuts = {"max_tokens": max_tokens, "truncate": truncate if truncate == "left" else None}
    more = {**cuts, "late_chunking": 1 if late_chunking else None, "calibration": calibration or None}
    return _digest({**made, **{name: value for name, value in more.items() if value is not None}})


def _plain(value: Any) -> dict[str, object]:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


def _digest(decides: Mapping[str, object]) -> str:
    text = json.dumps(decides, sort_keys=True, ensure_ascii=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def spec_fields(spec: ModelSpec) -> dict[str, object]:
    """The spec as plain data, for `--json` and file footers."""
    return {**asdict(spec), "prompts": dict(spec.prompts), "space": spec.space}
