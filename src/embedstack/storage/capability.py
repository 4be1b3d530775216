"""A storage becomes whether one of two writers can be refused there, found out by a real double create."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from embedstack.errors import Unsupported
from embedstack.storage.storage import Entry, Storage


def creates_once(storage: Storage) -> bool:
    """Whether the second create of one key is refused and leaves the first as it was.

    Leaves nothing behind. A store that passes may still let two creates through that come at the same instant:
    a documented promise of the store is needed for that.
    """
    key = f"_probe/{uuid.uuid4().hex}"
    try:
        first = storage.put_new(key, b"first")
        second = storage.put_new(key, b"second")
        return first and not second and storage.get(key) == b"first"
    except Unsupported:
        return False
    finally:
        storage.delete(key)


class SingleWriter:
    """A storage for one writer at a time: create looks first and then writes, which two writers may do at once.

    Args:
        storage: one that cannot create once.
    """

    def __init__(self, storage: Storage) -> None:
        self.url = storage.url
        self._storage = storage

    def get(self, key: str) -> bytes:
        return self._storage.get(key)

    def open(self, key: str) -> BinaryIO:
        return self._storage.open(key)

    def put(self, key: str, data: bytes) -> None:
        self._storage.put(key, data)

    def put_new(self, key: str, data: bytes) -> bool:
        if self._storage.entry(key) is not None:
            return False
        self._storage.put(key, data)
        return True

    def put_file(self, key: str, path: Path) -> None:
        self._storage.put_file(key, path)

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        return self._storage.list(prefix, after)

    def entry(self, key: str) -> Entry | None:
        return self._storage.entry(key)

    def delete(self, key: str) -> None:
        self._storage.delete(key)
