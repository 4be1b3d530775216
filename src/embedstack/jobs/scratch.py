"""A folder for unfinished work -> one below it that is gone afterwards; and what is said where it cannot be written."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedstack.errors import ConfigError


@contextmanager
def scratch(folder: Path | None, name: str) -> Iterator[Path]:
    """An empty folder below `folder`, or where the system keeps such files if None.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix=f"{name}-", dir=folder)
    except OSError as error:
        raise unwritten(folder or Path(tempfile.gettempdir()), error) from error
    with made as path:
        yield Path(path)


def unwritten(path: Path, error: OSError) -> ConfigError:
    """Why a file in the folder for unfinished work is not there."""
    problem = f"{str(path)!r} cannot be written: {error.strerror or error}"
    return ConfigError(f"{problem}; free space there, or choose another folder with --spool")
