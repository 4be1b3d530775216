"""How a collection is kept like its documents, who is told how it goes, and what is said at the end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, Protocol

from embedstack.chunks.chunk import Chunking
from embedstack.databases.database import Json
from embedstack.documents.document import Reading
from embedstack.errors import BadRequest
from embedstack.search.analysis import Language

DENSE, BM25, SPARSE = "", "bm25", "sparse"  # the names of fields; the first and the last as those of a load
MULTI, DENSE_BESIDE = "multi", "dense"  # vectors of tokens, and what dense ones beside them are called: Qdrant wants it
Lexical = Literal["bm25", "model", "none"]
"""Beside dense vectors: BM25's, the model's own sparse ones, or none."""

KEYS = (
    "doc_id", "chunk_id", "chunk_index", "text", "tokens", "content_hash", "metadata",  # as a job's row has them
    "doc_digest", "doc_chunks", "file", "source",
)  # fmt: skip
"""Of the payload of every point."""

ON_PURPOSE = frozenset({"empty", "index_page"})  # documents of these codes are not there, rather than not readable


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose documents these are: one key of the payload and its value."""

    key: str
    value: str

    def __post_init__(self) -> None:
        if not self.key or not self.value:
            raise BadRequest("a tenant has a key and a value; give one such as org=acme")
        if self.key in KEYS:
            raise BadRequest(f"{self.key!r} is a key of every point, so it cannot tell tenants apart; take another")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexWish:
    """How documents become points."""

    chunking: Chunking
    reading: Reading = field(default_factory=Reading)
    dim: int | None = None  # None: all that the model has
    late_chunking: bool = False
    lexical: Lexical | None = None  # None: as the collection has it, BM25 in a new one
    multi: bool = False  # beside them one for each token; a collection that began with these keeps to it
    language: Language | None = None  # of BM25; None: as the collection has it, by the letters in a new one
    tenant: Tenant | None = None
    keep_gone: bool = False  # what is gone stays in the collection
    claim: bool = False  # points that nobody has signed are of this model's space
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A document, or a file as a whole, that is not in the collection as it stands in the input."""

    doc_id: str
    file: str
    code: str  # of `documents.reading.CODES`, of `errors`, or: unreadable, changed, twice
    message: str  # a sentence, without the content


class Progress(Protocol):
    """Who is told how it goes; from several threads."""

    def looked(self, docs: int) -> None:
        """So many documents were compared with the collection."""
        ...

    def begins(self, docs: int) -> None:
        """So many documents are embedded from now on."""
        ...

    def did(self, docs: int, chunks: int, tokens: int) -> None:
        """So many more are there."""
        ...

    def left_out(self, one: LeftOut) -> None:
        """A document is not there, and why."""
        ...

    def note(self, text: str) -> None:
        """A line for people."""
        ...


@dataclass(slots=True, kw_only=True)
class Summary:
    """What was found and done; of a dry run, what would be."""

    collection: str
    docs: int = 0  # that can be read
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0  # documents of the collection that the input has no more
    left_out: Counter[str] = field(default_factory=Counter)  # by code
    chunks: int = 0  # that were written
    tokens: int = 0  # that the model read for these
    deleted: int = 0  # points
    points: int = 0  # of the whole collection
    model: str = ""
    dry_run: bool = False
    took_s: float = 0.0
    embed_s: float = 0.0  # of these, from the first document that was embedded to the last that was written

    def as_json(self) -> dict[str, Json]:
        """For machines."""
        return {name: getattr(self, name) for name in self.__slots__} | {"left_out": dict(self.left_out)}
