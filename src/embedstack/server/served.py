"""The setting `collections` becomes the collections that callers may ask, each looked at again every 5 s at most."""

import asyncio
import time
from collections.abc import Callable, Mapping
from threading import Semaphore

from embedstack.catalog.catalog import entry_of
from embedstack.databases.bound import RECHECK_S
from embedstack.databases.database import Collection, Database, UnknownCollection
from embedstack.databases.opening import open_database
from embedstack.dialects.wire import Misfit, shortened
from embedstack.errors import ConfigError, NotReady
from embedstack.modelspec import ModelSpec
from embedstack.server.fenced import AGAIN_S, THREADS, Fenced, fence
from embedstack.server.wanted import Wanted, parse_collections
from embedstack.settings import Settings

AT_ONCE = 32  # searches in one database; more wait, and each keeps the payloads that it looks through in memory
LOOK_S = 5.0  # for one look; a database that is there takes milliseconds
HIDES = "collection {!r} of --collections has the name of a model; give it another: NAME=DATABASE#COLLECTION"


class Served:
    """One collection. For one event loop.

    Args:
        turns: of all searches in its database.
        clock: seconds that never go back.
    """

    def __init__(
        self, wanted: Wanted, fenced: Fenced, turns: asyncio.Semaphore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.turns = turns
        self.name = wanted.name
        self.there = wanted.collection  # as its database calls it: its own name, or an alias
        self.fenced = fenced
        self._clock = clock
        self._seen: tuple[float, Collection] | None = None  # when it was looked at, and what was there
        self._looking: asyncio.Task[Collection] | None = None

    async def recent(self) -> Collection:
        """As it was 5 s ago at most; of several that ask at once one looks.

        Raises:
            UnknownCollection: there is none. NotReady, Upstream: the database is away, or cannot be asked.
        """
        if self._seen is not None and self._clock() < self._seen[0] + RECHECK_S:
            return self._seen[1]
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self.look())
            self._looking.add_done_callback(_heard)
        return await asyncio.shield(self._looking)  # who leaves ends it for nobody else

    async def look(self) -> Collection:
        """As it is now; raises as `recent`."""
        now = self._clock()
        try:
            found = await asyncio.wait_for(asyncio.to_thread(self.fenced.describe, self.there), LOOK_S)
        except asyncio.TimeoutError as error:
            raise NotReady(f"{self.fenced.url} did not answer within {LOOK_S:.0f} s; ask again", AGAIN_S) from error
        if found is None:
            raise self.fenced.gone()
        if self._seen is None or self._seen[0] <= now:  # or who began later has seen what is newer
            self._seen = now, found
        return found


class Collections:
    """All that are served, by name."""

    def __init__(self, served: Mapping[str, Served], databases: Mapping[str, Database]) -> None:
        self._served, self._databases = served, databases

    @classmethod
    def of(cls, settings: Settings, clock: Callable[[], float] = time.monotonic) -> "Collections":
        """Those of the settings; nothing is asked of a database yet, and what two share is opened once.

        Raises:
            ConfigError: an entry is none or has a model's name, or a package that its database needs is not there.
        """
        databases: dict[str, Database] = {}
        turns: dict[str, tuple[Semaphore, asyncio.Semaphore]] = {}
        served: dict[str, Served] = {}
        for wanted in parse_collections(settings.collections):
            if entry_of(wanted.name) is not None:  # one of the catalog may come at any time
                raise ConfigError(HIDES.format(wanted.name))
            if wanted.database not in databases:
                databases[wanted.database] = _opened(wanted, settings)
                turns[wanted.database] = Semaphore(THREADS), asyncio.Semaphore(AT_ONCE)
            of_threads, of_searches = turns[wanted.database]
            fenced = fence(databases[wanted.database], wanted.name, of_threads)
            served[wanted.name] = Served(wanted, fenced, of_searches, clock)
        return cls(served, databases)

    def __len__(self) -> int:
        return len(self._served)

    def __contains__(self, name: object) -> bool:
        return name in self._served

    @property
    def every(self) -> tuple[Served, ...]:
        """In the order of the setting."""
        return tuple(self._served.values())

    @property
    def threads(self) -> int:
        """That may wait for databases at once."""
        return THREADS * len(self._databases)

    def named(self, name: str | None) -> Served:
        """The one that a caller names, or the only one.

        Raises:
            UnknownCollection: there is none of that name, or none at all. Misfit: one must be named.
        """
        if not self._served:
            raise UnknownCollection("no collection is served here; start the server with one: --collections")
        if name is None and len(self._served) > 1:
            raise Misfit(f"several collections are served; name one of: {', '.join(self._served)}", "collection")
        if name is not None and name not in self._served:
            served = ", ".join(self._served)
            raise UnknownCollection(f"collection {shortened(name)!r} is not served here; served: {served}")
        return self.every[0] if name is None else self._served[name]

    def check(self, find: Callable[[str], ModelSpec | None]) -> None:
        """
        Args:
            find: a model that is served, by any of its names.
        Raises:
            ConfigError: a collection has one of these names, so that nobody could ask for the model.
        """
        for name in self._served:
            if find(name) is not None:
                raise ConfigError(HIDES.format(name))

    def close(self) -> None:
        """Close the databases."""
        for database in self._databases.values():
            database.close()


def _opened(wanted: Wanted, settings: Settings) -> Database:
    try:
        return open_database(wanted.database, api_key=settings.qdrant_api_key)
    except ConfigError as error:
        raise ConfigError(f"collection {wanted.name!r} of --collections cannot be served: {error.message}") from error


def _heard(task: "asyncio.Task[Collection]") -> None:
    """An error that nobody waits for any more is no event for the log."""
    if not task.cancelled():
        task.exception()
