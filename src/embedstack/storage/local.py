"""Keys become files below one folder; each write is whole or not there, also after a kill or a power cut."""

import contextlib
import errno
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from embedstack.errors import BadRequest, ConfigError
from embedstack.storage.keys import checked, folder_of
from embedstack.storage.storage import Entry, Missing

PARTIAL = re.compile(r"\..+\.[0-9a-f]{32}\.partial", re.DOTALL)  # a file that is being written
BLOCK = 1 << 20  # bytes copied at a time from another disk
Folder = tuple[int, int]  # its device and number

STAYS = "run again afterwards, what was finished stays"
ADVICE = {
    errno.ENOSPC: f"make room on that disk; {STAYS}",
    errno.EDQUOT: f"this user's quota is used up, raise it or make room; {STAYS}",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f) or take another file system",
    errno.EACCES: "give this user the right to it, or take another folder",
    errno.EPERM: "give this user the right to it, or take another folder",
    errno.EROFS: "it is mounted read-only; take another folder",
    errno.ENOTDIR: "a file stands where a folder is needed; take another folder",
    errno.EEXIST: "a file stands where a folder is needed; take another folder",
    errno.ENOENT: f"something else removed it meanwhile; {STAYS}",
    errno.EISDIR: "a folder stands where a file is needed; take another folder",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENAMETOOLONG: "take shorter names",
    errno.ELOOP: "its links lead in a circle; remove one of them",
}
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK})
CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF})
NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalStorage:
    """A folder of this machine, or of a network file system that knows hard links.

    Args:
        root: made with the first write where it is not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.url = self.root.as_uri()

    def get(self, key: str) -> bytes:
        with self.open(key) as file, _read(key, self.url):
            return file.read()

    def open(self, key: str) -> BinaryIO:
        path = self._path(key)
        with _read(key, self.url):
            return path.open("rb")

    def put(self, key: str, data: bytes) -> None:
        target = self._path(key)
        with _written(target), _partial(target) as partial:
            _write(partial, data)
            partial.replace(target)
            _sync_folder(target.parent)

    def put_new(self, key: str, data: bytes) -> bool:
        target = self._path(key)
        with _written(target), _partial(target) as partial:
            _write(partial, data)
            created = _link(partial, target)
            _sync_folder(target.parent)  # also of a link that somebody else made: whoever loses to it relies on it
            return created

    def put_file(self, key: str, path: Path) -> None:
        target = self._path(key)
        with _written(path), path.open("rb") as file:
            os.fsync(file.fileno())
        with _written(target):
            _make_folder(target.parent)
            is_moved = _move(path, target)
            if not is_moved:
                _copy(path, target)
            _sync_folder(target.parent)
            if not is_moved:
                path.unlink()

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        def is_wanted(key: str) -> bool:
            return _may_hold(key, prefix, after) if key.endswith("/") else key.startswith(prefix) and key > after

        folder = folder_of(prefix)
        return self._below(f"{folder}/" if folder else "", is_wanted, lambda _: None)

    def list_wanted(self, is_wanted: Callable[[str], bool], no_file: Callable[[str], None]) -> Iterator[Entry]:
        """As `list`, of what is wanted; nothing else is looked at.

        Args:
            is_wanted: asked with each key, and with each folder's and a / behind it.
            no_file: told of what is wanted and is no file: links to nothing, pipes, sockets.
        """
        return self._below("", is_wanted, no_file)

    def entry(self, key: str) -> Entry | None:
        return _entry(self._path(key), key)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _written(path), contextlib.suppress(*NOT_THERE):
            path.unlink()
            _sync_folder(path.parent)  # a commit that was withdrawn must not come back

    def sweep(self, before_s: float, *, dry_run: bool = False) -> Sequence[Entry]:
        """Delete what killed writers left unfinished, which no listing shows.

        Args:
            before_s: only what was last written before, by the clock of the storage.
            dry_run: only name it.
        """
        found = [entry for entry in self._unfinished() if entry.modified_s < before_s]
        for entry in () if dry_run else found:
            with _written(self.root / entry.key):
                (self.root / entry.key).unlink(missing_ok=True)
        return found

    def _path(self, key: str) -> Path:
        path = self.root / checked(key)
        if PARTIAL.fullmatch(path.name):
            raise BadRequest(f"key {key!r} is named as an unfinished file, which no listing shows; take another name")
        return path

    def _below(self, folder: str, is_wanted: Callable[[str], bool], no_file: Callable[[str], None]) -> Iterator[Entry]:
        """Of a folder, which is "" or ends in /, the names are in memory, and of those that it stands in."""
        above: list[tuple[Folder | None, Iterator[str]]] = [self._keys(folder, is_wanted, ())]
        while above:
            key = next(above[-1][1], "")
            if not key:
                above.pop()
            elif key.endswith("/"):
                above.append(self._keys(key, is_wanted, [number for number, _ in above]))
            elif entry := _entry(self.root / key, key):
                yield entry
            else:
                no_file(key)

    def _keys(
        self, folder: str, is_wanted: Callable[[str], bool], above: Sequence[Folder | None]
    ) -> tuple[Folder | None, Iterator[str]]:
        """Which folder it is, and what is wanted of it, by the bytes of the names; none where it is gone."""
        path = self.root / folder
        here = _number(path)
        if here and here in above:
            raise ConfigError(f"folder {str(path)!r} is a link to one that holds it; remove the link")
        keys = [key for name in _names(path) if is_wanted(key := folder + name)] if here else []
        try:
            return here, iter(sorted(keys, key=str.encode))
        except UnicodeEncodeError as error:
            raise ConfigError(f"a name in {str(path)!r} is not UTF-8: {error.object!r}; rename it") from error

    def _unfinished(self) -> Iterator[Entry]:
        for folder, _, names in os.walk(self.root):
            for name in filter(PARTIAL.fullmatch, names):
                path = Path(folder, name)
                if entry := _entry(path, path.relative_to(self.root).as_posix()):
                    yield entry


# ------------------------------------------------------------------------------------------------ writing


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """Where to write what becomes `target`: beside it, so that it can take its place at once; gone afterwards."""
    _make_folder(target.parent)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
    finally:
        with contextlib.suppress(OSError):  # what cannot be deleted now is swept later, and must not hide the error
            partial.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _move(path: Path, target: Path) -> bool:
    """Whether it could be done: not from another disk."""
    try:
        path.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _copy(path: Path, target: Path) -> None:
    with _partial(target) as partial:
        with path.open("rb") as source, partial.open("xb") as file:
            shutil.copyfileobj(source, file, BLOCK)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)


def _link(partial: Path, target: Path) -> bool:
    """Give the finished file its name, if nobody has it: creating it exclusively would show it half written."""
    try:
        os.link(partial, target)
    except FileExistsError as error:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target)) from error
        # NFS says so too where its first answer was lost; then the file has both names.
        # https://man7.org/linux/man-pages/man2/open.2.html, O_EXCL
        return partial.stat().st_nlink > 1
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        raise ConfigError(
            f"the file system of {str(target.parent)!r} has no hard links ({error.strerror}), without which two "
            "writers cannot be told apart; write to another disk or to a bucket"
        ) from error
    return True


def _make_folder(folder: Path) -> None:
    """Each new folder's name is on the disk before anything is written into it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """A file's name is on the disk once its folder is."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:  # some file systems write names at once and refuse this
            raise
    finally:
        os.close(number)


