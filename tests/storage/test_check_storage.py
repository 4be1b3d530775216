"""The check itself: a storage that breaks one promise is told so."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Entry
from embedstack.testing.check_storage import check_storage


class Forgets(LocalStorage):
    def get(self, key: str) -> bytes:
        return super().get(key)[:-1]


class Overwrites(LocalStorage):
    def put_new(self, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True


class LooksFirst(LocalStorage):
    def put_new(self, key: str, data: bytes) -> bool:
        if self.entry(key) is not None:
            return False
        self.put(key, data)
        return True


class Jumbles(LocalStorage):
    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        return iter(sorted(super().list(prefix, after), key=lambda entry: entry.key.replace("/", "")))


class IgnoresPlace(LocalStorage):
    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        return super().list(prefix)


class TakesFolders(LocalStorage):
    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        return super().list(prefix.rpartition("/")[0], after)


class OneVersion(LocalStorage):
    def entry(self, key: str) -> Entry | None:
        found = super().entry(key)
        return found and replace(found, version="1")


class Keeps(LocalStorage):
    def put_file(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())


class Climbs(LocalStorage):
    def _path(self, key: str) -> Path:
        return self.root / "inside" / (key.replace("\0", "").replace("\udc80", "").strip("/") or "one")


class SaysNothing(LocalStorage):
    def get(self, key: str) -> bytes:
        return super().get(key) if self.entry(key) else b""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (Forgets, "do not come back as they were put"),
        (Overwrites, "put_new replaces what is there"),
        (LooksFirst, "writers created one key"),
        (Jumbles, "list('', '') gives"),
        (IgnoresPlace, "list('', 'a.') gives"),
        (TakesFolders, "list('a', '') gives"),
        (OneVersion, "the version stays though the bytes changed"),
        (Keeps, "is still there after put_file"),
        (Climbs, "put takes the key '../a'"),
        (SaysNothing, "get of 'nothing', which is not there, does not raise Missing"),
    ],
)
def test_a_broken_promise_is_found(kind: type[LocalStorage], broken: str, tmp_path: Path) -> None:
    found = check_storage(kind(tmp_path / "out"), large=1 << 10)

    assert any(broken in line for line in found), found
