"""Links between things, as they are found -> what belongs together, each known by the least of its own. Pure."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]


class Forest:
    """Union-find: no link is kept, so millions of them between few things take no memory.

    Source:
        Galler and Fischer 1964, https://doi.org/10.1145/364099.364331.
    """

    def __init__(self, size: int) -> None:
        self._above: Numbers = np.arange(size, dtype=np.int64)

    def roots(self, things: Numbers) -> Numbers:
        """Of each thing the least that it belongs with, as far as is known."""
        found: Numbers = self._above[things]
        while True:
            higher = self._above[found]
            if np.array_equal(higher, found):
                break
            found = higher
        self._above[things] = found
        return found

    def join(self, one: int, other: int) -> None:
        """From now on they belong together."""
        low, high = sorted((self._root(one), self._root(other)))
        self._above[high] = low

    def join_all(self, rows: Numbers, columns: Numbers, is_linked: Flags) -> None:
        """The same for a table of links, of which only those are followed that join something.

        Each round takes one link of every row and column that still has one, so at least half of what can be joined
        is, as in Borůvka 1926: a table of only links takes as many joins as it has rows and columns.

        Args:
            is_linked: (rows, columns).
        """
        while True:
            is_linked = is_linked & (self.roots(rows)[:, None] != self.roots(columns)[None, :])
            along, down = np.flatnonzero(is_linked.any(axis=1)), np.flatnonzero(is_linked.any(axis=0))
            if not len(along):
                return
            for row, column in zip(along, is_linked[along].argmax(axis=1), strict=True):
                self.join(int(rows[row]), int(columns[column]))
            for row, column in zip(is_linked[:, down].argmax(axis=0), down, strict=True):
                self.join(int(rows[row]), int(columns[column]))

    def _root(self, thing: int) -> int:
        root = thing
        while (above := int(self._above[root])) != root:
            root = above
        self._above[thing] = root
        return root
