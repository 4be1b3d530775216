"""What a database writes about its collections, their fields, origins, marks and aliases, within a transaction."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from embedstack.databases.checks import check_field_name, check_name, unknown
from embedstack.databases.database import Collection, Field, Loaded
from embedstack.databases.embedded.damage import damaged
from embedstack.databases.embedded.schema import POINTS, VECTORS, numbered
from embedstack.errors import BadRequest, Mismatch
from embedstack.origin import Origin

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Kept:
    """A collection, and where it is kept."""

    collection: Collection  # with no count of its points
    number: int  # of its table of points
    fields: Mapping[str, int]  # by name, the number of the table of vectors
    versions: Mapping[str, int]  # by name; another one with each change


def names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM collections ORDER BY name")]


def aliases(connection: sqlite3.Connection) -> dict[str, str]:
    """Alias to collection."""
    rows = "SELECT aliases.name, collections.name FROM aliases JOIN collections ON collection = number ORDER BY 1"
    return dict(connection.execute(rows).fetchall())


def kept(connection: sqlite3.Connection, name: str) -> Kept | None:
    """A collection by its name or an alias; None where there is neither.

    Raises:
        Mismatch: what is written about it cannot be read.
    """
    found = connection.execute(
        "SELECT number, name, loaded FROM collections "
        "WHERE name = :name OR number = (SELECT collection FROM aliases WHERE name = :name)",
        {"name": name},
    ).fetchone()
    if found is None:
        return None
    number, own, loaded = found
    rows = connection.execute(
        "SELECT name, number, version, kept, origin FROM fields WHERE collection = ? ORDER BY number", (number,)
    ).fetchall()
    fields = {field: _field(own, field, text, origin) for field, _, _, text, origin in rows}
    mark = _read(loaded, Loaded, f"the mark of collection {own!r}") if loaded is not None else None
    return Kept(
        Collection(name=own, fields=fields, loaded=mark, keeps_indexes=False),
        number,
        {field: table for field, table, *_ in rows},
        {field: version for field, _, version, *_ in rows},
    )


def tables(connection: sqlite3.Connection) -> set[int]:
    """Numbers of the tables of vectors, of all collections."""
    return {number for (number,) in connection.execute("SELECT number FROM fields")}


def needed(connection: sqlite3.Connection, name: str) -> Kept:
    """As `kept`.

    Raises:
        UnknownCollection: there is none.
    """
    found = kept(connection, name)
    if found is None:
        raise unknown(name, names(connection))
    return found


def check_wanted(wanted: Collection) -> None:
    """Such a collection can be made.

    Raises:
        BadRequest: not with this name, or with a field of this name, width or distance.
    """
    check_name(wanted.name)
    for name, field in wanted.fields.items():
        check_field_name(name)
        if (field.kind == "sparse") != (field.dim == 0) or field.dim < 0:
            width = "0" if field.kind == "sparse" else "at least 1"
            raise BadRequest(f"vector {name!r} is {field.kind} and {field.dim} wide; give a dim of {width}")
        if field.distance not in DISTANCES[field.kind]:
            allowed = " or ".join(DISTANCES[field.kind])
            raise BadRequest(f"vector {name!r} is {field.kind}, with distance {field.distance!r}; give {allowed}")
        if field.idf and field.kind != "sparse":
            raise BadRequest(f"vector {name!r} is {field.kind} and has no terms to be rare; leave idf away")


def check_fields(found: Kept, wanted: Sequence[str]) -> None:
    """The collection has them.

    Raises:
        Mismatch: it has not.
    """
    for name in wanted:
        if name not in found.fields:
            has = ", ".join(repr(one) for one in sorted(found.fields)) or "none"
            raise Mismatch(f"collection {found.collection.name!r} has no vector {name!r}; it has: {has}")


DISTANCES = {"dense": ("cosine", "dot", "l2"), "multi": ("cosine", "dot"), "sparse": ("dot",)}


# ------------------------------------------------------------------------------------------------ writing


def add(connection: sqlite3.Connection, wanted: Collection) -> None:
    """A collection that is not there, with all its fields."""
    number = _insert(connection, "INSERT INTO collections (name) VALUES (?)", (wanted.name,))
    connection.execute(numbered(POINTS, number))
    add_fields(connection, number, wanted.fields)


def add_fields(connection: sqlite3.Connection, collection: int, fields: Mapping[str, Field]) -> None:
    for name, field in fields.items():
        text = msgspec.json.encode(replace(field, origin=None)).decode()
        number = _insert(
            connection,
            "INSERT INTO fields (collection, name, kept, origin, version) VALUES (?, ?, ?, ?, random())",
            (collection, name, text, _text(field.origin)),
        )
        connection.execute(numbered(VECTORS, number))


def remove(connection: sqlite3.Connection, found: Kept) -> None:
    """The room of what is dropped is used again; the file grows no smaller."""
    for number in found.fields.values():
        connection.execute(numbered("DROP TABLE vectors#", number))
    connection.execute(numbered("DROP TABLE points#", found.number))
    for statement in (
        "DELETE FROM fields WHERE collection = ?",
        "DELETE FROM aliases WHERE collection = ?",
        "DELETE FROM collections WHERE number = ?",
    ):
        connection.execute(statement, (found.number,))


def sign(connection: sqlite3.Connection, table: int, origin: Origin) -> None:
    connection.execute("UPDATE fields SET origin = ? WHERE number = ?", (_text(origin), table))


def mark(connection: sqlite3.Connection, collection: int, loaded: Loaded | None) -> None:
    connection.execute("UPDATE collections SET loaded = ? WHERE number = ?", (_text(loaded), collection))


def touch(connection: sqlite3.Connection, tables: Iterable[int]) -> None:
    """Say that vectors of these fields changed, to all who keep them in memory.

    A version is drawn, not counted: so it says so too of a file that was restored, or made again.
    """
    connection.executemany("UPDATE fields SET version = random() WHERE number = ?", [(table,) for table in tables])


def switch(connection: sqlite3.Connection, alias: str, new: str, old: str | None) -> None:
    """As `Database.switch`."""
    check_name(alias, "alias")
    if alias in names(connection):
        raise BadRequest(f"{alias!r} is a collection's name; take another for the alias")
    there = aliases(connection)
    target = needed(connection, new)
    wanted = there.get(old, old) if old is not None else None
    if there.get(alias) != wanted:
        raise Mismatch(f"alias {alias!r} stands for {there.get(alias)!r}, and {wanted!r} was expected; look again")
    connection.execute("INSERT OR REPLACE INTO aliases (name, collection) VALUES (?, ?)", (alias, target.number))


# ------------------------------------------------------------------------------------------------ rows


def _insert(connection: sqlite3.Connection, sql: str, values: tuple[str | int | None, ...]) -> int:
    number = connection.execute(sql, values).lastrowid
    assert number is not None
    return number


def _text(value: msgspec.Struct | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _field(collection: str, name: str, text: str, origin: str | None) -> Field:
    place = f"vector {name!r} of collection {collection!r}"
    try:
        field = msgspec.json.decode(text, type=Field)
    except msgspec.MsgspecError as error:
        raise damaged(f"what is written about {place} cannot be read ({error})") from error
    if origin is None:
        return field
    return replace(field, origin=_read(origin, Origin, f"the origin of {place}"))


def _read(text: str, kind: type[Read], what: str) -> Read:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise Mismatch(f"{what} cannot be read ({error}); use the embedstack that wrote it, or a newer one") from error
