"""A CSV file, and the names that its columns may have -> which column holds what, and its rows.

Quotes are read as Python's `csv` reads them, but a cell may be of any length, and one that never ends is an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedstack.documents.quotes import Quotes, cells
from embedstack.errors import ConfigError
from embedstack.evals.sets.text_lines import lines

DELIMITERS = (",", "\t", ";", "|")

Known = Mapping[str, Sequence[str]]
"""What a column may hold -> the names under which it is known, in lower case with _ between words."""


class Unclosed(ConfigError):
    """A quote that opens a cell and never ends."""


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose rows all have as many cells."""

    path: Path
    delimiter: str
    width: int  # cells of a row
    columns: Mapping[str, int]  # what -> its place
    has_header: bool

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The line where each begins, and its cells; without the header.

        Raises:
            ConfigError: a row has more or fewer cells, or a quote is never closed.
        """
        rows = records(self.path, self.delimiter)
        if self.has_header:
            next(rows, None)
        for line, row in rows:
            if len(row) != self.width:
                raise ConfigError(
                    f"line {line} of {str(self.path)!r} has {len(row)} cells, the first row has {self.width}; "
                    f"a cell with {self.delimiter!r} in it needs quotes around it"
                )
            yield line, row


def table_of(path: Path, known: Known, needed: Sequence[str]) -> Table | None:
    """The table whose header names all that is needed, or None.

    Raises:
        ConfigError: two columns hold the same.
    """
    for delimiter in DELIMITERS:
        header = first_record(path, delimiter)
        columns = placed(header, known, str(path))
        if all(what in columns for what in needed):
            return Table(path, delimiter, len(header), columns, has_header=True)
    return None


def first_record(path: Path, delimiter: str) -> list[str]:
    """The cells of the first row; none where there is no row, or it has no end."""
    try:
        return next(records(path, delimiter), (0, []))[1]
    except Unclosed:
        return []


def placed(header: Sequence[str], known: Known, place: str) -> dict[str, int]:
    """What is known of a header's names -> its place.

    Raises:
        ConfigError: two columns hold the same.
    """
    found: dict[str, int] = {}
    for at, cell in enumerate(header):
        name = cell.strip().lower().replace("-", "_").replace(" ", "_")
        what = next((what for what, names in known.items() if name in names), None)
        if what in found:
            raise ConfigError(
                f"the columns {header[found[what]]!r} and {cell!r} of {place!r} both hold the {what}; rename one"
            )
        if what is not None:
            found[what] = at
    return found


def records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line where each row begins, and its cells; line ends within a cell become a newline. Empty lines are none.

    Raises:
        Unclosed: a quote is never closed.
    """
    numbered = lines(path)
    for number, line in numbered:
        whole = _closed(line, numbered, delimiter) if '"' in line else line
        if whole is None:
            raise Unclosed(f"line {number} of {str(path)!r} opens a quote that is never closed; close it")
        if whole.strip():
            yield number, cells(whole, delimiter)


def _closed(line: str, following: Iterator[tuple[int, str]], delimiter: str) -> str | None:
    """The line and as many that follow as belong to its cells; None where they do not end."""
    quotes, parts = Quotes(delimiter), [line]
    quotes.feed(line.encode())
    while quotes.is_open:
        number, line = next(following, (0, ""))
        if not number:
            return None
        quotes.feed(line.encode())
        parts.append(line)
    return "\n".join(parts)
