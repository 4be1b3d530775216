"""Bytes of a CSV file, piece by piece -> whether a quoted cell is open; and a record's text -> its cells.

Both follow Python's own `csv`, which reads what others write loosely: a quote opens a cell only at its beginning, a
doubled one inside stands for itself, and what follows the closing one belongs to the cell.
"""

import re
from functools import cache

QUOTE = b'"'
QUOTES = re.compile(b'"+')


class Quotes:
    """Where the reader of a file stands after what it was fed."""

    def __init__(self, delimiter: str) -> None:
        self._borders = (delimiter.encode(), b"\n")
        self._opening = _opening(delimiter)
        self._is_in = False  # between an opening quote and its end
        self._is_due = False  # a quote was seen inside: the next byte tells whether it was the end
        self._is_start = True  # the next byte begins a cell

    @property
    def is_open(self) -> bool:
        """Whether a newline that comes next belongs to a cell."""
        return self._is_in and not self._is_due

    def feed(self, piece: bytes) -> None:
        """Go on behind it. Pieces may be cut anywhere."""
        if not self._is_in and QUOTE not in piece:
            self._is_start = piece.endswith(self._borders)
            return
        place = 0
        while place < len(piece):
            place = self._inside(piece, place) if self._is_in else self._outside(piece, place)

    def _inside(self, piece: bytes, place: int) -> int:
        if self._is_due:
            self._is_due = False
            if piece.startswith(QUOTE, place):
                return place + 1
            self._is_in = False
            self._is_start = False
            return place
        while (found := piece.find(QUOTE, place)) >= 0 and (run := QUOTES.match(piece, found)):
            place = run.end()
            if (place - found) % 2:  # else all of them are doubled
                self._is_due = True
                return place
        return len(piece)

    def _outside(self, piece: bytes, place: int) -> int:
        if self._is_start and piece.startswith(QUOTE, place):
            self._is_in = True
            return place + 1
        found = self._opening.search(piece, place)
        self._is_in = found is not None
        self._is_start = piece.endswith(self._borders)
        return found.end() if found else len(piece)


def cells(record: str, delimiter: str) -> list[str]:
    """What stands between the delimiters, without the quotes.

    Args:
        record: without the newline at its end.
    """
    if '"' not in record:
        return record.split(delimiter)
    found = []
    for match in _cell(delimiter).finditer(record):
        quoted, plain, border = match.groups()
        found.append((quoted or "").replace('""', '"') + plain)
        if not border:
            break
    return found


@cache
def _cell(delimiter: str) -> "re.Pattern[str]":
    border = re.escape(delimiter)
    return re.compile(rf'(?:"([^"]*(?:""[^"]*)*)"?)?([^{border}]*)({border}|\Z)')


@cache
def _opening(delimiter: str) -> "re.Pattern[bytes]":
    return re.compile(b"[\n" + re.escape(delimiter.encode()) + b']"')
