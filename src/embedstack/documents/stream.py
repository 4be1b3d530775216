"""A file of the input -> its unpacked bytes in order: from any place on, by lines or in blocks, in bounded memory."""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from embedstack.documents.compressed import unpacked
from embedstack.documents.document import Packed

BLOCK = 1 << 20  # bytes


class Stream:
    """Stays open between runs of documents: what is packed is unpacked once as long as places only rise."""

    def __init__(self, open_file: Callable[[], BinaryIO], packed: Packed, name: str) -> None:
        self.place = 0  # of the next byte, after unpacking
        self._open_file = open_file
        self._packed = packed
        self._name = name
        self._file = self._opened()

    def goto(self, place: int) -> None:
        """Read on from there. What is packed has no way back but from its beginning."""
        if place == self.place:
            return
        if not self._packed:
            self._file.seek(place)
            self.place = place
            return
        if place < self.place:
            self.close()
            self._file = self._opened()
            self.place = 0
        while self.place < place and self.block(place - self.place):
            pass

    def block(self, most: int = BLOCK) -> bytes:
        """Some bytes, at most a block; none at the end of the file."""
        data = self._file.read(min(most, BLOCK))
        self.place += len(data)
        return data

    def piece(self, most: int = BLOCK) -> bytes:
        """The rest of the line with its end, or as much of it as `most` allows; none at the end of the file."""
        data = self._file.readline(most)
        self.place += len(data)
        return data

    def line(self, most: int) -> bytes | None:
        """The next line with its end; empty at the end of the file; None for a longer one, which is passed over."""
        data = self.piece(most + 1)
        if len(data) <= most or data.endswith(b"\n"):
            return data
        while not data.endswith(b"\n") and data:
            data = self.piece()
        return None

    def blocks_of_lines(self) -> Iterator[bytes]:
        """All that follows, in blocks that end where a line does; only a line longer than a block comes in several."""
        while block := self.block():
            yield block if block.endswith(b"\n") else block + self.piece()

    def close(self) -> None:
        """It cannot be read from afterwards."""
        self._file.close()

    def _opened(self) -> BinaryIO:
        return unpacked(self._open_file(), self._packed, self._name)


def size_of(file: BinaryIO) -> int:
    """Bytes of an open file that can seek; it stands at its beginning afterwards."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size
