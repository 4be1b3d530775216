"""Finished rows kept by fingerprint and content, the least recently used dropped first."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock

from embedstack.types import Floats, Vectors


@dataclass(frozen=True, slots=True)
class Counts:
    """What a cache holds, and how often it was asked."""

    hits: int = 0
    misses: int = 0
    entries: int = 0
    size_bytes: int = 0


class Cache:
    """At most `limit_bytes` of rows; 0 keeps nothing. Safe from several threads.

    A key holds the fingerprint and a digest of the token ids, so that two models, two precisions or two prompts can
    never answer for each other.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._size = limit_bytes, 0
        self._hits = self._misses = 0
        self._rows: OrderedDict[Hashable, Vectors] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> Vectors | None:
        """The rows of one item."""
        with self._lock:
            if key not in self._rows:
                self._misses += 1
                return None
            self._hits += 1
            self._rows.move_to_end(key)
            return self._rows[key]

    def counts(self) -> Counts:
        """Since it was made."""
        with self._lock:
            return Counts(self._hits, self._misses, len(self._rows), self._size)

    def clear(self) -> bool:
        """Forget all rows; whether there were any."""
        with self._lock:
            had_rows = bool(self._rows)
            self._rows.clear()
            self._size = 0
            return had_rows

    def put(self, key: Hashable, rows: Vectors) -> None:
        """Keep the rows of one item, unless they are larger than the whole cache."""
        size = _size(rows)
        if size > self._limit:
            return
        with self._lock:
            if key in self._rows:
                self._size -= _size(self._rows.pop(key))
            self._rows[key] = {name: _frozen(row) for name, row in rows.items()}
            self._size += size
            while self._size > self._limit:
                self._size -= _size(self._rows.popitem(last=False)[1])


def _frozen(row: Floats) -> Floats:
    """A copy, not a view that would hold its whole batch; nobody who gets it can change it."""
    kept: Floats = row.copy()
    kept.flags.writeable = False
    return kept


def _size(rows: Vectors) -> int:
    return sum(row.nbytes for row in rows.values()) + 600  # and about this much for the key and the entry
