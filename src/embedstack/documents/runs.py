"""Blocks of a file in order -> segments of so many rows or bytes, and the bytes where each begins and ends."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from embedstack.documents.document import Segment
from embedstack.storage.storage import Entry

NEWLINE = 10
# As many as a shard holds, see jobs/shards.py: no segment is divided. The row that reaches it is the last.
MOST_BYTES = 16 << 20


class Runs:
    """Counts rows; nothing is kept of what it sees."""

    def __init__(self, entry: Entry, shard_docs: int, start: int = 0) -> None:
        self._entry = entry
        self._docs = shard_docs
        self._first = 0  # row of the segment that is not complete
        self._start = start  # its first byte
        self._rows = 0  # complete rows in it
        self._place = start  # of the next block
        self._is_torn = False  # the last row has no end yet

    def add_lines(self, block: bytes) -> Iterator[Segment]:
        """Bytes in which every line is a row -> what is complete with them."""
        ends = np.frombuffer(block, np.uint8) == NEWLINE
        count = int(np.count_nonzero(ends))  # five times as fast as bytes.count, and most blocks need no more
        stop = self._place + len(block)
        if self._rows + count >= self._docs or stop - self._start >= MOST_BYTES:
            yield from self._cut_at(np.flatnonzero(ends) + 1 + self._place)
        else:
            self._rows += count
        self._place = stop
        self._is_torn = not ends[-1]

    def add_part(self, size: int) -> None:
        """Bytes of a row that goes on behind them."""
        self._place += size
        self._is_torn = True

    def add_row(self, size: int) -> Iterator[Segment]:
        """The last bytes of a row."""
        self._rows += 1
        self._place += size
        self._is_torn = False
        if self._rows == self._docs or self._place - self._start >= MOST_BYTES:
            yield self._cut(self._rows, self._place)

    def finish(self) -> Iterator[Segment]:
        """What is left at the end of the file; a last row without an end is one."""
        rows = self._rows + self._is_torn
        if rows:
            yield self._cut(rows, self._place)

    def _cut_at(self, ends: NDArray[np.int64]) -> Iterator[Segment]:
        """Of rows that end there."""
        done = 0
        while True:
            by_bytes = int(np.searchsorted(ends, self._start + MOST_BYTES)) + 1
            to = min(done + self._docs - self._rows, by_bytes)
            if to > len(ends):
                break
            yield self._cut(self._rows + to - done, int(ends[to - 1]))
            done = to
        self._rows += len(ends) - done

    def _cut(self, docs: int, stop: int) -> Segment:
        entry = self._entry
        segment = Segment(entry.key, entry.size, entry.version, docs, self._first, self._start, stop)
        self._first += docs
        self._start = stop
        self._rows = 0
        return segment
