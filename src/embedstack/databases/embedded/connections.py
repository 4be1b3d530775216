"""The file of a database becomes connections, each lent to one thread for one transaction, and errors of ours."""

import contextlib
import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from embedstack.databases.embedded.damage import RESTORE
from embedstack.databases.embedded.schema import PAGE, check_version, has_tables, make
from embedstack.databases.embedded.where import part
from embedstack.errors import BadRequest, ConfigError, EmbedstackError, Upstream

FILE = "vectors.db"
WAIT_S = 10.0
AGAIN_S = 0.01  # until the switch to a log is tried again, for which SQLite does not wait by itself
MOST_IDLE = 8  # connections, each with a cache of 2 MB

Identity = tuple[int, int]  # of a file: its device and number

STAYS = "run again afterwards, what was finished stays"
ADVICE = {
    "database or disk is full": f"make room on that disk; {STAYS}",
    "file is not a database": f"it is damaged, or never was one; {RESTORE}",
    "malformed": f"it is damaged; {RESTORE}",
    "readonly": "give this user the right to write there, or take another folder",
    "unable to open": "give this user the right to write there, or take another folder",
    os.strerror(errno.EACCES): "give this user the right to it, or take another folder",
    os.strerror(errno.EROFS): "it is mounted read-only; take another folder",
    os.strerror(errno.ENOSPC): f"make room on that disk; {STAYS}",
    os.strerror(errno.ENOTDIR): "a file stands where a folder is needed; take another folder",
    os.strerror(errno.EEXIST): "a file stands where a folder is needed; take another folder",
}
"""By a part of what SQLite says (sqlite3_errstr, whose codes Python 3.10 does not tell), or the system."""


class Connections:
    """To one file, which is made by `making` alone; before that all that is read is empty.

    Every transaction sees the database as it was at one instant. One writer at a time, in all processes; readers wait
    for nobody. A file that is replaced meanwhile is noticed.

    Args:
        folder: on a disk of this machine: the log beside the file needs memory that processes share.
        wait_s: for what another writer holds.
    """

    def __init__(self, folder: Path, *, wait_s: float = WAIT_S) -> None:
        self.path = folder / FILE
        self._wait_s = wait_s
        self._idle: list[sqlite3.Connection] = []
        self._identity: Identity | None = None  # of the file that the idle ones are of
        self._lock = threading.Lock()  # of both
        self._writing = threading.Lock()  # SQLite's own waits are longer than most transactions
        self._is_closed = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What is written meanwhile is not seen."""
        with self._told(), self._lent() as connection, _transaction(connection, "BEGIN"):
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All that is done becomes durable at the end, or after an error nothing of it."""
        with self._told(), self._alone(), self._lent() as connection, _transaction(connection, "BEGIN IMMEDIATE"):
            yield connection

    @contextlib.contextmanager
    def making(self) -> Iterator[sqlite3.Connection]:
        """As `writing`; the folder and the file are made where they are not there."""
        if not self._has_tables():
            with self._told(), self._alone():
                _make_folder(self.path.parent)
                _make_file(self.path, self._wait_s)
        with self.writing() as connection:
            yield connection

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._forget()

    def _has_tables(self) -> bool:
        with self.reading() as connection:
            return not _is_empty(connection)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._writing.acquire(timeout=self._wait_s):
            raise self._busy()
        try:
            yield
        finally:
            self._writing.release()

    @contextlib.contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        """One that nobody else has; after an error that is not ours it is thrown away."""
        identity = _identity(self.path)
        connection = self._taken(identity) or _opened(self.path, self._wait_s)
        try:
            yield connection
        except EmbedstackError:
            self._give_back(connection, identity)
            raise
        except BaseException:
            connection.close()
            raise
        self._give_back(connection, identity)

    def _taken(self, identity: Identity | None) -> sqlite3.Connection | None:
        """An idle one; none of another file, whose number is not used again as long as they hold it."""
        with self._lock:
            if self._is_closed:
                raise BadRequest(f"database {str(self.path.parent)!r} is closed; open it again")
            if identity != self._identity:
                self._forget()
                self._identity = identity
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: sqlite3.Connection, identity: Identity | None) -> None:
        with self._lock:
            is_wanted = identity == self._identity and not self._is_closed and not _is_empty(connection)
            if is_wanted and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _forget(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # we called it wrongly
        except sqlite3.Error as error:
            raise self._failed(str(error)) from error
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error

    def _failed(self, message: str) -> EmbedstackError:
        if "is locked" in message:
            return self._busy()
        advice = next((advice for words, advice in ADVICE.items() if words in message), "look after it and its disk")
        return ConfigError(f"database {str(self.path)!r} cannot be used ({message}); {advice}")

    def _busy(self) -> Upstream:
        held = f"database {str(self.path)!r} was held by another writer for {self._wait_s:g} s"
        return Upstream(f"{held}; try again later", retry=True)


# ------------------------------------------------------------------------------------------------ opening


def _opened(path: Path, wait_s: float) -> sqlite3.Connection:
    """Where there is nothing yet, one to an empty database in memory, to which nothing is ever written."""
    if _identity(path) is not None:
        connection = _connected(f"{path.as_uri()}?mode=rw", wait_s)
        with _closed_on_error(connection):
            if has_tables(connection):
                connection.execute("PRAGMA synchronous = FULL")
                return connection
        connection.close()
    return _empty()


def _empty() -> sqlite3.Connection:
    connection = _connected("file::memory:", 0.0)
    with _closed_on_error(connection):
        make(connection)
    return connection


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not connection.execute("PRAGMA database_list").fetchone()[2]


def _connected(uri: str, wait_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False)
    with _closed_on_error(connection):
        connection.create_function("part", 2, part, deterministic=True)
    return connection


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _make_file(path: Path, wait_s: float) -> None:
    """Of several at once one makes the tables; a kill in between leaves a file that counts as not there."""
    connection = _connected(f"{path.as_uri()}?mode=rwc", wait_s)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA synchronous = FULL")
        _keep_log(connection, path, wait_s)
        with _transaction(connection, "BEGIN IMMEDIATE"):
            make(connection)
    finally:
        connection.close()


def _keep_log(connection: sqlite3.Connection, path: Path, wait_s: float) -> None:
    """Writers append to a log, so that nobody waits for them; this stays with the file."""
    until = time.monotonic() + wait_s
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)
    if mode != "wal":
        raise ConfigError(
            f"the file system of {str(path)!r} has no memory that processes share, which its log needs; "
            "take a folder on a disk of this machine"
        )


def _make_folder(folder: Path) -> None:
    """Each new folder's name is on the disk before anything is written into it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        number = os.open(folder.parent, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _identity(path: Path) -> Identity | None:
    """None where nothing is."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


# ------------------------------------------------------------------------------------------------ transactions


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        check_version(connection)
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
