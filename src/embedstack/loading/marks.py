"""The mark that is in a collection, and what is loaded, become where to begin and which mark comes next."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from msgspec.structs import replace

from embedstack.databases.database import Database, Loaded, UnknownCollection
from embedstack.loading.retrying import Retrying

EVERY_S, EVERY_ROWS = 5.0, 20_000  # between two marks: so much is written twice after a crash
Why = Literal["new", "goes on", "whole", "again", "other", "contested"]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a load begins, and why there.

    Args:
        rows: so many are there already.
        held: digest of the plan whose table was there as a whole before this load began; "" where nobody knows.
    """

    rows: int
    why: Why
    held: str = ""


def start_of(before: Loaded | None, digest: str, *, again: bool) -> Start:
    """Where a load of this digest begins.

    Args:
        before: the mark that is there.
        again: all is written once more, also where it is there.
    """
    if before is None:
        return Start(0, "new")
    if before.is_contested:
        return Start(0, "contested")
    is_mine = before.source == digest
    held = before.plan if before.is_whole or is_mine else ""  # a load that is not whole keeps what was there before it
    if not is_mine:
        return Start(0, "other", held)
    if again:
        return Start(0, "again", held)
    return Start(before.rows, "whole" if before.is_whole else "goes on", held)


def following(found: Loaded | None, wanted: Loaded, *, is_contested: bool) -> Loaded | None:
    """The mark that comes after `found`; None: that stays.

    Args:
        wanted: where nobody else loads.
        is_contested: this load has met another one before.
    """
    is_mine = found is not None and found.source == wanted.source
    if found is not None and (found.is_contested or (is_contested and is_mine)):
        return None  # in the second case somebody began to load the same once more
    if is_mine:
        return wanted
    return replace(wanted, is_contested=True, is_whole=False, plan="")


class Marker:
    """Writes the marks of one load, and sees by them whether another load writes to the same collection.

    Between a look and the mark after it are some milliseconds: a mark that another load leaves in these is seen by that
    load at its next mark, and not at all if it has none.

    Args:
        begun: the mark with which this load starts.
        clock: seconds.
    """

    def __init__(
        self, database: Database, name: str, begun: Loaded, *, retry: Retrying, clock: Callable[[], float]
    ) -> None:
        self.is_contested = False
        self._database, self._name, self._begun, self._retry, self._clock = database, name, begun, retry, clock
        self._last, self._at_s = begun, clock()

    def begin(self, start: Start) -> None:
        """Before the first write: whatever was said of another load is no longer so."""
        if start.why == "goes on":
            self.set(start.rows)
        else:
            self._retry(partial(self._database.mark, self._name, self._begun))

    def look(self, rows: int) -> None:
        """Set a mark if it is time for one."""
        more = rows - self._last.rows
        if more >= EVERY_ROWS or (more and self._clock() - self._at_s >= EVERY_S):
            self.set(rows)

    def set(self, rows: int) -> None:
        """So many rows from the beginning are there."""
        self._put(replace(self._begun, rows=rows))

    def renew(self) -> None:
        """The last mark once more, by which it is seen whether somebody else has set one."""
        self._put(self._last)

    def set_whole(self, rows: int, plan: str) -> None:
        """All is there, and all that belongs to it was done."""
        self._put(replace(self._begun, rows=rows, plan=plan, is_whole=True))

    def _put(self, wanted: Loaded) -> None:
        self._retry(partial(self._replaced, wanted))
        self._last, self._at_s = wanted, self._clock()

    def _replaced(self, wanted: Loaded) -> None:
        there = self._database.describe(self._name)
        if there is None:
            raise UnknownCollection(f"collection {self._name!r} was dropped while it was loaded; load it again")
        mark = following(there.loaded, wanted, is_contested=self.is_contested)
        self.is_contested = mark is None or mark.is_contested
        if mark is not None:
            self._database.mark(self._name, mark)
