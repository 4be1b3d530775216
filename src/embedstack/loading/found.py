"""A path, URL or pattern that a user named -> a job's folder, or the files there, all of one form."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from embedstack.documents.document import Packed
from embedstack.documents.forms import form_of
from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.jobs.layout import MANIFEST, PLAN
from embedstack.storage.local import LocalStorage
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Entry, Missing, Storage

T = TypeVar("T")
FileForm = Literal["jsonl", "parquet"]
KNOWN = ".parquet, and .jsonl or .ndjson, also with .gz or .zst behind"
PATTERN = frozenset("*?[")
AGAIN = "load it again from its beginning"


@dataclass(frozen=True, slots=True)
class JobFolder:
    """Where a job is, finished or not."""

    storage: Storage


@dataclass(frozen=True, slots=True)
class Files:
    """Some files, which must stay as they were when they were found."""

    storage: Storage
    entries: tuple[Entry, ...]  # ordered by the bytes of their keys
    form: FileForm
    label: str

    def open(self, entry: Entry) -> BinaryIO:
        """To read and seek; the caller closes it.

        Raises:
            Mismatch: it is gone, or was written to.
        """
        self.check(entry)
        try:
            return self.storage.open(entry.key)
        except Missing as error:
            raise self._gone(entry) from error

    def check(self, entry: Entry) -> None:
        """Raises: Mismatch: it is gone, or was written to."""
        now = self.storage.entry(entry.key)
        if now is None:
            raise self._gone(entry)
        if (now.size, now.version) != (entry.size, entry.version):
            raise Mismatch(f"{entry.key!r} in {self.storage.url} was written to while it was loaded; {AGAIN}")

    def _gone(self, entry: Entry) -> Mismatch:
        return Mismatch(f"{entry.key!r} in {self.storage.url} is gone since it was found; put it back, or {AGAIN}")


def find(named: str) -> JobFolder | Files:
    """What is there.

    Names that begin with a dot or an underline are left out, as all readers of tables do.

    Raises:
        ConfigError: nothing is there, or nothing of a form that is known. BadRequest: files of two forms, or several
            jobs.
    """
    path = _local(named)
    return _find_locally(path) if path is not None else _find_remotely(named)


def packing_of(key: str) -> Packed:
    """How a file is packed, by its name."""
    found = form_of(key, None)
    return found[1] if found else ""


def held(items: Iterable[T], check: Callable[[], None]) -> Iterator[T]:
    """The same, of which the last one is given when all were had and the check has passed."""
    kept: list[T] = []
    for item in items:
        yield from kept
        kept = [item]
    check()
    yield from kept


def spread(count: int, most: int) -> list[int]:
    """At most so many numbers below `count`, rising and evenly far from each other."""
    return sorted({number * count // most for number in range(most)}) if count > most else list(range(count))


def _find_locally(path: Path) -> JobFolder | Files:
    if path.is_dir():
        return _in_folder(open_storage(path))
    if path.is_file():
        return _alone(open_storage(path.parent), path.name)
    if PATTERN & set(path.name) and path.parent.is_dir():
        return _matching(open_storage(path.parent), path.name)
    raise ConfigError(
        f"{str(path)!r} is not there; name a finished job, a file, a folder of files, or a pattern such as '*.jsonl'"
    )


def _find_remotely(named: str) -> JobFolder | Files:
    """An object where there is one of that name; else everything below. In a bucket only a look can tell them apart."""
    above, _, name = named.rstrip("/").rpartition("/")
    if "://" not in above or named.endswith("/"):
        return _in_folder(open_storage(named))
    storage = open_storage(above)
    if storage.entry(name) is not None:
        return _alone(storage, name)
    return _matching(storage, name) if PATTERN & set(name) else _in_folder(open_storage(named))


def _in_folder(storage: Storage) -> JobFolder | Files:
    if storage.entry(PLAN) is not None or storage.entry(MANIFEST) is not None:
        return JobFolder(storage)
    return _files(storage, storage.list(), storage.url)


def _matching(storage: Storage, pattern: str) -> Files:
    """Of one folder; those below it are not looked at, where they need not be."""

    def is_meant(key: str) -> bool:  # of folders with a / at the end
        return "/" not in key and fnmatchcase(key, pattern)

    if isinstance(storage, LocalStorage):
        entries = storage.list_wanted(is_meant, lambda _: None)
    else:
        entries = (one for one in storage.list() if is_meant(one.key))
    return _files(storage, entries, f"{storage.url.rstrip('/')}/{pattern}")


def _alone(storage: Storage, name: str) -> Files:
    """A file that was named by itself may be called as it likes."""
    entry, form = storage.entry(name), _form(name)
    label = f"{storage.url.rstrip('/')}/{name}"
    if entry is None or form is None:
        raise ConfigError(f"what {label} holds cannot be told by its name; known are {KNOWN}")
    return Files(storage, (entry,), form, label)


def _files(storage: Storage, listed: Iterable[Entry], label: str) -> Files:
    found: dict[FileForm, list[Entry]] = {"parquet": [], "jsonl": []}
    for entry in listed:
        above, _, name = entry.key.rpartition("/")
        if name == MANIFEST:
            raise BadRequest(f"in {label} are jobs, such as {above!r}; name one of them")
        form = _form(name)
        if form is not None and not _is_hidden(entry.key):
            found[form].append(entry)
    forms = [form for form, entries in found.items() if entries]
    if not forms:
        raise ConfigError(f"in {label} is nothing that can be loaded; known are finished jobs, and files: {KNOWN}")
    if len(forms) > 1:
        raise BadRequest(
            f"in {label} are Parquet files, such as {found['parquet'][0].key!r}, and JSON lines, such as "
            f"{found['jsonl'][0].key!r}; name those of one kind with a pattern such as '*.parquet'"
        )
    return Files(storage, tuple(found[forms[0]]), forms[0], label)


def _form(name: str) -> FileForm | None:
    match form_of(name, None):
        case (("jsonl" | "parquet") as form, _):
            return form
        case _:
            return None


def _is_hidden(key: str) -> bool:
    return any(part.startswith((".", "_")) for part in key.split("/"))


def _local(named: str) -> Path | None:
    """A path, or None for the URL of a bucket."""
    if "://" not in named:
        return Path(named)
    return Path(url2pathname(urlsplit(named).path)) if named.startswith("file://") else None
