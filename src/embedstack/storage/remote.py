"""Keys become objects of an S3 or Google bucket below a prefix, through obstore; each write is whole or not there."""

import contextlib
import io
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import GCSStore, S3Store

from embedstack.errors import ConfigError, Mismatch, Upstream
from embedstack.storage.keys import checked, folder_of
from embedstack.storage.refusals import UNKNOWN_UPLOAD, code_of, mapped
from embedstack.storage.storage import Entry

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Store: TypeAlias = S3Store | GCSStore
Fetch: TypeAlias = "Callable[[int, int], bytes]"

BLOCK = 4 << 20  # bytes read at a time: at 80 MB/s as long as the 50 ms that a request waits for its first byte
PART = 8 << 20  # bytes of an upload's part; four are in memory at a time
PARTS_AT_ONCE = 4
MOST_PARTS = 10_000  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
PAGE = 1000  # keys: as many as a store lists at a time
# as obstore does it by itself: from 100 ms, doubled, to 15 s; here 50 s in all
WAITS_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0)
RETRY_TIMEOUT = timedelta(minutes=3)  # as obstore has it
# a part in 120 s is 70 kB/s; not given as client options, which would undo AWS_ALLOW_HTTP and all that is set like it
CLIENT = {"timeout": "120s", "connect_timeout": "10s"}
SINGLY = {"disable_bulk_delete": True}  # stores that are only like S3 may not know how to delete many


