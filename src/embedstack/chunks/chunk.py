"""The nouns of chunking: how it shall be done, a chunk, its id, and what counts tokens."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from embedstack.documents.document import Json
from embedstack.errors import BadRequest

Strategy = Literal["semantic", "entry", "paragraph", "window", "parent", "sentence", "whole"]
VERSION = 1  # raised where the same text and settings become other chunks


class Chunking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a text is cut. Tokens that the model adds (special ones, prompt) count too, so nothing is cut later."""

    strategy: Strategy = "semantic"
    tokens: int = 512  # most of one chunk; never above what the model takes
    overlap: int = 0  # of neighbours; window and parent use it
    parent_tokens: int = 1500  # of strategy parent
    skip_index: bool = False  # leave out pages that are lists of links
    version: int = VERSION

    @property
    def digest(self) -> str:
        """Of all of it, 16 hexadecimal digits."""
        return _digest(self)


@lru_cache(maxsize=16)
def _digest(chunking: Chunking) -> str:
    """It stands in the id of every chunk."""
    return hashlib.sha256(msgspec.json.encode(chunking, order="sorted")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage, and where it stands in its document."""

    index: int
    text: str  # what is embedded
    start: int  # characters of the document's text that it is from
    stop: int
    tokens: int  # as the model reads it: special tokens and prompt among them
    metadata: Mapping[str, Json] = field(default_factory=dict)  # headings, strategy, parent_id, ...

    def id_in(self, doc_id: str, chunking: Chunking) -> str:
        """The same for the same document, place and settings, in every run: 32 hexadecimal digits."""
        return hashlib.sha256(f"{doc_id}\0{self.index}\0{chunking.digest}".encode()).hexdigest()[:32]


class Skipped(BadRequest):
    """A document that becomes no chunks; not a failure where the code is `empty` or `index_page`."""

    def __init__(self, code: Literal["empty", "index_page", "too_long"], message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


class Ruler(Protocol):
    """Counts tokens as one model does. Blocks; may be used from several threads."""

    max_tokens: int  # of one text, special tokens and prompt among them
    added: int  # special tokens and those of the prompt
    adds_up: bool  # whether what stands between two spaces has as many tokens alone as within its text, and `added`

    def offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """For each text (tokens, 2): the first character of each token and the one after its last; none are added."""
        ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, those that are added among them; 0 for one of which the model knows no token."""
        ...
