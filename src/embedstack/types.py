"""The nouns of a request: what is embedded, what is asked for, what comes back; and the door that answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embedstack.modelspec import ModelSpec, Output, Truncate

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]

Priority = Literal["interactive", "bulk"]
Vectors: TypeAlias = Mapping[Output, Floats]
"""What a runtime gives: dense (items, dim), sparse (tokens, 1) or (items, vocab), multi (tokens, dim), score (items,
labels), states (tokens, hidden): the last layer's, which late chunking reads and which are asked for alone."""
VectorType = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
"""What the numbers of a dense vector are sent and kept in; see `quantize`."""

DENSE: frozenset[Output] = frozenset({"dense"})
STATES: frozenset[Output] = frozenset({"states"})


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
    states: tuple[Floats, ...] | None = None  # per item (tokens, hidden), special tokens and prompt included
    spans: tuple[Span, ...] | None = None  # of late chunking, one for each item

    def __array__(self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None) -> NDArray[np.generic]:
        if self.dense is None:
            raise TypeError("this result holds no dense vectors; read .sparse, .multi or .states")
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
