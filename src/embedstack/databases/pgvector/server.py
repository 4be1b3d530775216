"""PostgreSQL with pgvector as a database: collections are tables, and what is known of them is in comments."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from embedstack.databases.checks import check_name, check_points
from embedstack.databases.database import (
    Collection,
    Hit,
    Loaded,
    Page,
    Point,
    PointId,
    Points,
    Query,
    Status,
    Where,
)
from embedstack.databases.pgvector import aliases, asking, copying, indexing, making, reading, signing
from embedstack.databases.pgvector.address import parse
from embedstack.databases.pgvector.connecting import Connection, Connections
from embedstack.databases.pgvector.tables import Table, find_table, names_of, table_of
from embedstack.origin import Origin

BUILDS = "SELECT 1 FROM pg_stat_progress_create_index WHERE relid = %s::bigint::oid"


class PgvectorDatabase:
    """The tables of one database that have columns of pgvector's.

    A collection that is made here is a table with `id_number` or `id_uuid`, `payload`, and a column for each field,
    named like it; `embedding` is that of the field without a name. Dense vectors are of type vector, or halfvec where
    they are stored as float16 or wider than 2,000: no index takes wider floats. `describe` says so, and a `create`
    that asks for the same once more with float32 finds what it made. Sparse ones are of type sparsevec, whose text
    counts terms from 1.

    A table of yours is a collection too once it has such a column: its primary key is the id, its other columns are
    the payload and stay as they are, and rows are neither made nor deleted: `delete` takes vectors away. With
    `?beside=TABLE` in the URL new collections stand beside a table of yours, and their points end with its rows.

    Args:
        url: as libpq takes it; nothing is connected yet.
        wait_s: at most so long a lock is waited for.
    Raises:
        ConfigError: it is none.
    """

    def __init__(self, url: str, *, wait_s: float = 10) -> None:
        address = parse(url)
        self.url = address.url
        self._beside = address.beside
        self._connections = Connections(address, wait_s)

    def __repr__(self) -> str:
        return f"PgvectorDatabase({self.url!r})"

    def names(self) -> list[str]:
        with self._connections.reading() as connection:
            return names_of(connection)

    def describe(self, name: str) -> Collection | None:
        with self._connections.reading() as connection:
            table = find_table(connection, name, origins=True)
            if table is None or not table.is_collection:
                return None
            points = reading.count(connection, table)
            return replace(table.collection, points=points, status=_status(connection, table))

    def create(self, wanted: Collection) -> bool:
        check_name(wanted.name)
        with self._connections.writing() as connection:
            is_new = making.create(connection, wanted, beside=self._beside)
        indexing.complete(self._connections, wanted.name, wanted.indexes, frozenset(wanted.fields))
        return is_new

    def postpone(self, name: str) -> bool:
        """As `IndexedLater.postpone`: rows go into an HNSW index one by one. Not of a table about somebody's own rows,
        who would wait while it is built."""
        with self._connections.writing() as connection:
            table = table_of(connection, name)
            return table.is_own and not reading.count(connection, table) and indexing.drop(connection, table)

    def index(self, name: str) -> None:
        """As `IndexedLater.index`; meanwhile others read, and wait where they write."""
        indexing.complete(self._connections, name, {}, None, concurrently=False)

    def sign(self, name: str, field: str, origin: Origin, *, over: Origin | None) -> Origin:
        with self._connections.writing() as connection:
            return signing.sign(connection, name, field, origin, over)

    def mark(self, name: str, loaded: Loaded | None) -> None:
        with self._connections.writing() as connection:
            signing.mark(connection, name, loaded)

    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        with self._connections.writing() as connection:
            table = table_of(connection, name)
            check_points(table.collection, points)
            copying.write(connection, table, points, only_new=only_new)

    def delete(self, name: str, ids: Sequence[PointId]) -> None:
        with self._connections.writing() as connection:
            copying.delete(connection, table_of(connection, name), ids)

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
        with self._connections.reading() as connection:
            table = table_of(connection, name)
            return reading.read(connection, table, after, limit, vectors, payload=payload, where=where)

    def get(self, name: str, ids: Sequence[PointId], *, vectors: Sequence[str] = ()) -> list[Point]:
        with self._connections.reading() as connection:
            return reading.get(connection, table_of(connection, name), ids, vectors)

    def query(self, name: str, query: Query) -> list[Hit]:
        with self._connections.reading() as connection:
            return asking.ask(connection, table_of(connection, name), query)

    def aliases(self) -> Mapping[str, str]:
        with self._connections.reading() as connection:
            return aliases.aliases(connection)

    def switch(self, alias: str, new: str, *, old: str | None) -> None:
        with self._connections.writing() as connection:
            aliases.switch(connection, alias, new, old)

    def drop(self, name: str) -> None:
        with self._connections.writing() as connection:
            aliases.drop(connection, name)

    def close(self) -> None:
        self._connections.close()


def _status(connection: Connection, table: Table) -> Status:
    """An index that is not whole is being built, or who built it died."""
    status = table.collection.status
    if status == "failed" and connection.execute(BUILDS, (table.found.oid,)).fetchone():
        return "indexing"
    return status
