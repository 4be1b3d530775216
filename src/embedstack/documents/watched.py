"""A file -> the same, which remembers what it raised: libraries in C give the errors of files names of their own."""

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from embedstack.errors import ConfigError


class Watched:
    """What a library needs to read a file."""

    def __init__(self, file: BinaryIO) -> None:
        self.taken = 0  # bytes
        self._file = file
        self._error: BaseException | None = None

    def fault(self, name: str) -> BaseException | None:
        """What to raise in the place of the library's error, where it was the file that failed and not its bytes.

        Args:
            name: of the file.
        """
        if isinstance(self._error, OSError):
            why = self._error.strerror or type(self._error).__name__
            return ConfigError(f"{name!r} cannot be read: {why}; run again")
        return self._error

    def read(self, size: int = -1, /) -> bytes:
        with self._watched():
            data = self._file.read(size)
        self.taken += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        with self._watched():
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        with self._watched():
            return self._file.tell()

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._error = error
            raise
