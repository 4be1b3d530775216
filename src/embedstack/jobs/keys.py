"""Ids of 128 bits become a sorted index on disk that says where each one stands; about 30 MB of memory.

Content hashes and chunk ids of a table are more than fit into memory: 24 bytes of disk for each are kept here.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import Mismatch
from embedstack.jobs.arrow import MEND

Ids = NDArray[np.uint64]
"""(ids, 2): the first and the last 64 bits."""
FEW = 1 << 18  # rows that are sorted at once
MOST_BUCKETS = 128  # files that are open at a time; macOS allows 256. Past 33 million rows more are sorted at once
FIRST = 3  # of what comes twice, so many are told
NAMES = ("high", "low", "place")
ID = re.compile("[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class Keys:
    """Sorted ids, each with its place: the number of the row where it came first."""

    high: Ids
    low: Ids
    places: Ids
    twice: int = 0  # rows whose id had come before
    first_twice: tuple[tuple[int, int], ...] = ()  # of the first few: the row that came before, and the row

    def find(self, ids: Ids) -> NDArray[np.int64]:
        """(ids,): the place of each, -1 where it is not known."""
        found = np.full(len(ids), -1, np.int64)
        left = np.searchsorted(self.high, ids[:, 0], "left")
        right = np.searchsorted(self.high, ids[:, 0], "right")
        for step in range(int((right - left).max(initial=0))):  # more than one where ids share their first 64 bits
            rows = np.flatnonzero(left + step < right)
            rows = rows[self.low[left[rows] + step] == ids[rows, 1]]
            found[rows] = self.places[left[rows] + step]
        return found


def ids_of(texts: Sequence[str]) -> Ids:
    """Of hexadecimal texts.

    Raises:
        Mismatch: one has not 32 hexadecimal digits.
    """
    try:
        data = bytes.fromhex("".join(texts))
        if len(data) == 16 * len(texts) and all(len(text) == 32 for text in texts):  # spaces count as nothing
            return np.frombuffer(data, ">u8").reshape(-1, 2).astype(np.uint64)
    except ValueError:
        pass
    bad = next((text for text in texts if not ID.fullmatch(text)), "")
    raise Mismatch(f"{bad!r} is no id of 32 hexadecimal digits, so the table is not as it was written; {MEND}")


def build(folder: Path, blocks: Iterable[Ids], rows: int) -> Keys:
    """Sort ids in an empty folder; of equal ones the first is kept.

    Args:
        blocks: all ids in order, some thousand at a time.
        rows: how many there will be, about: decides only how it is done.
    """
    buckets = min(MOST_BUCKETS, 1 << (max(0, rows - 1) // FEW).bit_length())
    _spread(folder, blocks, buckets)
    twice, first = 0, []
    with ExitStack() as stack:
        files = [stack.enter_context((folder / name).open("wb")) for name in NAMES]
        for number in range(buckets):
            path = folder / f"bucket-{number}"
            kept, pairs = _sorted(np.fromfile(path, np.uint64).reshape(-1, 3))
            path.unlink()
            for file, column in zip(files, kept.T, strict=True):
                file.write(column.tobytes())
            twice += len(pairs)
            first += [(int(a), int(b)) for a, b in pairs[:FIRST]]
    return opened(folder, twice, tuple(sorted(first, key=lambda pair: pair[1])[:FIRST]))


def opened(folder: Path, twice: int = 0, first_twice: tuple[tuple[int, int], ...] = ()) -> Keys:
    """What `build` left in a folder."""
    high, low, places = (_column(folder / name) for name in NAMES)
    return Keys(high, low, places, twice, first_twice)


def _spread(folder: Path, blocks: Iterable[Ids], buckets: int) -> None:
    """Each id with its row's number into the file of its first bits."""
    shift = np.uint64(65 - buckets.bit_length())  # the top 7 bits of 128 buckets
    done = 0
    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"bucket-{number}").open("wb")) for number in range(buckets)]
        for ids in blocks:
            rows = np.column_stack([ids, np.arange(done, done + len(ids), dtype=np.uint64)])
            done += len(ids)
            if buckets == 1:
                files[0].write(rows.tobytes())
                continue
            owner = ids[:, 0] >> shift
            for number in np.unique(owner):
                files[int(number)].write(rows[owner == number].tobytes())


def _sorted(rows: Ids) -> tuple[Ids, Ids]:
    """(n, 3) by id and then by place, without those that came before; and (twice, 2) places of pairs of equal ones."""
    rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
    is_again = np.zeros(len(rows), np.bool_)
    is_again[1:] = (rows[1:, :2] == rows[:-1, :2]).all(axis=1)
    again = np.flatnonzero(is_again)
    pairs = np.column_stack([rows[again - 1, 2], rows[again, 2]])
    return rows[~is_again], pairs[np.argsort(pairs[:, 1])]


def _column(path: Path) -> Ids:
    """An empty file cannot be mapped."""
    return np.asarray(np.memmap(path, np.uint64, "r")) if path.stat().st_size else np.zeros(0, np.uint64)
