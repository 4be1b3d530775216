"""Which shards are done -> which one a runner takes next, so that several seldom do the same one. Pure."""

from collections.abc import Iterable, Iterator


def part_of(shards: int, part: tuple[int, int]) -> range:
    """The shards of one of several runners: contiguous, and none has two more than another."""
    number, parts = part
    return range(shards * number // parts, shards * (number + 1) // parts)


class Course:
    """The order of one runner: its own part forwards, then those of others from their ends backwards.

    Whoever finds that somebody works where it does goes to the middle of the longest run that is left.

    Args:
        done: shards that are committed.
        part: which one of how many.
        keep_off: the first so many shards that are left of a part whose runner is known to live are in its hands; to
            do them here, too, would only make both slower.
    """

    def __init__(self, shards: int, done: Iterable[int], part: tuple[int, int] = (0, 1), *, keep_off: int = 0) -> None:
        self._open = bytearray(b"\1") * shards
        self._parts = [part_of(shards, (number, part[1])) for number in range(part[1])]
        self._own, self._keep_off = part[0], keep_off
        self._alive: set[int] = set()
        self._at = self._parts[part[0]].start
        for number in done:
            self._open[number] = 0

    def own(self) -> int | None:
        """The next of the own part, or of where the last jump went; None where these are done."""
        own = self._parts[self._own]
        found = self._open.find(1, self._at, own.stop)
        if found < 0:
            found = self._open.find(1, own.start, own.stop)
        return self._taken(found)

    def others(self) -> int | None:
        """One of another's part; None where nothing is left to take."""
        parts = len(self._parts)
        for step in range(1, parts):
            number = (self._own + step) % parts
            whole = self._parts[number]
            first = self._free_from(number) if number in self._alive else whole.start
            found = self._open.rfind(1, first, whole.stop)
            if found >= 0:
                return self._taken(found)
        return None

    @property
    def has_others(self) -> bool:
        """Whether there are parts of others."""
        return len(self._parts) > 1

    def take(self, number: int) -> bool:
        """This one now, whosever part it is of; whether it is left."""
        is_open = self._open[number] == 1
        self._open[number] = 0
        return is_open

    def saw(self, done: Iterable[int]) -> None:
        """Somebody did these. What this runner took is not among what it does not know yet."""
        for number in done:
            if self._open[number]:
                self._open[number] = 0
                self._alive.add(self._owner(number))

    def jump(self) -> None:
        """To the middle of the longest run of the own part that is left."""
        own = self._parts[self._own]
        runs = list(_runs(self._open, own))
        if runs:
            longest = max(runs, key=len)
            self._at = longest.start + len(longest) // 2

    def _taken(self, number: int) -> int | None:
        if number < 0:
            return None
        self._open[number] = 0
        if number in self._parts[self._own]:
            self._at = number + 1
        return number

    def _free_from(self, part: int) -> int:
        """Behind those that a living runner has in its hands."""
        whole, at = self._parts[part], self._parts[part].start
        for _ in range(self._keep_off):
            found = self._open.find(1, at, whole.stop)
            if found < 0:
                return whole.stop
            at = found + 1
        return at

    def _owner(self, number: int) -> int:
        return next(part for part, whole in enumerate(self._parts) if number in whole)


def _runs(marks: bytearray, within: range) -> Iterator[range]:
    """Neighbours that are marked."""
    start = marks.find(1, within.start, within.stop)
    while start >= 0:
        stop = marks.find(0, start, within.stop)
        stop = within.stop if stop < 0 else stop
        yield range(start, stop)
        start = marks.find(1, stop, within.stop)
