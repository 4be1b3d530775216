"""The tables of a database and of each collection and field in it, as SQL; which version they are of."""

import sqlite3

from embedstack.errors import ConfigError

APPLICATION = 0x656D6264  # "embd", by which the file is known as one of ours
VERSION = 1
PAGE = 8192  # bytes; 100,000 points of 384 numbers and 600 letters: 276 MB of 4096 bytes, 232 of these, 226 of 16384

SCHEMA = (
    # `loaded` is the JSON of a mark; numbers are never used again, as tables are named by them
    "CREATE TABLE collections (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, loaded TEXT)",
    # `kept` is the JSON of a field without its origin; `version` is drawn anew with each change of its vectors
    """CREATE TABLE fields (
        number INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL, name TEXT NOT NULL,
        kept TEXT NOT NULL, origin TEXT, version INTEGER NOT NULL, UNIQUE (collection, name))""",
    "CREATE TABLE aliases (name TEXT PRIMARY KEY, collection INTEGER NOT NULL)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
POINTS = "CREATE TABLE points# (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, payload TEXT NOT NULL)"
VECTORS = "CREATE TABLE vectors# (point INTEGER PRIMARY KEY, vector BLOB NOT NULL)"


def numbered(sql: str, number: int) -> str:
    """SQL about the table of one collection (`points#`) or one field (`vectors#`)."""
    return sql.replace("#", str(number))


def make(connection: sqlite3.Connection) -> None:
    """The tables of a database that has none yet; whoever calls holds a transaction for writing."""
    if not has_tables(connection):
        for statement in SCHEMA:
            connection.execute(statement)


def has_tables(connection: sqlite3.Connection) -> bool:
    """Whether there is anything in it yet.

    Raises:
        ConfigError: something is, and it is not ours, or of a later version.
    """
    version = _number(connection, "PRAGMA user_version")
    if version == 0 and _number(connection, "SELECT count(*) FROM sqlite_master") == 0:
        return False
    if _number(connection, "PRAGMA application_id") != APPLICATION:
        raise ConfigError(f"database {_file(connection)!r} is one of another program; take another folder")
    check_version(connection)
    return True


def check_version(connection: sqlite3.Connection) -> None:
    """Nothing newer has made or changed the tables.

    Raises:
        ConfigError: something has.
    """
    version = _number(connection, "PRAGMA user_version")
    if version > VERSION:
        raise ConfigError(
            f"database {_file(connection)!r} has tables of version {version}, and this embedstack knows those up to "
            f"{VERSION}; run: pip install --upgrade embedstack"
        )


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])


def _file(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA database_list").fetchone()[2])
