"""A new collection and the rows that go into it become a collection whose vectors are indexed once all are there."""

from functools import partial
from typing import Protocol, runtime_checkable

from embedstack.databases.database import Database
from embedstack.loading.retrying import Retrying


@runtime_checkable
class IndexedLater(Protocol):
    """What a database can do beside, where an index over vectors that are there is built quicker than it grows.

    A collection without its index answers, but reads everything; the next `Database.create` makes what is missing.
    """

    def postpone(self, name: str) -> bool:
        """Take the indexes over vectors away from a collection without points; whether there were any."""
        ...

    def index(self, name: str) -> None:
        """Make those that are missing, however long it takes."""
        ...


def postponed(database: Database, name: str, retry: Retrying) -> bool:
    """Whether the collection, which is empty, has no index over its vectors now and is to get it at the end."""
    return isinstance(database, IndexedLater) and retry(partial(database.postpone, name))


def index(database: Database, name: str, retry: Retrying) -> None:
    """Of one that was postponed; nothing where it is there."""
    if isinstance(database, IndexedLater):
        retry(partial(database.index, name))
