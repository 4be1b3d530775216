"""Chunk ids of a whole job, shard by shard -> which of them come twice; on disk, 40 bytes for each."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from embedstack.jobs.keys import Ids, build, ids_of

BLOCK = 1 << 16  # ids that are in memory at a time


class Seen:
    """Takes ids in any number; the folder is its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "ids"
        self._path.touch()
        self._shards: list[int] = []
        self._starts: list[int] = []  # the number of the first id of each
        self._count = 0

    def add(self, shard: int, chunk_ids: Sequence[str]) -> None:
        """Those of a shard.

        Raises:
            Mismatch: one has not 32 hexadecimal digits.
        """
        ids = ids_of(chunk_ids)
        with self._path.open("ab") as file:
            file.write(ids.tobytes())
        self._shards.append(shard)
        self._starts.append(self._count)
        self._count += len(ids)

    def twice(self) -> tuple[int, list[tuple[int, int]]]:
        """How many had come before; of the first few the two shards."""
        keys = build(self._folder, self._blocks(), self._count)
        return keys.twice, [(self._shard_of(before), self._shard_of(again)) for before, again in keys.first_twice]

    def _blocks(self) -> Iterator[Ids]:
        for start in range(0, self._count, BLOCK):
            count = min(BLOCK, self._count - start)
            yield np.fromfile(self._path, np.uint64, 2 * count, offset=16 * start).reshape(-1, 2)

    def _shard_of(self, place: int) -> int:
        return self._shards[bisect_right(self._starts, place) - 1]
