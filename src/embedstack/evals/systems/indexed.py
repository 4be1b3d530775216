"""Documents -> their vectors in memory; queries -> an exact search in them. By a model, or by words (BM25)."""

from collections.abc import Mapping, Sequence

import numpy as np

from embedstack.databases.database import Kind
from embedstack.databases.embedded.scoring import Nearest
from embedstack.errors import BadRequest
from embedstack.evals.systems.encoded import Read
from embedstack.evals.systems.indexes import Index, Similarity, index_of
from embedstack.evals.systems.system import Asked, Progress, Ranked, Rankings, System
from embedstack.evals.systems.vectored import Hits, Reader, ask
from embedstack.origin import Identity, Origin, check_space


class IndexedSystem:
    """Every document is compared with every query; of equal scores the document that stands first comes first.

    Args:
        name: canonical.
        dim: of dense vectors; the model's own if None.
        similarity: of dense and multi vectors.
        idf: of sparse vectors: queries' weights are multiplied by how rare their terms are.
    """

    legs: tuple[System, ...] = ()

    def __init__(
        self, name: str, reader: Reader, kind: Kind, *, dim: int | None = None, similarity: Similarity = "cosine",
        idf: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.reader = reader
        self.kind: Kind = kind
        self.dim = dim
        self.identities: tuple[Identity, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._similarity: Similarity = similarity
        self._idf = idf
        self._documents: Mapping[str, str] = {}
        self._ids: tuple[str, ...] = ()
        self._cut: tuple[str, ...] = ()
        self._index: Index | None = None

    def prepare(self, documents: Mapping[str, str], progress: Progress) -> None:
        """Embed all of them."""
        if self._index is not None and self._documents == documents:
            return
        if not documents:
            raise BadRequest(
                f"system {self.name!r} embeds documents, and there are none: the labelled set has judgements alone; "
                "give its texts, or name a collection or rankings"
            )
        made = self.reader.documents(documents, self.kind, progress)
        self._index = index_of(self.kind, made.columns[self.kind], self._similarity, idf=self._idf)
        self._documents, self._ids = documents, tuple(documents)
        self._cut = _cut(made)
        self.identities, self.notes = (made.identity,), (*self._cut, *made.notes)

    def search(self, queries: Sequence[Asked], limit: int) -> Rankings:
        """Stages: embed, search."""
        return ask(self, queries, limit)

    def found(self, queries: Sequence[Asked], read: Read, limit: int) -> Hits:
        """Of queries that were read.

        Raises:
            Mismatch: they were read by another model than the documents. BadRequest: no document was taken yet.
        """
        if self._index is None:
            raise BadRequest(f"system {self.name!r} has taken no documents yet; prepare it before it is asked")
        (there,) = self.identities
        check_space(Origin(identity=there), read.origin(self.kind, there), f"system {self.name!r}")
        self.notes = (*self._cut, *read.notes)
        return [self._ranked(nearest) for nearest in self._index.nearest(read.columns[self.kind], limit)]

    def _ranked(self, nearest: Nearest) -> list[Ranked]:
        places, scores = nearest
        if not np.isfinite(scores).all():
            raise BadRequest(f"system {self.name!r} has a score beyond float32; compare cosines, which have a bound")
        return [Ranked(self._ids[place], score) for place, score in zip(places.tolist(), scores.tolist(), strict=True)]

    def close(self) -> None:
        """Its vectors; the reader is its opener's."""
        self.reader.let_go(self.kind)
        self._index = None
        self._documents, self._ids = {}, ()


def _cut(made: Read) -> tuple[str, ...]:
    if not made.truncated:
        return ()
    limit = f"{made.identity.max_tokens} tokens" if made.identity.max_tokens else "the model takes"
    return (f"{made.truncated} of {made.texts} documents are longer than {limit} and were cut",)
