"""How the network may be used, and what a full disk means."""

import contextlib
import errno
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from embedstack.errors import ConfigError

HUB = "https://huggingface.co"


def to_stderr(line: str) -> None:
    """Say something to the person at the terminal."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a source may use."""

    endpoint: str = HUB
    token: str = field(default="", repr=False)
    say: Callable[[str], None] = to_stderr


def require_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Refuse to begin what cannot fit."""
    free = _free_bytes(folder)
    if free < needed_bytes:
        raise ConfigError(
            f"{what} needs {needed_bytes} bytes and the disk of {str(folder)!r} has {free} free; {_MAKE_ROOM}"
        )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the errors of a disk into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            problem = f"the disk of {str(folder)!r} is full ({_free_bytes(folder)} bytes are free)"
            raise ConfigError(f"{problem}; {_MAKE_ROOM}, then start again to go on") from error
        if error.errno in _CLOSED:
            problem = f"{str(folder)!r} cannot be written to ({error.strerror})"
            raise ConfigError(f"{problem}; set EMBEDSTACK_CACHE_DIR to a folder that can") from error
        raise


_MAKE_ROOM = "make room or set EMBEDSTACK_CACHE_DIR to a folder on another disk"
FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def _free_bytes(folder: Path) -> int:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
