"""A storage with nothing in it becomes a list of broken promises: what every storage must do."""

import contextlib
import io
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from embedstack.errors import BadRequest, EmbedstackError
from embedstack.storage.storage import Missing, Storage

NOT_KEYS = ("", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/./b", "a\0b", "a\udc80b")
NAMES = (
    "a-b/c", "a.txt", "a/b", "a/b-/c", "a/b.c", "a/c/d", "a/c0", "a0", "b c%20#?+&=.json", "é", "\uffee", "\U0001f600"
)  # fmt: skip
"""Where folders, UTF-16, or the escaping of URLs make another order or another name."""
BETWEEN = ("", "a", "a.", "a/", "a/b", "a/b/", "a/bb", "a/c/d", "a/c/z/z", "a0", "z", "\U0001f600")
PREFIXES = ("", "a", "a/", "a/..b", "a/b", "a/b-/", "a/c", "a0", "b c%20", "\U0001f600", "no/such", "zz")
LARGE = 17 << 20  # bytes: parts for whoever uploads in parts
WRITERS, ROUNDS = 8, 4


def check_storage(storage: Storage, *, together: bool = True, large: int = LARGE) -> list[str]:
    """Write, read, list and delete; what it made is deleted at the end. An empty list is a pass.

    Args:
        storage: nothing may be in it.
        together: also let writers create one key at the same instant: not of stand-ins that do not lock.
        large: bytes of the largest file.
    """
    parts: list[Callable[[Storage], Iterator[str]]] = [_holds, _replaces, _misses, _refuses, _creates, _reads, _lists]
    if together:
        parts.append(_creates_one_of_many)
    broken: list[str] = []
    for part in parts:
        with _emptied(storage):
            broken += part(storage)
    with _emptied(storage):
        broken += _takes_files(storage, large)
    return broken


def _holds(storage: Storage) -> Iterator[str]:
    for data in (b"", b"x", bytes(range(256)) * 300):
        storage.put("folder/one", data)
        if storage.get("folder/one") != data:
            yield f"{len(data)} bytes do not come back as they were put"
        found = storage.entry("folder/one")
        if found is None or found.size != len(data):
            yield f"the entry of {len(data)} bytes says {found}"
    for key in NAMES[-4:]:
        storage.put(key, key.encode())
        if storage.get(key) != key.encode():
            yield f"key {key!r} does not give what was put there"


def _replaces(storage: Storage) -> Iterator[str]:
    storage.put("one", b"before")
    before = storage.entry("one")
    if before != storage.entry("one"):
        yield "an entry changes where nothing was written"
    storage.put("one", b"and after")
    after = storage.entry("one")
    if storage.get("one") != b"and after":
        yield "a second put does not replace the first"
    if before is None or after is None:
        yield "there is no entry of what was put"
    elif before.version == after.version:
        yield "the version stays though the bytes changed"
    elif not 1e9 < before.modified_s <= after.modified_s:
        yield f"modified_s goes from {before.modified_s} to {after.modified_s}, it must be seconds since 1970"


def _misses(storage: Storage) -> Iterator[str]:
    storage.put("there/is/one", b"1")
    for key in ("nothing", "there", "there/is", "there/is/one/more"):
        for name, call in (("get", storage.get), ("open", storage.open)):
            if not _raises(Missing, call, key):
                yield f"{name} of {key!r}, which is not there, does not raise Missing"
        if storage.entry(key) is not None:
            yield f"{key!r} is not there and has an entry"
    storage.delete("nothing")
    storage.delete("there/is/one")
    if storage.entry("there/is/one") is not None or [*storage.list()]:
        yield "what was deleted is still there"


def _refuses(storage: Storage) -> Iterator[str]:
    for key in NOT_KEYS:
        calls: dict[str, Callable[[str], object]] = {
            "get": storage.get,
            "put": lambda key: storage.put(key, b"1"),
            "put_new": lambda key: storage.put_new(key, b"1"),
            "entry": storage.entry,
            "delete": storage.delete,
        }
        for name, call in calls.items():
            if not _raises(BadRequest, call, key):
                yield f"{name} takes the key {key!r}"


def _creates(storage: Storage) -> Iterator[str]:
    if storage.put_new("new/one", b"first") is not True:
        yield "put_new of a key that is not there does not say that it created it"
    for data in (b"first", b"second"):
        if storage.put_new("new/one", data) is not False:
            yield "put_new of a key that is there does not say so"
    if storage.get("new/one") != b"first":
        yield "put_new replaces what is there"
    storage.delete("new/one")
    if not storage.put_new("new/one", b"third") or storage.get("new/one") != b"third":
        yield "put_new does not create what was deleted before"


def _creates_one_of_many(storage: Storage) -> Iterator[str]:
    names = [bytes([65 + number]) * 1000 for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as writers:
        for key in (f"many/{number}" for number in range(ROUNDS)):
            start = threading.Barrier(WRITERS)
            write = partial(_write_with_others, storage, start, key)
            won = [name for name, created in zip(names, writers.map(write, names), strict=True) if created]
            if len(won) != 1:
                yield f"{len(won)} of {WRITERS} writers created one key"
            elif storage.get(key) != won[0]:
                yield "the bytes of another writer stand where one created"


def _write_with_others(storage: Storage, start: threading.Barrier, key: str, name: bytes) -> bool:
    start.wait()
    return storage.put_new(key, name)


def _reads(storage: Storage) -> Iterator[str]:
    data = b"".join(b"line %d\n" % number for number in range(20_000))
    storage.put("one", data)
    storage.put("nothing", b"")
    with storage.open("nothing") as file:
        if file.read() != b"":
            yield "an empty file is not read as one"
    with storage.open("one") as file:
        first = (file.read(5), file.tell(), file.read())
        if first != (data[:5], 5, data[5:]):
            yield "reading on from a part does not give the rest"
        for offset, whence, place in ((7, io.SEEK_SET, 7), (3, io.SEEK_CUR, 10), (-9, io.SEEK_END, len(data) - 9)):
            if file.seek(offset, whence) != place or file.read(4) != data[place : place + 4]:
                yield f"seek({offset}, {whence}) does not lead to {place}"
            file.seek(place)
        if file.seek(5, io.SEEK_END) != len(data) + 5 or file.read(1) != b"":
            yield "behind the end something is read"
        file.seek(0)
        if [*file] != data.splitlines(keepends=True):
            yield "its lines are not those of the bytes"


def _lists(storage: Storage) -> Iterator[str]:
    if [*storage.list()]:
        yield "a storage with nothing in it lists something"
    for key in reversed(NAMES):
        storage.put(key, key.encode())
    keys = sorted(NAMES, key=str.encode)
    for prefix in PREFIXES:
        for after in BETWEEN:
            wanted = [key for key in keys if key.startswith(prefix) and key > after]
            found = [entry.key for entry in storage.list(prefix, after)]
            if found != wanted:
                yield f"list({prefix!r}, {after!r}) gives {found}, it must be {wanted}"
    for entry in storage.list():
        if entry != storage.entry(entry.key):
            yield f"a listing says {entry} and entry() says {storage.entry(entry.key)}"


def _takes_files(storage: Storage, large: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        for size in (0, 1000, large):
            data = np.arange(size // 8, dtype="<i8").tobytes()
            path.write_bytes(data)
            storage.put_file("files/one", path)
            if path.exists():
                yield f"a file of {size} bytes is still there after put_file"
            if storage.get("files/one") != data:
                yield f"a file of {size} bytes does not come back as it was put"
            with storage.open("files/one") as file:
                file.seek(size // 2)
                if file.read(100) != data[size // 2 : size // 2 + 100]:
                    yield f"the middle of a file of {size} bytes is not what was put there"
                file.seek(0)
                if b"".join(iter(partial(file.read, 100_000), b"")) != data:
                    yield f"a file of {size} bytes, read in pieces, is not what was put"


def _raises(wanted: type[EmbedstackError], call: Callable[[str], object], key: str) -> bool:
    try:
        made = call(key)
    except wanted:
        return True
    except EmbedstackError:
        return False
    with contextlib.suppress(AttributeError):
        made.close()  # type: ignore[attr-defined]
    return False


@contextlib.contextmanager
def _emptied(storage: Storage) -> Iterator[None]:
    try:
        yield
    finally:
        for entry in [*storage.list()]:
            storage.delete(entry.key)
