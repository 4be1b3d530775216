"""A table as the catalog has it becomes a collection: fields from its columns, points from its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from embedstack.databases.checks import unknown
from embedstack.databases.database import Collection, Index, Loaded
from embedstack.databases.pgvector.catalog import (
    Extension,
    Found,
    FoundColumn,
    extension,
    find,
    find_number,
    find_tables,
)
from embedstack.databases.pgvector.columns import APPROXIMATE, VectorColumn, is_vector, vectors_of
from embedstack.databases.pgvector.connecting import Connection
from embedstack.databases.pgvector.ids import KINDS, Ids
from embedstack.databases.pgvector.known import (
    ALIAS,
    INDEX,
    SIGNED,
    TABLE,
    KnownIndex,
    KnownTable,
    read,
)
from embedstack.errors import Mismatch, Unsupported

OWN = {"id": "bytea", "id_number": "int8", "id_uuid": "uuid", "payload": "jsonb"}  # columns of a table made here


@dataclass(frozen=True, slots=True)
class Source:
    """Where payloads come from."""

    alias: str  # of the table in statements: "t", or "p" of one beside it
    columns: Mapping[str, str] | None  # name -> type of a table of somebody's own; None: the column `payload`


@dataclass(frozen=True, slots=True)
class Parent:
    """The table of somebody's own whose rows the points are about."""

    schema: str
    name: str
    own_name: str
    key: str  # its primary key


@dataclass(frozen=True, slots=True)
class Table:
    """What a collection is here."""

    found: Found
    extension: Extension
    ids: Ids
    vectors: Mapping[str, VectorColumn]  # by the field's name
    source: Source
    parent: Parent | None = None
    indexes: Mapping[str, Index] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.found.own_name

    @property
    def is_own(self) -> bool:
        """It was made here, with a column for payloads."""
        return self.source.columns is None

    @property
    def is_collection(self) -> bool:
        """Any other is a table of somebody's that could become one."""
        return bool(self.vectors) or self.is_own or self.parent is not None

    @property
    def schema(self) -> str:
        """Of pgvector's types and operators."""
        return self.extension.schema

    @property
    def collection(self) -> Collection:
        """Without the number of points."""
        broken = [index for index in self.found.indexes if index.method in APPROXIMATE and not index.is_valid]
        return Collection(
            name=self.name,
            fields={name: column.field for name, column in self.vectors.items()},
            indexes=self.indexes,
            loaded=read(self.found.comment, SIGNED, Loaded, f"table {self.name!r}"),
            status="failed" if broken else "ready",
            keeps_payload=self.is_own,
            keeps_indexes=self.is_own,
        )

    def column(self, name: str) -> VectorColumn:
        """Raises Mismatch where there is no such field."""
        if name in self.vectors:
            return self.vectors[name]
        has = ", ".join(repr(one) for one in sorted(self.vectors)) or "none"
        raise Mismatch(f"collection {self.name!r} has no vector {name!r}; it has: {has}")


# ------------------------------------------------------------------------------------------------ by name


def table_of(connection: Connection, name: str) -> Table:
    """Of a collection or an alias.

    Raises:
        UnknownCollection: there is none.
    """
    found = find_table(connection, name)
    if found is None or not found.is_collection:
        raise unknown(name, names_of(connection))
    return found


def find_table(connection: Connection, name: str, *, origins: bool = False) -> Table | None:
    """Also one that has no vectors yet; None where there is no table that could have some, and no alias of one.

    Raises:
        Unsupported: the table has no primary key by which points could be found.
    """
    vector = extension(connection)
    found = resolved(connection, find(connection, name, origins=origins), origins=origins)
    if vector is None or found is None or not found.is_table:
        return None
    if _primary_key(found) is None and not _has_vectors(found, vector):
        return None
    return read_table(connection, found, vector)


def resolved(connection: Connection, found: Found | None, *, origins: bool = False) -> Found | None:
    """What an alias stands for, and anything else as it is."""
    if found is None or not is_alias(found) or found.shows is None:
        return found
    return find_number(connection, found.shows, origins=origins)


def is_alias(found: Found) -> bool:
    """A view that was made here."""
    return found.kind == "v" and any(line.startswith(f"{ALIAS}: ") for line in (found.comment or "").split("\n"))


def names_of(connection: Connection) -> list[str]:
    """Of all collections."""
    vector = extension(connection)
    if vector is None:
        return []
    tables = (found for found in find_tables(connection) if _primary_key(found))
    return sorted(found.name for found in tables if _is_made(found) or _has_vectors(found, vector))


# ------------------------------------------------------------------------------------------------ from the catalog


def read_table(connection: Connection, found: Found, vector: Extension) -> Table:
    """All that statements about the table need."""
    key = _primary_key(found)
    if key is None:
        raise Unsupported(
            f"table {found.own_name!r} has no primary key of one column that is a bigint, an int, a uuid or a text; "
            "give it one, or load into another collection"
        )
    vectors = vectors_of(connection, found, vector)
    if _is_made(found):
        ids = Ids("both", "id", found.own_name)
        return Table(found, vector, ids, vectors, Source("t", None), indexes=_indexes(found))
    ids = Ids(KINDS[key.type], key.name, found.own_name)
    known = read(found.comment, TABLE, KnownTable, f"table {found.own_name!r}")
    beside = find_number(connection, found.parents.get(key.number, 0)) if known is not None and known.beside else None
    if beside is None:
        return Table(found, vector, ids, vectors, _source("t", found, vector))
    parent = _parent(beside)
    return Table(found, vector, ids, vectors, _source("p", beside, vector), parent)


def _is_made(found: Found) -> bool:
    """Here, with payloads: its columns tell, also where a dump went without comments."""
    return OWN.items() <= {(column.name, column.type) for column in found.columns}


def _has_vectors(found: Found, vector: Extension) -> bool:
    return any(is_vector(column, vector) for column in found.columns)


def _parent(found: Found) -> Parent | None:
    key = _primary_key(found)
    return Parent(found.schema, found.name, found.own_name, key.name) if key else None


def _source(alias: str, found: Found, vector: Extension) -> Source:
    key = _primary_key(found)
    others = (column for column in found.columns if column != key and not is_vector(column, vector))
    return Source(alias, {column.name: column.type for column in others})


def _primary_key(found: Found) -> FoundColumn | None:
    numbers = [index.columns for index in found.indexes if index.is_primary and len(index.columns) == 1]
    for column in found.columns:
        if [column.number] in numbers and (column.type in KINDS or _is_made(found)):
            return column
    return None


def _indexes(found: Found) -> dict[str, Index]:
    """Those over payloads that can be used."""
    known = [
        read(index.comment, INDEX, KnownIndex, f"index {index.name!r}") for index in found.indexes if index.is_valid
    ]
    return {one.key: Index(kind=one.kind, is_tenant=one.is_tenant) for one in known if one is not None}
