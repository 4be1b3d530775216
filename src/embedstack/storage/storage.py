"""What every storage can do: keys with bytes below one URL, and a record that only one can create."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from embedstack.errors import BadRequest


class Missing(BadRequest):
    """There is nothing under that key."""

    status = 404
    code = "missing"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing says of one key."""

    key: str  # below the storage's URL, parts separated by /, no leading /
    size: int  # bytes
    version: str  # changes whenever the bytes do: an ETag, or a file's size and time
    modified_s: float  # since 1970, by the storage's clock


class Storage(Protocol):
    """Keys below one URL. Calls block (run them in threads) and may be made from several threads.

    Errors: `BadRequest` for what is no key; `Missing` where a key is not there; `ConfigError` for a full disk, missing
    rights, a wrong bucket; `Upstream` for a store that fails after it was tried again; `Unsupported` from `put_new` of
    a store that knows no such request. No message holds a secret.
    """

    url: str  # file:///..., s3://bucket/prefix, gs://bucket/prefix; never with a secret

    def get(self, key: str) -> bytes:
        """All of it."""
        ...

    def open(self, key: str) -> BinaryIO:
        """To read and seek; of a bucket only what is read is fetched. The caller closes it."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """All or nothing; what was there before is replaced."""
        ...

    def put_new(self, key: str, data: bytes) -> bool:
        """All or nothing, and only if nothing is there; whether this call created it."""
        ...

    def put_file(self, key: str, path: Path) -> None:
        """A file of this machine, which is gone from `path` afterwards; all or nothing. Large ones go in parts."""
        ...

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        """What begins with `prefix` and comes behind `after`, ordered by the bytes of the keys.

        Unfinished writes are not in it.
        """
        ...

    def entry(self, key: str) -> Entry | None:
        """What a listing would say of it; None if it is not there."""
        ...

    def delete(self, key: str) -> None:
        """What is not there is no error."""
        ...
