"""A wanted collection becomes a table with its columns, indexes and comments, or completes one that is there."""

import time
from collections.abc import Mapping
from dataclasses import replace

import psycopg
from psycopg import sql

from embedstack.databases.checks import check_field_name, check_same
from embedstack.databases.database import Collection, Field
from embedstack.databases.pgvector import indexing
from embedstack.databases.pgvector.binary import WIDEST_SPARSE
from embedstack.databases.pgvector.catalog import Extension, Found, extension, find, find_at, place_of
from embedstack.databases.pgvector.columns import UNNAMED, VectorColumn
from embedstack.databases.pgvector.comments import change_column, change_table, hold
from embedstack.databases.pgvector.connecting import Connection
from embedstack.databases.pgvector.known import FIELD, SIGNED, TABLE, KnownField, KnownTable
from embedstack.databases.pgvector.quoting import Name
from embedstack.databases.pgvector.tables import OWN, Table, find_table, resolved
from embedstack.errors import BadRequest, ConfigError, Mismatch, Unsupported, Upstream

WIDEST_FLOATS = 2000  # that an HNSW index takes; wider ones are kept as halves, of which it takes 4000
WIDEST = 16_000  # VECTOR_MAX_DIM and HALFVEC_MAX_DIM
SYSTEM = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
MAKING = 0x656D626564737461  # "embedsta": one at a time makes, signs, switches or drops in a database
# without a value: the place of one holds a snapshot until the next statement
TRY = f"SELECT WHERE pg_try_advisory_xact_lock({MAKING})".encode()
INSTALL = "run as a superuser in this database: CREATE EXTENSION vector"
BOTH = """id_number bigint CHECK (id_number >= 0), id_uuid uuid, CHECK (num_nonnulls(id_number, id_uuid) = 1),
id bytea PRIMARY KEY GENERATED ALWAYS AS (CASE WHEN id_uuid IS NULL
  THEN '\\x00'::bytea || int8send(id_number) ELSE '\\x01'::bytea || uuid_send(id_uuid) END) STORED,
payload jsonb NOT NULL DEFAULT '{}'"""


def lock(connection: Connection) -> None:
    """Until the transaction ends nobody else of ours has this lock of the database.

    It is tried again and again, because no statement may wait for it: see `comments.hold`.

    Raises:
        Upstream: somebody else has it for too long.
    """
    waits = connection.execute("SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout'").fetchone()
    assert waits is not None
    until = time.monotonic() + waits[0] / 1000
    while connection.execute(TRY).fetchone() is None:
        if time.monotonic() > until:
            raise Upstream("somebody else makes or signs something in this database; run again later", retry=True)
        time.sleep(indexing.LOOK_S)


def create(connection: Connection, wanted: Collection, *, beside: str = "") -> bool:
    """Make the table, or the fields that it has not; indexes of one that is there are made afterwards by `indexing`.

    What is wanted as float32 and is wider than 2,000 is kept as halves, and is equal to what was made so before.

    Args:
        beside: a table of somebody's own, about whose rows a new collection is.
    Returns:
        Whether the collection was made.
    """
    _check(wanted)
    lock(connection)
    vector = extension(connection) or _installed(connection)
    table = find_table(connection, wanted.name)
    if table is None:
        if resolved(connection, find(connection, wanted.name)) is not None:
            raise BadRequest(
                f"{wanted.name!r} cannot hold a collection: it is a view, or has no primary key of one column that is "
                "a bigint, an int, a uuid or a text; use another name"
            )
        _make(connection, vector, wanted, beside)
        return True
    parent = resolved(connection, find(connection, beside)) if beside else None
    if parent is not None and parent.oid == table.found.oid:
        raise BadRequest(
            f"{wanted.name!r} is the table beside which one was to be made; give that another name, or leave ?beside= "
            "out of the address"
        )
    _add(connection, table, wanted)
    return not table.vectors


def free_column(field: str, taken: set[str]) -> str:
    """The name of a field's column: its own, or one with a number behind it where that is another column's."""
    base = field or UNNAMED
    names = [base, *(f"{base}_{number}" for number in range(2, len(taken) + len(SYSTEM) + 3))]
    return next(name for name in names if name not in taken | SYSTEM)


# ------------------------------------------------------------------------------------------------ before


def _check(wanted: Collection) -> None:
    for name, field in wanted.fields.items():
        check_field_name(name)
        place = f"vector {name!r} of collection {wanted.name!r}"
        if field.kind == "multi":
            raise Unsupported(
                f"{place} has several vectors for each point, which pgvector has not; use Qdrant for that"
            )
        if field.kind == "dense" and not 1 <= field.dim <= WIDEST:
            raise Unsupported(f"{place} is {field.dim} wide, and pgvector takes 1 to {WIDEST}; make narrower vectors")


def _installed(connection: Connection) -> Extension:
    """Where the user may do it."""
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigError(f"pgvector is not in this database, and this user may not put it there; {INSTALL}") from error
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as error:
        raise ConfigError(
            "pgvector is not on this server; install it as https://github.com/pgvector/pgvector#installation says"
        ) from error
    made = extension(connection)
    assert made is not None
    return made


# ------------------------------------------------------------------------------------------------ a new table


