"""A folder of documents that is indexed in this process, with vectors of hashes; and what is in the collection then."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from embedstack.chunks.chunk import Chunking
from embedstack.databases.database import Database, PointId
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.documents.document import Reading
from embedstack.documents.source import open_source
from embedstack.indexing.indexing import Ends, Hands, Model, index
from embedstack.indexing.wish import IndexWish, LeftOut, Summary
from embedstack.jobs.opened import Opened, opened
from embedstack.jobs.plan import Exact, Wish
from embedstack.modelspec import ModelSpec
from embedstack.testing.fake import HashEncoder, WordRuler, hash_spec
from embedstack.types import Encode, Encoded, Sparse, Text
from support.small_job import quick_patience

T = TypeVar("T")
DOCUMENTS = "documents"
CHUNKING = Chunking(strategy="window", tokens=8)


class Listening(HashEncoder):
    """Remembers the texts that it was asked for."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__([spec])
        self.texts: list[str] = []

    async def encode(self, request: Encode) -> Encoded:
        self.texts += [item.text for item in request.items if isinstance(item, Text)]
        return await super().encode(request)


@dataclass(slots=True)
class Told:
    """What an index said."""

    notes: list[str] = field(default_factory=list)
    out: list[LeftOut] = field(default_factory=list)
    chunks: int = 0

    def looked(self, docs: int) -> None: ...

    def begins(self, docs: int) -> None: ...

    def did(self, docs: int, chunks: int, tokens: int) -> None:
        self.chunks += chunks

    def left_out(self, one: LeftOut) -> None:
        self.out.append(one)

    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def codes(self) -> dict[str, str]:
        """By documents."""
        return {one.doc_id: one.code for one in self.out}


def at_once(work: Callable[[], T]) -> T:
    """Nothing is tried again."""
    return work()


class Shelf:
    """A folder of documents, a database beside it, and a model."""

    def __init__(self, root: Path, files: Mapping[str, str | bytes] = {}, *, spec: ModelSpec | None = None) -> None:
        self.root, self.spec = root, spec or hash_spec()
        self.docs = root / "docs"
        self.docs.mkdir(parents=True)
        self.encoder, self.told = Listening(self.spec), Told()
        self.opened = 0  # times that the model was
        self.put(files)

    def put(self, files: Mapping[str, str | bytes | None]) -> None:
        """Write them; None takes one away."""
        for name, content in files.items():
            path = self.docs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def index(
        self, *sources: Path, database: Database | None = None, is_stopped: Callable[[], bool] = lambda: False, **wished
    ) -> Summary:
        """Into the database of the folder, if no other is given."""
        self.told = Told()
        self.encoder.texts.clear()
        wish = IndexWish(**{"chunking": CHUNKING, **wished})
        database_here = database or self.database()
        source = open_source([str(one) for one in sources or (self.docs,)], wish.reading)
        hands = Hands(self.told, at_once, is_stopped, patience=quick_patience(self.encoder))
        try:
            return asyncio.run(index(Ends(source, database_here, DOCUMENTS), wish, Model(self.spec, self.open), hands))
        finally:
            if database is None:
                database_here.close()

    @asynccontextmanager
    async def open(self, wish: Wish) -> AsyncIterator[Opened]:
        """The fake model; what is asked of it to know its identity is forgotten."""
        self.opened += 1
        made = await opened(self.encoder, wish, WordRuler(self.spec.max_tokens), Exact(where="here", version="1"))
        self.encoder.texts.clear()
        yield made

    def move(self, root: Path) -> None:
        """The folder and its database."""
        self.root.rename(root)
        self.root, self.docs = root, root / "docs"

    def database(self) -> EmbeddedDatabase:
        return EmbeddedDatabase(self.root / "store")

    def points(self) -> dict[PointId, tuple[object, ...]]:
        """All that is in the collection: payload and vectors by id."""
        with closing(self.database()) as database:
            return points_in(database)

    def texts(self) -> dict[str, list[str]]:
        """Of the chunks of each document, in order."""
        found: dict[str, list[tuple[int, str]]] = {}
        for payload, *_ in self.points().values():
            found.setdefault(payload["doc_id"], []).append((payload["chunk_index"], payload["text"]))
        return {doc_id: [text for _, text in sorted(chunks)] for doc_id, chunks in found.items()}


def points_in(database: Database, collection: str = DOCUMENTS) -> dict[PointId, tuple[object, ...]]:
    there = database.describe(collection)
    fields = sorted(there.fields) if there else []
    page = database.read(collection, limit=100_000, vectors=fields)
    return {point.id: (point.payload, *(plain(point.vectors.get(name)) for name in fields)) for point in page.points}


def plain(vector: object) -> object:
    if isinstance(vector, Sparse):
        return vector.ids.tolist(), vector.weights.tolist()
    return None if vector is None else vector.tolist()


def words(count: int, first: int = 0) -> str:
    """So many different ones."""
    return " ".join(f"word{number}" for number in range(first, first + count))


def reading(**said: object) -> Reading:
    return Reading(**said)


def sources_of(points: Mapping[PointId, Sequence[object]]) -> set[str]:
    return {payload["source"] for payload, *_ in points.values()}
