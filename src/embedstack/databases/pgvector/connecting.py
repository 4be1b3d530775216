"""An address becomes connections, each lent to one thread for one transaction, and thrown away once it is broken."""

import contextlib
import selectors
import threading
from collections.abc import Iterator
from typing import TypeAlias

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format, TransactionStatus
from psycopg.rows import TupleRow

from embedstack.databases.pgvector.address import Address
from embedstack.databases.pgvector.failures import connecting, mapped
from embedstack.errors import BadRequest

Connection: TypeAlias = psycopg.Connection[TupleRow]

MOST_IDLE = 8  # connections: as many as streams of a load
# told for each transaction, because a pooler such as PgBouncer may give each of them another session
READING = "BEGIN; SET LOCAL lock_timeout = {:d}"  # milliseconds
WRITING = (
    f"{READING}; SELECT set_config('synchronous_commit', 'on', true) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)


class Packed(bytes):
    """A value in PostgreSQL's binary format, whose type the statement tells."""


class _PackedDumper(Dumper):
    format = Format.BINARY
    oid = 0  # as what it is cast to

    def dump(self, obj: bytes) -> bytes:
        return obj


class Connections:
    """To one database. None is made before the first is needed.

    What is committed is on the server's disk, whatever its settings say.

    Args:
        wait_s: at most so long a lock is waited for.
    """

    def __init__(self, address: Address, wait_s: float) -> None:
        self.wait_s = wait_s
        self._address = address
        self._idle: list[Connection] = []
        self._lock = threading.Lock()  # of both
        self._is_closed = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction; nothing in it is meant to stay."""
        with self._transaction(READING) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """All that is done becomes durable at the end, or after an error nothing of it."""
        with self._transaction(WRITING) as connection:
            yield connection

    @contextlib.contextmanager
    def alone(self) -> Iterator[Connection]:
        """Each statement is a transaction, however long it takes. The session ends with it, and so do its locks."""
        with mapped(self._address.url), self._connected() as connection:
            connection.execute(f"SET lock_timeout = {self.wait_s * 1000:.0f}; SET statement_timeout = 0".encode())
            yield connection

    def close(self) -> None:
        """Twice is once. Those that are lent end when they come back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with mapped(self._address.url), self._lent() as connection:
            connection.execute(begin.format(int(self.wait_s * 1000)).encode())
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(psycopg.Error):  # of a connection that is gone
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _lent(self) -> Iterator[Connection]:
        """One that nobody else has."""
        connection = self._taken() or self._made()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def _taken(self) -> Connection | None:
        while True:
            with self._lock:
                if self._is_closed:
                    raise BadRequest(f"database {self._address.url} is closed; open it again")
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _is_ended(connection):
                return connection
            connection.close()

    def _made(self) -> Connection:
        with connecting(self._address.url):
            made = psycopg.connect(self._address.conninfo, autocommit=True, prepare_threshold=None)
        made.adapters.register_dumper(Packed, _PackedDumper)
        return made

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        connection = self._made()
        try:
            yield connection
        finally:
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        is_sound = connection.pgconn.transaction_status == TransactionStatus.IDLE
        with self._lock:
            if is_sound and not self._is_closed and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()


def _is_ended(connection: Connection) -> bool:
    """The server has said something to a connection that asked nothing: goodbye, where it was stopped meanwhile."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))
