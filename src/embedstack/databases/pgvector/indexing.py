"""Fields and keys of a table become the indexes that it should have, and those that are missing are made."""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from embedstack.databases.database import Distance, Index
from embedstack.databases.pgvector.catalog import Found
from embedstack.databases.pgvector.columns import VectorColumn
from embedstack.databases.pgvector.comments import comment_on
from embedstack.databases.pgvector.connecting import Connection, Connections
from embedstack.databases.pgvector.known import INDEX, KnownIndex
from embedstack.databases.pgvector.paths import number_of, type_of, value_of
from embedstack.databases.pgvector.quoting import Name
from embedstack.databases.pgvector.tables import Table, table_of
from embedstack.errors import Upstream

WIDEST = {"vector": 2000, "halfvec": 4000}  # that HNSW takes: a page has 8 kB
CLASSES: Mapping[Distance, str] = {"cosine": "cosine", "dot": "ip", "l2": "l2"}
LOOK_S = 0.1  # until the lock is tried again; no statement may wait for it, see `_building`
# Several processes build in shared memory, as much as maintenance_work_mem: 64 MB as it comes, and a container has no
# more than that: https://github.com/pgvector/pgvector#docker (`--shm-size`). One alone needs none.
ALONE = b"SET max_parallel_maintenance_workers = 0"
BUILDING = 0x656D6264  # "embd", of the lock's two numbers


@dataclass(frozen=True, slots=True)
class Wished:
    """An index as it should be."""

    name: str
    method: sql.Composable  # USING … (…)
    known: KnownIndex | None = None  # for its comment


def wished(found: Found, schema: str, columns: Mapping[str, VectorColumn], keys: Mapping[str, Index]) -> list[Wished]:
    """The indexes of a table's vectors and payloads.

    HNSW over dense vectors, as far as pgvector has it: of up to 2,000 floats, or 4,000 halves. None over sparse ones,
    of which it finds too few: they are compared one by one.

    Args:
        schema: pgvector's.
        columns: by the field's name.
    """
    dense = [column for column in columns.values() if column.width <= WIDEST.get(column.type, 0)]
    return [_nearest(found, schema, column) for column in dense] + [_key(found, key, keys[key]) for key in keys]


def create(connection: Connection, found: Found, index: Wished, *, concurrently: bool = False) -> None:
    """Make it, and say in its comment what it is."""
    how = sql.SQL("CONCURRENTLY " if concurrently and found.kind == "r" else "")
    connection.execute(
        sql.SQL("CREATE INDEX {}{} ON {} USING {}").format(
            how, Name(index.name), Name(found.schema, found.name), index.method
        ),
        (),
    )
    comment(connection, found, index)


def comment(connection: Connection, found: Found, index: Wished) -> None:
    if index.known is not None:
        comment_on(connection, "INDEX", Name(found.schema, index.name), {INDEX: index.known})


def complete(
    connections: Connections,
    name: str,
    keys: Mapping[str, Index],
    fields: frozenset[str] | None,
    *,
    concurrently: bool = True,
) -> None:
    """Make those that are missing; one that somebody left half made is made again.

    Args:
        keys: wanted indexes of the payload.
        fields: whose vectors are to be indexed, where their columns were made here; None: all.
        concurrently: while others write, and once everybody has ended who began before; else others only read.
    Raises:
        Upstream: somebody else is at it.
    """
    with connections.reading() as connection:
        table = table_of(connection, name)
        if not missing(table, keys, fields):
            return
    with connections.alone() as connection, _building(connection, table, connections.wait_s):
        table = table_of(connection, name)
        for index in missing(table, keys, fields):
            there = {one.name: one for one in table.found.indexes}.get(index.name)
            if there is not None and there.is_valid:
                comment(connection, table.found, index)
                continue
            if there is not None:
                _drop_half(connection, table.found, index)
            try:
                create(connection, table.found, index, concurrently=concurrently)
            except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory):
                connection.execute(ALONE)
                _drop_half(connection, table.found, index)
                create(connection, table.found, index, concurrently=concurrently)


def _drop_half(connection: Connection, found: Found, index: Wished) -> None:
    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(Name(found.schema, index.name)), ())


def drop(connection: Connection, table: Table) -> bool:
    """Take away those over vectors that were made here; whether there were any."""
    made = {one.name for one in wished(table.found, table.schema, _made(table), {})}
    there = [one.name for one in table.found.indexes if one.name in made]
    for name in there:
        connection.execute(sql.SQL("DROP INDEX {}").format(Name(table.found.schema, name)), ())
    return bool(there)


def _made(table: Table) -> dict[str, VectorColumn]:
    return {name: column for name, column in table.vectors.items() if column.is_made}


def missing(table: Table, keys: Mapping[str, Index], fields: frozenset[str] | None) -> list[Wished]:
    """Those that are not there, or not whole."""
    columns = {
        name: column
        for name, column in _made(table).items()
        if (fields is None or name in fields) and not column.is_indexed
    }
    new = {key: index for key, index in keys.items() if key not in table.indexes} if table.is_own else {}
    return wished(table.found, table.schema, columns, new)


@contextlib.contextmanager
def _building(connection: Connection, table: Table, wait_s: float) -> Iterator[None]:
    """Nobody else makes indexes of this table meanwhile, so one that is half made belongs to nobody.

    CREATE INDEX CONCURRENTLY waits for every statement that was begun before, so one that waited for this lock would
    wait for ever: the lock is tried again and again.
    """
    until = time.monotonic() + wait_s
    while not _locked(connection, table.found.oid):
        if time.monotonic() > until:
            raise Upstream(f"somebody else makes indexes of table {table.name!r}; run again later", retry=True)
        time.sleep(LOOK_S)
    yield


def _locked(connection: Connection, oid: int) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s::int, %s::bigint::oid::int)", (BUILDING, oid)).fetchone()
    return bool(row and row[0])


def _nearest(found: Found, schema: str, column: VectorColumn) -> Wished:
    operators = Name(schema, f"{column.type}_{CLASSES[column.field.distance]}_ops")
    method = sql.SQL("hnsw ({} {})").format(Name(column.name), operators)
    return Wished(_name(found, f"hnsw:{column.name}"), method)


def _key(found: Found, key: str, index: Index) -> Wished:
    """Over equal values, also in lists; of numbers over their order."""
    value = value_of(sql.SQL("payload"), key)
    if index.kind in ("integer", "float"):
        method = sql.SQL("btree (({}), ({}))").format(type_of(value), number_of(value))
    else:
        method = sql.SQL("gin (({}) jsonb_path_ops)").format(value)
    known = KnownIndex(key=key, kind=index.kind, is_tenant=index.is_tenant)
    return Wished(_name(found, f"key:{key}"), method, known)


def _name(found: Found, of: str) -> str:
    """In 53 of the 63 bytes that a name may have; of the table's number, as it may be renamed without them."""
    return f"{found.name[:40]}_{hashlib.sha256(f'{found.oid} {of}'.encode()).hexdigest()[:12]}"
