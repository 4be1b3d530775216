"""An object with `list_files` and `download` -> entries and their bytes: any store of an application can be read."""

import inspect
import io
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar, runtime_checkable

from embedstack.documents.given import NoFile, Wanted
from embedstack.errors import ConfigError, EmbedstackError, Upstream
from embedstack.storage.storage import Entry

T = TypeVar("T")


@runtime_checkable
class Files(Protocol):
    """The `StorageInterface` of source system E, as much of it as is read. Its functions are plain, not async."""

    @property
    def list_files(self) -> Callable[..., Iterable[object]]:
        """Names, or pairs of a name and a size in bytes; a prefix may be an argument."""
        ...

    @property
    def download(self) -> Callable[[str], object]:
        """Bytes, a text, or a `Path` of a file on this machine. A `str` is the text itself, never a path."""
        ...


class Handed:
    """Such an object as an input. Its list is in memory, and each file while it is open, unless a path is given."""

    url = "object"
    is_file = False
    may_hide = False  # names are as the application has them: ./a.md, /home/me/.data/a.md

    def __init__(self, files: Files) -> None:
        self._files = files

    def listed(self, is_wanted: Wanted, no_file: NoFile) -> Iterator[Entry]:
        """In the order of the names. Without a size there is no version, so no change of a file is noticed."""
        entries = sorted(map(_entry, self._names()), key=lambda entry: entry.key)
        for one, other in pairwise(entries):
            if one.key == other.key:
                raise ConfigError(f"list_files names {one.key!r} twice; each file must have one name")
        yield from (entry for entry in entries if is_wanted(entry.key))

    def open(self, key: str) -> BinaryIO:
        """Downloads it."""
        match _asked(lambda: self._files.download(key), f"download({key!r})"):
            case bytes() | bytearray() | memoryview() as data:
                return io.BytesIO(data)
            case str() as text:
                return io.BytesIO(text.encode())
            case os.PathLike() as path:
                return _open(Path(path), key)
            case other:
                raise ConfigError(f"download({key!r}) gave {type(other).__name__}; it must give bytes, a str or a Path")

    def is_still(self, key: str, version: str) -> bool:
        """Nobody can tell."""
        return True

    def _names(self) -> Iterable[object]:
        arguments = [""] if _needs_prefix(self._files.list_files) else []
        names = _asked(lambda: self._files.list_files(*arguments), "list_files")
        return _asked(lambda: list(names), "list_files")


def _asked(call: Callable[[], T], name: str) -> T:
    try:
        answer = call()
    except EmbedstackError:
        raise
    except Exception as error:  # whatever a stranger's code raises; its text may hold what nobody shall see
        raise Upstream(f"{name} failed with {type(error).__name__}; look into that storage, then run again") from error
    if isinstance(answer, Awaitable):
        if inspect.iscoroutine(answer):
            answer.close()
        raise ConfigError(f"{name} is async; give an object whose functions are plain")
    return answer


def _needs_prefix(call: Callable[..., object]) -> bool:
    needed = [one for one in inspect.signature(call).parameters.values() if one.default is one.empty]
    return any(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in needed)


def _entry(listed: object) -> Entry:
    match listed:
        case str() | os.PathLike():
            return Entry(os.fspath(listed), 0, "", 0.0)
        case (str() | os.PathLike() as name, int() as size):
            return Entry(os.fspath(name), size, f"{size:x}", 0.0)
        case _:
            raise ConfigError(
                f"list_files names a {type(listed).__name__}; it must name strings, or pairs of name and size"
            )


def _open(path: Path, key: str) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigError(f"download({key!r}) gave a path that cannot be opened: {error.strerror}") from error
