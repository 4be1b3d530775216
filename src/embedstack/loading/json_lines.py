"""JSON lines with vectors, perhaps packed -> rows in the order of files and lines, a batch at a time."""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice

import numpy as np

from embedstack.databases.database import Field, PointId, Points
from embedstack.documents.lines import BOM
from embedstack.documents.stream import Stream
from embedstack.errors import BadRequest, ConfigError
from embedstack.loading.asserted import CANDIDATES, MOST, Ask, Asserted, samples_of
from embedstack.loading.describing import digest_of, fields_of
from embedstack.loading.found import Files, held, packing_of, spread
from embedstack.loading.ids import told
from embedstack.loading.json_rows import Row, Shape, id_in, row_of, shape_of, worded
from embedstack.loading.payloads import notes_of
from embedstack.loading.pieces import Place, check_once
from embedstack.loading.rows_checked import first_fault
from embedstack.loading.source import BadRow, How
from embedstack.storage.storage import Entry
from embedstack.types import Floats

MOST_BYTES = 16 << 20  # of a line
IDS_AT_ONCE = 1000


class JsonLines:
    """A `Source`. Lines are numbered from 1, blank ones too, which are no rows.

    A file is open only while it is read. No more rows are in memory than a batch has.
    """

    total: int | None = None
    plan = ""
    previous: str | None = None

    def __init__(self, files: Files, how: How, ask: Ask) -> None:
        """Looks at the first rows, and asks whose they are.

        Raises:
            BadRequest: there is no row. BadRow: one of the first rows cannot be loaded. ConfigError: a file cannot be
                read. What `ask` raises.
        """
        self.label = files.label
        self.digest = digest_of("jsonl", ((one.key, one.size, one.version) for one in files.entries), how)
        self._files, self._how = files, how
        self._shape = self._looked()
        first = self._first_rows()
        made = ask(samples_of([(row.place, row.texts, row.vector) for row in first]), self._shape.dim)
        self.fields: Mapping[str, Field] = fields_of(how, made.origin, has_sparse=self._shape.has_sparse)
        self.notes: Sequence[str] = _notes(first, self._shape, made, how)

    def batches(self, start: int, size: int) -> Iterator[Points]:
        """See `Source`; what is passed over is unpacked and not decoded."""
        with closing(self._lines(self._files.entries)) as lines:
            rows = (row_of(line, place, self._shape, self._how) for line, place in islice(lines, start, None))
            while few := list(islice(rows, size)):
                yield self._points(few)

    def ids(self) -> Iterator[Sequence[PointId]]:
        """See `Source`."""
        with closing(self._lines(self._files.entries)) as lines:
            while few := list(islice(lines, IDS_AT_ONCE)):
                yield [id_in(line, place) for line, place in few]

    def gone(self) -> Iterator[Sequence[PointId]]:
        """Nothing."""
        return iter(())

    def close(self) -> None:
        """Nothing is held between calls."""

    def _looked(self) -> Shape:
        with closing(self._lines(self._files.entries)) as lines:
            for line, place in lines:
                return shape_of(line, place)
        raise BadRequest(f"there is no row in {self.label}; name files with a JSON object on each line")

    def _first_rows(self) -> list[Row]:
        """The beginnings of some files, far from each other."""
        chosen = [self._files.entries[place] for place in spread(len(self._files.entries), MOST)]
        found: list[Row] = []
        for entry in chosen:
            with closing(self._lines([entry])) as lines:
                few = islice(lines, CANDIDATES // len(chosen))
                found += [row_of(line, place, self._shape, self._how) for line, place in few]
        if not found:  # the others have all the rows
            with closing(self._lines(self._files.entries)) as lines:
                found = [row_of(line, place, self._shape, self._how) for line, place in islice(lines, CANDIDATES)]
        self._dense(found)
        return found

    def _lines(self, entries: Sequence[Entry]) -> Generator[tuple[bytes, Place], None, None]:
        """Those that are not blank. That a file is still the same is known before its last line is given."""
        for entry in entries:
            stream = Stream(partial(self._files.open, entry), packing_of(entry.key), entry.key)
            with closing(stream):
                yield from held(_numbered(stream, entry.key), partial(self._files.check, entry))

    def _points(self, rows: Sequence[Row]) -> Points:
        dense = self._dense(rows)
        check_once([row.id for row in rows], [row.place for row in rows])
        sparse = [row.sparse for row in rows if row.sparse is not None]
        names = {} if self._how.sparse is None or not sparse else {self._how.sparse: sparse}
        return Points(
            ids=[row.id for row in rows],
            vectors={self._how.vector: dense, **names},
            payloads=[row.payload for row in rows],
        )

    def _dense(self, rows: Sequence[Row]) -> Floats:
        """(rows, dim), sound."""
        dense = np.stack([row.vector for row in rows])
        fault = first_fault(dense, self._how.storing)
        if fault is not None:
            raise BadRow(f"{rows[fault[0]].place}: the vector {fault[1]}; look at what made it, or leave it out")
        return dense


def _numbered(stream: Stream, key: str) -> Iterator[tuple[bytes, Place]]:
    number = 0
    while (line := _line(stream, key)) != b"":
        number += 1
        place = Place("line", number, key)
        if line is None:
            raise BadRow(f"{place} is longer than {MOST_BYTES} bytes; leave it out")
        line = line.removeprefix(BOM) if number == 1 else line
        if line.strip():
            yield line, place


def _line(stream: Stream, key: str) -> bytes | None:
    """As `Stream.line`; what is packed maps its own errors."""
    try:
        return stream.line(MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"{key!r} cannot be read: {error.strerror or error}; run again") from error


def _notes(first: Sequence[Row], shape: Shape, made: Asserted, how: How) -> list[str]:
    ids, here = told(Counter(row.kind for row in first)), made.origin.identity.fingerprint
    notes = [f"{ids} (of {len(first)} rows that were looked at)", *made.notes, *notes_of(how)]
    if shape.fingerprint is not None and shape.fingerprint != here:
        notes.append(
            f"the lines have {worded(shape.fingerprint)} and the model here makes {worded(here)}: another precision or "
            "width of it, as far as the vectors tell"
        )
    return notes
