"""Paths that a user named -> the files there, each once, in an order that stays."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from embedstack.documents.forms import all_endings, ending_of, form_of
from embedstack.errors import BadRequest, ConfigError
from embedstack.inputs.picture import ForeignFormat, check_picture

HIDDEN, LINK, NO_FILE, AGAIN = "(hidden)", "(link)", "(no file)", "(the same file again)"
# Files of these names should be pictures: one that is none, or of a format that nobody here reads, is named
PICTURES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp")
)
HEAD = 64  # bytes, in which all formats of pictures say what they are


@dataclass(frozen=True, slots=True)
class File:
    """One that will be read."""

    path: Path
    is_picture: bool


@dataclass(slots=True)
class Walk:
    """What was met."""

    files: list[File] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)  # files and folders, and why


def walk(named: Sequence[Path]) -> Walk:
    """In the order in which they were named, those of a folder by their names.

    A file that is met twice, by another path or as another hard link, counts once: it is no duplicate of itself. Links
    in folders are not followed, for the same reason.

    Raises:
        ConfigError: a path is not there, or a file that was named is neither a picture nor a text.
    """
    met = Walk()
    seen: set[tuple[int, int | str]] = set()
    for path in named:
        if not path.exists():
            raise ConfigError(f"{str(path)!r} is not there; name files, folders, tables or DATABASE#COLLECTION")
        for found in _below(path, met) if path.is_dir() else [path]:
            _meet(found, met, seen, is_named=found is path)
    return met


def _below(folder: Path, met: Walk) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        met.unreadable.append((Path(error.filename), error.strerror or str(error)))

    for above, folders, names in os.walk(folder, onerror=failed):
        met.skipped[HIDDEN] += sum(name.startswith(".") for name in [*folders, *names])
        met.skipped[LINK] += sum(not name.startswith(".") and Path(above, name).is_symlink() for name in folders)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(above, name) for name in sorted(names) if not name.startswith("."))


def _meet(path: Path, met: Walk, seen: set[tuple[int, int | str]], *, is_named: bool) -> None:
    if path.is_symlink() and not is_named:
        met.skipped[LINK] += 1
        return
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            met.skipped[NO_FILE] += 1
        elif (itself := (status.st_dev, status.st_ino or os.path.realpath(path))) in seen:  # some disks number none
            met.skipped[AGAIN] += 1
        else:
            seen.add(itself)
            _take(path, met, is_named=is_named)
    except OSError as error:
        met.unreadable.append((path, error.strerror or str(error)))


def _take(path: Path, met: Walk, *, is_named: bool) -> None:
    is_picture = _is_picture(path)
    if is_picture or form_of(path.name, None) is not None:
        met.files.append(File(path, is_picture))
    elif path.suffix.lower() in PICTURES:
        met.files.append(File(path, is_picture=True))
    elif is_named:
        raise ConfigError(
            f"{str(path)!r} is no picture, and what text it holds cannot be told by its name; known are {all_endings()}"
        )
    else:
        met.skipped[ending_of(path.name)] += 1


def _is_picture(path: Path) -> bool:
    """By how it begins, whatever it is called."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    try:
        check_picture(head, max_bytes=HEAD, max_pixels=1)
    except ForeignFormat:
        return False
    except BadRequest:  # it begins like one: more is not to be seen in its head
        return True
    return True