class RemoteStorage:
    """What stands in a bucket below a prefix.

    Args:
        url: scheme, bucket and prefix.
        store: tries again what failed on the way.
        once: the same bucket, trying nothing again: only so it is known whether a create was tried before.
        waits_s: before each further try to create.
    """

    def __init__(self, url: str, store: Store, once: Store, waits_s: Sequence[float] = WAITS_S) -> None:
        self.url = url
        self._prefix = url.partition("://")[2].partition("/")[2]
        self._store, self._once, self._waits_s = store, once, waits_s

    def get(self, key: str) -> bytes:
        with mapped(self.url, key):
            return bytes(obstore.get(self._store, self._full(key)).bytes())

    def open(self, key: str) -> BinaryIO:
        size, version, first = self._first(key)
        file = _Object(size, first, lambda start, stop: self._range(key, version, start, stop))
        return io.BufferedReader(file, max(1, min(size, BLOCK)))

    def put(self, key: str, data: bytes) -> None:
        with mapped(self.url):
            obstore.put(self._store, self._full(key), data, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)

    def put_new(self, key: str, data: bytes) -> bool:
        failure = Upstream(f"{key!r} of {self.url} is made and deleted again and again; run again later", retry=True)
        was_lost = False
        for wait_s in (0.0, *self._waits_s):
            time.sleep(wait_s)
            try:
                is_created = self._create(key, data)
            except Upstream as error:
                failure, was_lost = error, True  # it may have been created all the same
                continue
            # S3 refuses with 409 also where two writers met and neither is sure, or where it was deleted meanwhile
            if is_created or self.entry(key) is not None:
                return is_created or (was_lost and self.get(key) == data)
        raise failure

    def put_file(self, key: str, path: Path) -> None:
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ConfigError(f"{str(path)!r} cannot be read ({error.strerror}); run again") from error
        part = max(PART, -(-size // MOST_PARTS))
        with mapped(self.url):
            try:
                self._upload(key, path, part)
            except (BaseError, OSError) as error:
                if code_of(error) != UNKNOWN_UPLOAD:
                    raise
                if (there := self.entry(key)) is None or there.size != size:
                    self._upload(key, path, part)
        path.unlink(missing_ok=True)

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        return self._listed(folder_of(prefix), prefix, after)

    def entry(self, key: str) -> Entry | None:
        with mapped(self.url):
            try:
                found = obstore.head(self._store, self._full(key))
            except FileNotFoundError:
                return None
            return _entry(key, found)

    def delete(self, key: str) -> None:
        with mapped(self.url), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, self._full(key))

    def _upload(self, key: str, path: Path, part: int) -> None:
        obstore.put(self._store, self._full(key), path, chunk_size=part, max_concurrency=PARTS_AT_ONCE)

    def _full(self, key: str) -> str:
        return f"{self._prefix}/{checked(key)}" if self._prefix else checked(key)

    def _create(self, key: str, data: bytes) -> bool:
        with mapped(self.url):
            try:
                obstore.put(self._once, self._full(key), data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def _first(self, key: str) -> tuple[int, str, bytes]:
        """Size, ETag and first block, in one request."""
        with mapped(self.url, key):
            try:
                found = obstore.get(self._store, self._full(key), options={"range": (0, BLOCK)})
                return int(found.meta["size"]), str(found.meta["e_tag"] or ""), bytes(found.bytes())
            except BaseError:
                about = obstore.head(self._store, self._full(key))
                if about["size"]:
                    raise
                return 0, "", b""  # of nothing no range can be had

    def _range(self, key: str, version: str, start: int, stop: int) -> bytes:
        options: dict[str, object] = {"range": (start, stop)}
        if version and not version.startswith("W/"):
            options["if_match"] = version
        with mapped(self.url, key):
            try:
                data = bytes(obstore.get(self._store, self._full(key), options=options).bytes())
            except PreconditionError as error:
                raise Mismatch(f"{key!r} of {self.url} was replaced while it was read; start again") from error
        if len(data) != stop - start:
            raise Upstream(f"{key!r} of {self.url} ended after {start + len(data)} bytes; try again", retry=True)
        return data

    def _listed(self, folder: str, prefix: str, after: str) -> Iterator[Entry]:
        before = ""
        for found in self._pages(folder, _key_before(max(after, prefix[:-1]))):
            key = str(found["path"])[len(self._prefix) + 1 :] if self._prefix else str(found["path"])
            if key <= before:
                if not found["size"]:
                    continue  # what consoles make for a folder: KEY/, which obstore reads as KEY
                raise ConfigError(f"{self.url} lists {key!r} after {before!r}, out of order; use another bucket")
            before = key
            if key.startswith(prefix) and key > after:
                yield _entry(key, found)
            elif key > prefix and not key.startswith(prefix):
                return

    def _pages(self, folder: str, offset: str) -> Iterator[dict[str, object]]:
        where = "/".join(part for part in (self._prefix, folder) if part)
        behind = self._full(offset) if offset > folder else None
        with mapped(self.url):
            for page in obstore.list(self._store, where or None, offset=behind, chunk_size=PAGE):
                yield from page


class _Object(io.RawIOBase):
    """An object of a bucket as a file, read in ranges of one version of it."""

    def __init__(self, size: int, first: bytes, fetch: Fetch) -> None:
        self._size, self._first, self._fetch, self._at = size, first, fetch, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"place {start + offset} is before the beginning; seek to 0 or behind it")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        wanted = memoryview(buffer).cast("B")
        stop = min(self._at + len(wanted), self._size)
        if stop <= self._at:
            return 0
        data = self._first[self._at : stop] or self._fetch(self._at, stop)
        wanted[: len(data)] = data
        self._at += len(data)
        return len(data)


def open_remote(url: str, *, waits_s: Sequence[float] = WAITS_S) -> RemoteStorage:
    """A bucket with what the environment says of keys, region and endpoint: AWS_* or GOOGLE_*, read by obstore.

    Args:
        url: s3://bucket/prefix or gs://bucket/prefix, checked.
        waits_s: before each further try; none: everything is tried once.
    """
    with mapped(url):
        return RemoteStorage(url, _bucket(url, len(waits_s)), _bucket(url, 0), waits_s)


def _bucket(url: str, retries: int) -> Store:
    scheme, _, rest = url.partition("://")
    name, retry = rest.partition("/")[0], {"max_retries": retries, "retry_timeout": RETRY_TIMEOUT}
    if scheme == "gs":
        return GCSStore(name, config=CLIENT, retry_config=retry)
    return S3Store(name, config={**CLIENT, **SINGLY}, retry_config=retry)


def _key_before(place: str) -> str:
    """The place itself where it may be a key, else one that stands before it."""
    parts = itertools.takewhile(lambda part: part not in ("", ".", ".."), place.split("/"))
    return "/".join(parts)


def _entry(key: str, found: dict[str, object]) -> Entry:
    """Listings know fractions of a second and HEAD does not, so both go without; S3 quotes ETags, some do not."""
    changed = int(found["last_modified"].timestamp())  # type: ignore[attr-defined]
    size = int(found["size"])  # type: ignore[call-overload]
    return Entry(key, size, str(found["e_tag"] or f"{size:x}-{changed:x}").strip('"'), float(changed))