# ------------------------------------------------------------------------------------------------ looking


def _names(folder: Path) -> Sequence[str]:
    """Of folders with a / at the end: so, sorted, the keys below a folder stand where its name does."""
    try:
        with os.scandir(folder) as found:
            return [f"{one.name}/" if _is_folder(one) else one.name for one in found if not PARTIAL.fullmatch(one.name)]
    except FileNotFoundError:
        return ()  # deleted meanwhile
    except OSError as error:
        raise _failed(folder, "listed", error) from error


def _is_folder(found: "os.DirEntry[str]") -> bool:
    try:
        return found.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False  # a link that leads to itself, so to nothing


def _may_hold(folder: str, prefix: str, after: str) -> bool:
    """Whether a key below it may begin with `prefix` and come behind `after`."""
    is_near = folder.startswith(prefix) or prefix.startswith(folder)
    return is_near and (folder > after or after.startswith(folder))


def _entry(path: Path, key: str) -> Entry | None:
    found = _stat(path)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    return Entry(key, found.st_size, f"{found.st_size:x}-{found.st_mtime_ns:x}", found.st_mtime)


def _number(folder: Path) -> Folder | None:
    found = _stat(folder)
    return (found.st_dev, found.st_ino) if found else None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise _failed(path, "looked at", error) from error


# ------------------------------------------------------------------------------------------------ errors


@contextlib.contextmanager
def _read(key: str, url: str) -> Iterator[None]:
    try:
        yield
    except NOT_THERE as error:
        raise Missing(f"{key!r} is not in {url}; look at what is there") from error
    except OSError as error:
        raise _failed(Path(error.filename or key), "read", error) from error


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed(path, "written", error) from error


def _failed(path: Path, verb: str, error: OSError) -> ConfigError:
    advice = ADVICE.get(error.errno or 0, f"look after that file system; {STAYS}")
    return ConfigError(f"{str(path)!r} cannot be {verb} ({error.strerror or error}); {advice}")