def _make(connection: Connection, vector: Extension, wanted: Collection, beside: str) -> None:
    if wanted.quantization != "none":
        raise Unsupported(
            f"collection {wanted.name!r} was wanted with {wanted.quantization} copies, which pgvector has not; leave "
            "that out, or store halves: float16"
        )
    columns = _columns(wanted.fields, {"id"} if beside else set(OWN))
    schema, name = place_of(connection, wanted.name)
    first = _reference(connection, beside) if beside else sql.SQL(BOTH)
    rest = [_definition(column, vector) for column in columns.values()]
    connection.execute(
        sql.SQL("CREATE TABLE {} ({})").format(Name(schema, name), sql.SQL(", ").join([first, *rest])), ()
    )
    found = find_at(connection, schema, name)
    assert found is not None
    if beside:
        change_table(connection, found, {TABLE: KnownTable(beside=True)})
    _comment(connection, found, columns)
    for index in indexing.wished(found, vector.schema, columns, {} if beside else wanted.indexes):
        indexing.create(connection, found, index)


def _reference(connection: Connection, beside: str) -> sql.Composable:
    """The id column of a table that stands beside another one."""
    parent = find_table(connection, beside)
    if parent is None:
        raise ConfigError(f"there is no table {beside!r} beside which to make one; look at ?beside= of the address")
    if parent.ids.kind == "both":
        raise ConfigError(f"table {beside!r} was made by embedstack; leave ?beside= out of the address")
    found = next(column for column in parent.found.columns if column.name == parent.ids.column)
    return sql.SQL("id {} PRIMARY KEY REFERENCES {} ({}) ON DELETE CASCADE").format(
        sql.SQL(found.type),  # one of `ids.KINDS`
        Name(parent.found.schema, parent.found.name),
        Name(found.name),
    )


# ------------------------------------------------------------------------------------------------ one that is there


def _add(connection: Connection, table: Table, wanted: Collection) -> None:
    there = table.collection
    wanted = replace(wanted, fields=_as_there(table, wanted.fields))
    adopted = {name: table.vectors[name] for name in wanted.fields if name in table.vectors}
    adopted = {name: column for name, column in adopted.items() if not column.has_distance}
    said = {
        name: replace(column.field, distance=wanted.fields[name].distance, idf=wanted.fields[name].idf)
        for name, column in adopted.items()
    }
    _refuse_narrow(table, wanted)
    new, _ = check_same(replace(there, fields={**there.fields, **said}), wanted)
    for name, field in said.items():
        known = KnownField(name=name, distance=field.distance, idf=field.idf)
        change_column(connection, table.found, adopted[name].name, {FIELD: known})
    if not new:
        return
    taken = {column.name for column in table.found.columns}
    columns = _columns({name: wanted.fields[name] for name in new}, taken)
    parts = [sql.SQL("ADD COLUMN {}").format(_definition(column, table.extension)) for column in columns.values()]
    place = Name(table.found.schema, table.found.name)
    hold(connection, table.found, "ACCESS EXCLUSIVE")
    connection.execute(sql.SQL("ALTER TABLE {} {}").format(place, sql.SQL(", ").join(parts)), ())
    _comment(connection, table.found, columns)
    if not table.vectors:  # a mark there is of columns that somebody has dropped
        change_table(connection, table.found, {SIGNED: None})


def _refuse_narrow(table: Table, wanted: Collection) -> None:
    """A column of somebody's own that says no width, and has no vector in it to say it."""
    for name, field in wanted.fields.items():
        column = table.vectors.get(name)
        if column is not None and column.width == 0:
            raise Mismatch(
                f"column {column.name!r} of table {table.name!r} says no width; run: ALTER TABLE {table.name} "
                f'ALTER COLUMN "{column.name}" TYPE {column.type}({field.dim})'
            )


def _as_there(table: Table, fields: Mapping[str, Field]) -> dict[str, Field]:
    """Wide floats that are kept as halves are what was wanted."""
    kept = {name for name, column in table.vectors.items() if column.type == "halfvec"}
    return {
        name: replace(field, storing="float16") if name in kept and field.dim > WIDEST_FLOATS else field
        for name, field in fields.items()
    }


# ------------------------------------------------------------------------------------------------ columns


def _columns(fields: Mapping[str, Field], taken: set[str]) -> dict[str, VectorColumn]:
    """Of fields that are not there yet."""
    columns: dict[str, VectorColumn] = {}
    for name, field in fields.items():
        column = free_column(name, taken | {one.name for one in columns.values()})
        if field.kind == "sparse":
            columns[name] = VectorColumn(column, "sparsevec", field, WIDEST_SPARSE, is_made=True)
        else:
            half = field.storing == "float16" or field.dim > WIDEST_FLOATS
            columns[name] = VectorColumn(column, "halfvec" if half else "vector", field, field.dim, is_made=True)
    return columns


def _definition(column: VectorColumn, vector: Extension) -> sql.Composable:
    width = sql.SQL("") if column.type == "sparsevec" else sql.SQL(f"({column.width:d})")
    return sql.SQL("{} {}{}").format(Name(column.name), Name(vector.schema, column.type), width)


def _comment(connection: Connection, table: Found, columns: Mapping[str, VectorColumn]) -> None:
    for name, column in columns.items():
        field = column.field
        known = KnownField(name=name, distance=field.distance, idf=field.idf, is_made=True)
        change_column(connection, table, column.name, {FIELD: known, SIGNED: field.origin})
