"""A folder becomes a database of vectors: one file of SQLite in it, with no server beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from embedstack.databases.checks import check_query, check_same
from embedstack.databases.database import Collection, Hit, Loaded, Page, Point, PointId, Points, Query, Where
from embedstack.databases.embedded import catalogue
from embedstack.databases.embedded import points as rows
from embedstack.databases.embedded.answering import Matrices, hits
from embedstack.databases.embedded.connections import Connections
from embedstack.errors import BadRequest, Mismatch
from embedstack.origin import Origin


class EmbeddedDatabase:
    """For one machine, up to about a million vectors; of several processes one at a time writes.

    Every question is compared with every vector, so what is found is always exact, and a `where` reads every payload.
    The vectors of a field are read into memory with the first question and with the first after each change: 4 bytes a
    number, also of float16, as long as the database is open; of points that are named only theirs, and not kept. On
    two busy cores, of vectors of 384 numbers:

    ============  =============  =========  ====================  ===========
    points        first answer   the next   with a `where`        memory
    ============  =============  =========  ====================  ===========
    100,000       1 s            50 ms      0.4 s                 0.2 GB
    1,000,000     25 s           0.4 s      4 s                   1.6 GB
    ============  =============  =========  ====================  ===========

    What is larger, or is written all the time while it is asked, belongs into Qdrant or PostgreSQL. What is dropped or
    deleted makes room for more, but the file no smaller. A process that forks opens its own afterwards.

    Args:
        path: of the folder, on a disk of this machine, no network share; made with the first collection.
    """

    def __init__(self, path: Path | str) -> None:
        self.root = Path(path).absolute()
        self.url = self.root.as_uri()
        self._connections = Connections(self.root)
        self._matrices = Matrices()

    def names(self) -> list[str]:
        with self._connections.reading() as connection:
            return catalogue.names(connection)

    def describe(self, name: str) -> Collection | None:
        with self._connections.reading() as connection:
            found = catalogue.kept(connection, name)
            if found is None:
                return None
            return replace(found.collection, points=rows.count(connection, found))

    def create(self, wanted: Collection) -> bool:
        catalogue.check_wanted(wanted)
        with self._connections.making() as connection:
            found = catalogue.kept(connection, wanted.name)
            if found is None:
                catalogue.add(connection, wanted)
                return True
            missing, _ = check_same(found.collection, wanted)
            catalogue.add_fields(connection, found.number, {name: wanted.fields[name] for name in missing})
            return False

    def sign(self, name: str, field: str, origin: Origin, *, over: Origin | None) -> Origin:
        """In one transaction: of two at once one is the first, in all processes."""
        with self._connections.writing() as connection:
            found = catalogue.needed(connection, name)
            catalogue.check_fields(found, [field])
            there = found.collection.fields[field].origin
            if there == over:
                catalogue.sign(connection, found.fields[field], origin)
                return origin
            if there is None:
                raise Mismatch(
                    f"nobody has signed vector {field!r} of collection {name!r}, as was expected; look again"
                )
            return there

    def mark(self, name: str, loaded: Loaded | None) -> None:
        with self._connections.writing() as connection:
            catalogue.mark(connection, catalogue.needed(connection, name).number, loaded)

    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        with self._connections.writing() as connection:
            rows.write(connection, catalogue.needed(connection, name), points, only_new=only_new)

    def delete(self, name: str, ids: Sequence[PointId]) -> None:
        with self._connections.writing() as connection:
            rows.delete(connection, catalogue.needed(connection, name), ids)

    def read(
        self,
        name: str,
        *,
        after: PointId | None = None,
        limit: int = 256,
        vectors: Sequence[str] = (),
        payload: bool = True,
        where: Where | None = None,
    ) -> Page:
        if limit < 1:
            raise BadRequest(f"limit {limit!r} of a page is below 1; ask for at least one point")
        with self._connections.reading() as connection:
            found = catalogue.needed(connection, name)
            catalogue.check_fields(found, vectors)
            return rows.page(connection, found, after=after, limit=limit, vectors=vectors, payload=payload, where=where)

    def get(self, name: str, ids: Sequence[PointId], *, vectors: Sequence[str] = ()) -> list[Point]:
        with self._connections.reading() as connection:
            found = catalogue.needed(connection, name)
            catalogue.check_fields(found, vectors)
            return list(rows.some(connection, found, ids, vectors))

    def query(self, name: str, query: Query) -> list[Hit]:
        with self._connections.reading() as connection:
            found = catalogue.needed(connection, name)
            field = check_query(found.collection, query)
            matrix = self._matrices.fitting(connection, found, query)
            if matrix is not None:
                return hits(connection, found, matrix, field, query)
        with self._matrices.lock(name, query.field), self._connections.reading() as connection:
            found = catalogue.needed(connection, name)  # again: another thread may have read what is newer meanwhile
            field = check_query(found.collection, query)
            matrix = self._matrices.read(connection, found, query.field)
            return hits(connection, found, matrix, field, query)

    def aliases(self) -> Mapping[str, str]:
        with self._connections.reading() as connection:
            return catalogue.aliases(connection)

    def switch(self, alias: str, new: str, *, old: str | None) -> None:
        with self._connections.writing() as connection:
            catalogue.switch(connection, alias, new, old)

    def drop(self, name: str) -> None:
        with self._connections.writing() as connection:
            found = catalogue.kept(connection, name)
            if found is not None:
                catalogue.remove(connection, found)
                self._matrices.forget(found)

    def close(self) -> None:
        self._matrices.forget()
        self._connections.close()
