"""A path or URL that a user named -> the folder or the file that it is, ready to be listed and opened."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from embedstack.documents.document import Form
from embedstack.documents.forms import all_endings, form_of
from embedstack.errors import ConfigError
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Entry, Missing, Storage

Opening = Callable[[str | Path], Storage]
Wanted = Callable[[str], bool]
NoFile = Callable[[str], None]


class Given(Protocol):
    """An input: a folder, a file, or an object of the application."""

    @property
    def url(self) -> str:
        """For messages, and to see which inputs overlap."""
        ...

    @property
    def is_file(self) -> bool:
        """Whether it is one file, whose key is empty."""
        ...

    @property
    def may_hide(self) -> bool:
        """Whether names that begin with a dot are of files that nobody means."""
        ...

    def listed(self, is_wanted: Wanted, no_file: NoFile) -> Iterator[Entry]:
        """Its files that are wanted, ordered by the bytes of their keys.

        Args:
            is_wanted: asked with each key; with a folder's too, and a / behind it, where they are walked.
            no_file: told of what is wanted and is no file.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Raises `Missing` where it is not there."""
        ...

    def is_still(self, key: str, version: str) -> bool:
        """Whether it is what a listing said; yes where asking would cost a request."""
        ...


class Folder:
    """All that is below a URL."""

    is_file = False
    may_hide = True

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.url = storage.url.rstrip("/")

    def listed(self, is_wanted: Wanted, no_file: NoFile) -> Iterator[Entry]:
        if isinstance(self._storage, LocalStorage):
            return self._storage.list_wanted(is_wanted, no_file)
        return (entry for entry in self._storage.list() if is_wanted(entry.key))

    def open(self, key: str) -> BinaryIO:
        return self._storage.open(key)

    def is_still(self, key: str, version: str) -> bool:
        return _is_still(self._storage, key, version)


class File:
    """One file, whatever stands beside it."""

    is_file = True
    may_hide = False

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self.name = name
        self.url = f"{storage.url.rstrip('/')}/{name}"

    def listed(self, is_wanted: Wanted, no_file: NoFile) -> Iterator[Entry]:
        entry = self._storage.entry(self.name)
        if entry is None:
            raise Missing(f"{self.url} is gone; name another input")
        yield Entry("", entry.size, entry.version, entry.modified_s)

    def open(self, key: str) -> BinaryIO:
        return self._storage.open(self.name)

    def is_still(self, key: str, version: str) -> bool:
        return _is_still(self._storage, self.name, version)


def input_of(named: str, form: Form | None, open_storage: Opening) -> Folder | File:
    """What it is, found out by looking.

    Raises:
        ConfigError: it is not there, or it is a file whose ending says nothing and `form` does not either.
    """
    path = _local(named)
    found = _named_locally(path, open_storage) if path else _named_remotely(named, open_storage)
    if isinstance(found, File) and form_of(found.name, form) is None:
        raise ConfigError(
            f"what {named!r} holds cannot be told by its name; known are {all_endings()}; or say it with --form"
        )
    return found


def _is_still(storage: Storage, key: str, version: str) -> bool:
    """A bucket's object cannot change while it is read: each range is asked for by the version of the first."""
    if not storage.url.startswith("file:"):
        return True
    entry = storage.entry(key)
    return entry is not None and entry.version == version


def _local(named: str) -> Path | None:
    """A path, or None for the URL of a bucket."""
    if "://" not in named:
        return Path(named)
    return Path(url2pathname(unquote(urlsplit(named).path))) if named.startswith("file://") else None


def _named_locally(path: Path, open_storage: Opening) -> Folder | File:
    if path.is_dir():
        return Folder(open_storage(path))
    if path.is_file():
        return File(open_storage(path.parent), path.name)
    state = "is neither a file nor a folder" if path.exists() else "is not there"
    raise ConfigError(f"input {str(path)!r} {state}; name a folder, a file, or the URL of a bucket")


def _named_remotely(named: str, open_storage: Opening) -> Folder | File:
    """An object where there is one of that name; else everything below. In a bucket only a look can tell them apart."""
    above, _, name = named.rstrip("/").rpartition("/")
    is_bucket = "://" not in above
    if not is_bucket and not named.endswith("/"):
        storage = open_storage(above)
        if storage.entry(name) is not None:
            return File(storage, name)
    return Folder(open_storage(named))
