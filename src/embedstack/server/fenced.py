"""A database becomes one that callers from the network may ask: only read, by few threads, and it says little."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Semaphore
from typing import NoReturn, TypeVar

from embedstack.databases.database import (
    Collection,
    Database,
    Fused,
    Fusing,
    Hit,
    Loaded,
    Page,
    Point,
    PointId,
    Points,
    Query,
    UnknownCollection,
    Where,
)
from embedstack.errors import BadRequest, ConfigError, NotReady, Overloaded, Unsupported, Upstream
from embedstack.origin import Origin
from embedstack.server.logs import log, quoted

THREADS = 64  # that one database may keep waiting, also for callers who left; so one that hangs holds up nobody else
SOON_S = 1.0  # within which a failure costs so little that the same is asked once more
AGAIN_S = 5.0  # until it is worth asking a database again that was away
Answer = TypeVar("Answer")


def fence(database: Database, name: str, turns: Semaphore) -> "Fenced":
    """The database as callers may ask it; see there."""
    return (FencedFusing if isinstance(database, Fusing) else Fenced)(database, name, turns)


class Fenced:
    """Satisfies `Database`. What a failure says of addresses, users and other collections goes to the log alone.

    Args:
        name: that callers use for the collection.
        turns: of all that ask this database.
        seen: the collection as it is described to who asks for it by its own name; None asks the database.
    """

    def __init__(self, database: Database, name: str, turns: Semaphore, seen: Collection | None = None) -> None:
        self.url = f"the database of {name!r}"
        self._database, self._name, self._turns, self._seen = database, name, turns, seen

    def over(self, seen: Collection) -> "Fenced":
        """The same for one request, in which the collection stays as it was seen."""
        return type(self)(self._database, self._name, self._turns, seen)

    def describe(self, name: str) -> Collection | None:
        if self._seen is not None and name == self._seen.name:
            return self._seen
        return self._asked(lambda: self._database.describe(name))

    def query(self, name: str, query: Query) -> list[Hit]:
        return self._asked(lambda: self._database.query(name, query))

    def get(self, name: str, ids: Sequence[PointId], *, vectors: Sequence[str] = ()) -> list[Point]:
        return self._asked(lambda: self._database.get(name, ids, vectors=vectors))

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
        return self._asked(
            lambda: self._database.read(name, after=after, limit=limit, vectors=vectors, payload=payload, where=where)
        )

    def names(self) -> list[str]:
        """Of others nothing is said."""
        return [] if self._seen is None else [self._seen.name]

    def aliases(self) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        """It is closed by who opened it."""

    # ------------------------------------------------------------------ what is not done here

    def create(self, wanted: Collection) -> bool:
        self._refuse()

    def sign(self, name: str, field: str, origin: Origin, *, over: Origin | None) -> Origin:
        self._refuse()

    def mark(self, name: str, loaded: Loaded | None) -> None:
        self._refuse()

    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        self._refuse()

    def delete(self, name: str, ids: Sequence[PointId]) -> None:
        self._refuse()

    def switch(self, alias: str, new: str, *, old: str | None) -> None:
        self._refuse()

    def drop(self, name: str) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Unsupported(f"collection {self._name!r} is only read here; change it with embedstack index or load")

    # ------------------------------------------------------------------ what is told

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """What it says; asked twice where the connection broke at once, as one does that a server took for idle."""
        with self._turn():
            began = time.monotonic()
            try:
                return ask()
            except Upstream as error:
                if not error.retry or time.monotonic() - began > SOON_S:
                    raise
            return ask()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """
        Raises:
            Overloaded: too many wait for this database. NotReady: it is away. Upstream: it fails, or may not be used.
            UnknownCollection, BadRequest, Mismatch: as it said, without its address.
        """
        if not self._turns.acquire(blocking=False):
            raise Overloaded(f"{THREADS} questions wait for {self.url} already; ask again")
        try:
            yield
        except UnknownCollection as error:
            raise self.gone() from error
        except BadRequest as error:
            error.args = (error.message.replace(self._database.url, self.url), *error.args[1:])
            raise
        except (Upstream, ConfigError) as error:
            log.warning("event=database_failed collection=%s reason=%s", quoted(self._name), quoted(error.message))
            if error.retry:
                raise NotReady(f"{self.url} does not answer; ask again in {AGAIN_S:.0f} s", AGAIN_S) from error
            raise Upstream(f"{self.url} cannot be asked; the log of this server says why") from error
        finally:
            self._turns.release()

    def gone(self) -> UnknownCollection:
        """The error of a collection that is served and not there."""
        return UnknownCollection(f"collection {self._name!r} is not in its database at present; load it there")


class FencedFusing(Fenced):
    """Of a database that puts rankings together itself. Satisfies `Fusing`."""

    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        database = self._database
        assert isinstance(database, Fusing)
        return self._asked(lambda: database.fuse(name, asked))
