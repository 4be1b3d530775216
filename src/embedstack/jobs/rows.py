"""The rows of one shard in order, before they are a file or after they were one, and their digests."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson
from numpy.typing import NDArray

from embedstack.documents.document import Json
from embedstack.jobs.digests import of_fields
from embedstack.jobs.plan import Storing
from embedstack.types import Floats, Sparse


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Columns of equal length, ordered by document and chunk."""

    doc_ids: Sequence[str]
    chunk_ids: Sequence[str]  # 32 hexadecimal digits each
    indexes: Sequence[int]  # of the chunk in its document
    texts: Sequence[str] | None  # None: a table without texts was read
    vectors: Floats  # (rows, dim), float32 also where the table holds float16
    metadata: Sequence[str]  # made by `as_json`
    tokens: Sequence[int]
    content_hashes: Sequence[str]  # made by `content_hash`
    sparse: Sequence[Sparse] | None = None

    def __len__(self) -> int:
        return len(self.chunk_ids)

    def first(self, count: int) -> "Rows":
        """So many of them, or all there are."""
        return replace(
            self,
            doc_ids=self.doc_ids[:count],
            chunk_ids=self.chunk_ids[:count],
            indexes=self.indexes[:count],
            texts=None if self.texts is None else self.texts[:count],
            vectors=self.vectors[:count],
            metadata=self.metadata[:count],
            tokens=self.tokens[:count],
            content_hashes=self.content_hashes[:count],
            sparse=None if self.sparse is None else self.sparse[:count],
        )

    @property
    def digest(self) -> str:
        """Over all but the vectors: 64 hexadecimal digits. A text counts by its hash, so that it need not be stored."""
        return of_fields(self.fields())

    def fields(self) -> Iterator[tuple[str, ...]]:
        """What the digest is over."""
        numbers = zip(map(str, self.indexes), map(str, self.tokens), strict=True)
        names = zip(self.doc_ids, self.chunk_ids, self.content_hashes, self.metadata, strict=True)
        return ((*name, *number) for name, number in zip(names, numbers, strict=True))

    def vectors_digest(self, storing: Storing) -> str:
        """Over the bytes of the vectors as they are stored, and then over those of the sparse ones."""
        digest = hashlib.sha256(stored(self.vectors, storing).tobytes())
        add_sparse(digest, self.sparse or ())
        return digest.hexdigest()


def add_sparse(digest: "hashlib._Hash", rows: Iterable[Sparse]) -> None:
    """Sparse vectors, behind all dense ones."""
    for row in rows:
        digest.update(b"%d:" % len(row.ids))
        digest.update(row.ids.astype("<i4").tobytes())
        digest.update(row.weights.astype("<f4").tobytes())


def stored(vectors: Floats, storing: Storing) -> NDArray[np.floating]:
    """(rows, dim) as a table keeps them, little-endian."""
    return np.ascontiguousarray(vectors, "<f4" if storing == "float32" else "<f2")


def as_json(metadata: Mapping[str, Json]) -> str:
    """The same text for the same content, whatever order it came in; "{}" for none."""
    return orjson.dumps(dict(metadata), option=orjson.OPT_SORT_KEYS).decode()
