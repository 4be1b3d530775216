"""The nouns of what is judged: a system takes documents, and answers queries with a ranking of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from embedstack.origin import Identity


@dataclass(frozen=True, slots=True)
class Asked:
    """A query; systems that only read a ranking know it by its id."""

    id: str
    text: str


class Ranked(NamedTuple):
    """A document and what a system thinks of it."""

    document: str
    score: float


@dataclass(frozen=True, slots=True)
class Rankings:
    """What a system answers to some queries."""

    hits: Sequence[Sequence[Ranked]]  # of each query, best first
    took_s: Mapping[str, float] = field(default_factory=dict)  # stage (embed, search, fuse, rerank) -> seconds, of all
    truncated: int = 0  # queries of which a model did not read all


Progress = Callable[[str, int, int], None]
"""What is done ("documents by all-MiniLM-L6-v2"), how many of it, of how many."""


class System(Protocol):
    """Something that finds documents. It is used by one thread at a time.

    Raises, all of them: BadRequest, Mismatch, Upstream, ConfigError: as the model, the endpoint or the database says.
    """

    name: str  # as a user wrote it; of two in one report no two are equal
    legs: "tuple[System, ...]"  # what it is made of, each of which answers by itself, too; mostly nothing
    identities: tuple[Identity, ...]  # whose vectors and scores it works with; known once it is prepared
    notes: tuple[str, ...]  # what a reader of its figures must know, such as documents that were cut

    def prepare(self, documents: Mapping[str, str], progress: Progress) -> None:
        """Take the documents, id -> text; twice the same is once."""
        ...

    def search(self, queries: Sequence[Asked], limit: int) -> Rankings:
        """The best of each query, at most `limit`, in an order that is the same every time."""
        ...

    def close(self) -> None:
        """Give back what it holds; twice is once."""
        ...
