"""Names and who writes them -> files in a folder: all of them or, where one cannot be written, none."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from embedstack.errors import ConfigError

SCRATCH = ".report-"  # how the name begins of what is not there yet
UNSAFE = re.compile(r"[^\w.+~-]+")
LONGEST = 60  # characters of a file's name, of which some take four of the 255 bytes that there are


def file_names(systems: Iterable[str]) -> dict[str, str]:
    """Each system with the name of a file, without an ending, that every disk takes; no two are equal on any."""
    made: dict[str, str] = {}
    for system in systems:
        name = UNSAFE.sub("_", system).strip("._")[:LONGEST] or "system"
        while name.lower() in {one.lower() for one in made.values()}:
            name += "_"
        made[system] = name
    return made


def check_folder(folder: Path | None) -> None:
    """Look before the work is done; None is no folder.

    Raises:
        ConfigError: what is there is a file.
    """
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), None) if folder else None
    if there is not None and not there.is_dir():
        raise ConfigError(f"{str(folder)!r} can be no folder: {str(there)!r} is a file; name another one")


def write_files(folder: Path, files: Mapping[str, Callable[[Path], object]]) -> None:
    """Make the folder, or put the files into the one that is there; its files of other names stay.

    All are written elsewhere first and then moved, each in one step and in the order in which they are given.

    Args:
        files: path within the folder -> what writes it where it is told to.
    Raises:
        ConfigError: it cannot be written; what was there is as it was. What the writers raise, likewise.
    """
    try:
        is_new = not folder.exists()
        near = folder.absolute().parent if is_new else folder  # a folder can be another disk than the one it is in
        near.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=SCRATCH, dir=near) as scratch:
            made = Path(scratch) / "made"
            for name, write in files.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                write(made / name)
            if is_new:
                made.rename(folder)
            else:
                _move(files, made, folder)
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"{str(folder)!r} cannot be written ({why}); make room there, or name another one") from error


def _move(names: Iterable[str], made: Path, folder: Path) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
    for name in names:
        (made / name).replace(folder / name)
