"""A collection -> which documents an index has put there, from where, and how whole each is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from sys import intern
from typing import Protocol, TypeVar

from embedstack.databases.database import Condition, Database, Page, Point, PointId, Where, pages
from embedstack.errors import BadRequest, NotReady
from embedstack.indexing.points import id_of
from embedstack.indexing.wish import Tenant

PAGE = 1000  # points that are read at once
T = TypeVar("T")


class Retry(Protocol):
    """Calls again what may pass by itself."""

    def __call__(self, work: Callable[[], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A point that an index wrote."""

    id: PointId
    digest: str  # of its document as it was then
    index: int
    of: int  # chunks that the document had


@dataclass(slots=True)
class Held:
    """What there is of one document."""

    source: str
    file: str
    chunks: list[Chunk] = field(default_factory=list)

    def is_whole(self, digest: str) -> bool:
        """Whether all of its chunks are there as the document is now: only then it need not be written."""
        indexes = {chunk.index for chunk in self.chunks if chunk.digest == digest}
        return len(indexes) == next((chunk.of for chunk in self.chunks if chunk.digest == digest), -1)

    def others(self, digest: str) -> list[Chunk]:
        """Those that the document has no more, once it is there as it is now."""
        return [chunk for chunk in self.chunks if chunk.digest != digest]


def held(
    database: Database, collection: str, tenant: Tenant | None, retry: Retry, is_stopped: Callable[[], bool]
) -> dict[str, Held]:
    """By the ids of documents, all that an index wrote for this tenant, or for none. About 200 bytes a point."""
    found: dict[str, Held] = {}
    where = Where(all=(Condition(key=tenant.key, values=(tenant.value,)),)) if tenant else None
    for point in _points(database, collection, where, retry, is_stopped):
        _add(found, point, tenant)
    return found


def _points(
    database: Database, collection: str, where: Where | None, retry: Retry, is_stopped: Callable[[], bool]
) -> Iterator[Point]:
    def read(after: PointId | None) -> Page:
        if is_stopped():
            raise stopping()
        return retry(partial(database.read, collection, after=after, limit=PAGE, where=where))

    for page in pages(read):
        yield from page.points


def stopping() -> NotReady:
    """What is raised where somebody wants the end."""
    return NotReady("it is stopping; run the same command again to go on")


def _add(found: dict[str, Held], point: Point, tenant: Tenant | None) -> None:
    """Points that others wrote say nothing here, nor do those of another tenant."""
    match point.payload:
        case {
            "doc_id": str() as doc_id,
            "chunk_id": str() as chunk_id,
            "chunk_index": int() as index,
            "doc_digest": str() as digest,
            "doc_chunks": int() as of,
            "source": str() as source,
            "file": str() as file,
        } if _is_ours(point.id, chunk_id, tenant):
            one = found.setdefault(doc_id, Held(source, file))
            one.chunks.append(Chunk(point.id, intern(digest), index, of))  # those of a document have one digest


def _is_ours(point: PointId, chunk_id: str, tenant: Tenant | None) -> bool:
    try:
        return id_of(chunk_id, tenant) == point
    except BadRequest:
        return False
