"""A folder here where files lie between being written and being uploaded: bounded, and swept after a kill."""

import asyncio
import fcntl
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from embedstack.errors import ConfigError
from embedstack.storage.storage import Storage

MOST_BYTES = 4 << 30  # by default
OWN = "run-"
INDEX = "since-"  # of the indexes of jobs before, which several processes and the next run share
LOCK = ".lock"
OURS = re.compile(f"(?:{OWN}[0-9a-f]{{12}}|{INDEX}[0-9a-f]{{16}}-[0-9a-f]{{16}})")
"""Names that nobody else gives: a spool may be a folder in which other things lie, `run-2024` among them."""
LEFT_S = 24 * 3600.0  # after which an index that nobody has open is of a job that nobody goes on with


def default_folder(storage: Storage) -> Path:
    """On the disk of the table, where it is on one: then a file is moved there, not copied. Else this user's own."""
    parts = urlsplit(storage.url)
    if parts.scheme == "file":
        return Path(unquote(parts.path)) / "_spool"
    return _own_folder()


def _own_folder() -> Path:
    """This user's, where everybody may write."""
    return Path(tempfile.gettempdir()) / f"embedstack-spool-{os.getuid()}"


class Room:
    """So many bytes for all, on one event loop. Who asks first is served first; one that is larger than all goes alone.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self._most, self.held = most, 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def take(self, size: int) -> None:
        """Wait until there is room; whoever has it gives it back."""
        if not self._waiting and self._fits(size):
            self.held += size
            return
        mine = size, asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine[1]
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
            else:  # it was given the room in the moment that it was cancelled
                self.held -= size
            self._wake()
            raise

    def give(self, size: int) -> None:
        """Others may have it."""
        self.held -= size
        self._wake()

    def _fits(self, size: int) -> bool:
        return self.held == 0 or self.held + size <= self._most

    def _wake(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.pop(0)
            self.held += size
            if not turn.done():
                turn.set_result(None)


class Spool:
    """A folder of this process alone below one that several share; gone at the end.

    What a process that was killed left behind is deleted by the next one: the kernel lets go of its lock. So are
    indexes of jobs before that nobody has used for a day.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, above: Path, most: int = MOST_BYTES, clock: Callable[[], float] = time.time) -> None:
        self.above, self.room, self._clock = above, Room(most), clock
        self.folder = above / f"{OWN}{uuid.uuid4().hex[:12]}"
        self._lock = -1

    def __enter__(self) -> "Spool":
        with on_disk(self.above):
            _make(self.above)
            with _locked(self.above):  # so what is there and not locked was left by one that was killed
                _sweep(self.above, self._clock() - LEFT_S)
                self.folder.mkdir(0o700)
                self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def path(self, name: str) -> Path:
        """Of a file in it."""
        return self.folder / name


def held_open(index: Path) -> int | None:
    """A file to be kept open for as long as an index is used; None where there is no whole index."""
    with _locked(index.parent):
        try:
            file = os.open(index / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        fcntl.flock(file, fcntl.LOCK_SH)
        os.utime(index)
        return file


def _make(folder: Path) -> None:
    """Where everybody may write nobody else reads it, or has made it before.

    Raises:
        ConfigError: it belongs to somebody else.
    """
    is_own = folder == _own_folder()
    folder.mkdir(0o700 if is_own else 0o777, parents=True, exist_ok=True)
    if is_own and folder.stat(follow_symlinks=False).st_uid != os.getuid():
        raise ConfigError(f"the spool {str(folder)!r} is another user's; name another folder with --spool")


def _sweep(above: Path, before_s: float) -> None:
    for folder in above.glob(f"{OWN}*"):
        if OURS.fullmatch(folder.name) and _is_left(folder / LOCK):
            shutil.rmtree(folder, ignore_errors=True)
    for index in above.glob(f"{INDEX}*"):
        if OURS.fullmatch(index.name) and _is_older(index, before_s) and _is_left(index / LOCK):
            (index / LOCK).unlink(missing_ok=True)  # first: without it what is left of an index is not taken for one
            shutil.rmtree(index, ignore_errors=True)
            (above / f".{index.name}.lock").unlink(missing_ok=True)
    for partial in above.glob(f".{INDEX}*.partial"):
        if OURS.fullmatch(partial.name[1 : -len(".partial")]) and _is_older(partial, before_s):
            shutil.rmtree(partial, ignore_errors=True)


def _is_older(path: Path, before_s: float) -> bool:
    """Also where somebody else has just deleted it."""
    try:
        return path.stat().st_mtime < before_s
    except FileNotFoundError:
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _is_left(lock: Path) -> bool:
    """Whether nobody holds it any more."""
    try:
        file = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True  # it was killed before, or it ends just now
    except OSError:
        return False  # of another user
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(file)


@contextmanager
def on_disk(folder: Path) -> Iterator[None]:
    """Within it what this machine's disk cannot do is told with what to do.

    Raises:
        ConfigError: it is full, or may not be written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"the spool {str(folder)!r} cannot be written ({error.strerror or error}); make room there, or name "
            "another folder with --spool; what is committed stays"
        ) from error
