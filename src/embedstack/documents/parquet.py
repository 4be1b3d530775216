"""A Parquet file -> segments by row numbers, and the documents of one; row groups are read only as they are needed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from embedstack.documents.changed import ended_early
from embedstack.documents.document import Document, Reading, Segment, Unfit, Unreadable
from embedstack.documents.jsonable import jsonable
from embedstack.documents.optional import not_installed
from embedstack.documents.parquet_cells import Row, is_id, is_text, rows_of
from embedstack.documents.rows import place_id, row_document
from embedstack.documents.runs import MOST_BYTES
from embedstack.documents.watched import Watched
from embedstack.errors import ConfigError
from embedstack.storage.storage import Entry

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Of a batch: so many times the largest row is in memory. No average says how large that is: it may be one of a
# thousand, or stand once in a dictionary that all point to. A row takes 17 us so, and 8 us in batches of 1024.
ROWS = 16
BUFFER = 1 << 20  # bytes of each column that are read at once, in place of all of a row group


class Table:
    """An open file. What is behind the rows that were read last is read on from there.

    A page of each column is in memory as it was written: most writers end it at 1 MB, or behind one larger value.
    """

    def __init__(self, file: BinaryIO, key: str) -> None:
        """
        Raises:
            ConfigError: it is no Parquet file, or a package is missing.
        """
        self._key = key
        self._raw = Watched(file)
        self._file = _opened(self._raw, key)
        self._next = -1  # the row that comes next, where reading is under way
        self._rows: Iterator[Row | Unfit] = iter(())

    def scan(self, entry: Entry, reading: Reading, shard_docs: int) -> Iterator[Segment]:
        """Only the footer is read. Bytes of a row are the average of its row group, as encoded: few in a dictionary.

        Raises:
            ConfigError: it has no column of texts, or of ids, of the names that they must have.
        """
        _check(self._file.schema_arrow, self._key, reading)
        known = self._file.metadata
        groups = (known.row_group(number) for number in range(known.num_row_groups))
        first = 0
        for docs in _cut(((group.num_rows, group.total_byte_size) for group in groups), shard_docs):
            yield Segment(entry.key, entry.size, entry.version, docs, first)
            first += docs

    def read(self, segment: Segment, reading: Reading) -> Iterator[Document | Unreadable]:
        """As many as the segment says; of a damaged row group, those at and behind the damage are unreadable."""
        if segment.first + segment.docs > self._file.metadata.num_rows:
            raise ended_early(segment)
        for number in range(segment.first, segment.first + segment.docs):
            match self._row(number, reading):
                case Unfit() as unfit:
                    yield Unreadable(place_id(segment.key, number), unfit.code, unfit.message)
                case row:
                    yield _with_json(row_document(row, segment.key, number, reading))

    def close(self) -> None:
        """It cannot be read from afterwards."""
        self._rows = iter(())
        self._file.close()
        self._raw.close()

    def _row(self, number: int, reading: Reading) -> Row | Unfit:
        if number != self._next:
            self._rows = self._from(number, reading)
        self._next = number + 1
        return next(self._rows)

    def _from(self, number: int, reading: Reading) -> Iterator[Row | Unfit]:
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if number < rows:
                yield from self._rows_of(group, number, reading)
            number = max(number - rows, 0)

    def _rows_of(self, group: int, first: int, reading: Reading) -> Iterator[Row | Unfit]:
        """Always in the same batches, so that what is damaged does not depend on where reading began."""
        known = self._file.metadata.row_group(group)
        done = 0
        try:
            for batch in self._batches(group):
                if done + len(batch) > first:
                    yield from rows_of(batch.slice(max(first - done, 0)), reading)
                done += len(batch)
        except _Damaged:
            damaged = Unfit("bad_parquet", "the file is damaged at or before this row, in its row group")
            yield from itertools.repeat(damaged, known.num_rows - max(done, first))

    def _batches(self, group: int) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        try:
            yield from self._file.iter_batches(ROWS, row_groups=[group], use_threads=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise (self._raw.fault(self._key) or _Damaged()) from error


class _Damaged(Exception):
    """What is read next cannot be unpacked."""


def _opened(file: Watched, key: str) -> pq.ParquetFile:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise not_installed("reading Parquet", error) from error
    try:
        return pq.ParquetFile(pa.PythonFile(file, mode="r"), buffer_size=BUFFER, pre_buffer=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        file.close()
        no_table = ConfigError(
            f"{key!r} is no Parquet file, or a damaged one: {error}; copy it again, or take it out of the input"
        )
        raise (file.fault(key) or no_table) from error


def _cut(groups: Iterable[tuple[int, int]], shard_docs: int) -> Iterator[int]:
    """Rows and bytes of each row group -> rows of each segment."""
    docs = held = 0
    for rows, size in groups:
        width = max(1, -(-size // max(rows, 1)))
        left = rows
        while left:
            taken = min(left, shard_docs - docs, -(-(MOST_BYTES - held) // width))
            docs, held, left = docs + taken, held + taken * width, left - taken
            if docs == shard_docs or held >= MOST_BYTES:
                yield docs
                docs = held = 0
    if docs:
        yield docs


def _with_json(found: Document | Unreadable) -> Document | Unreadable:
    if isinstance(found, Unreadable):
        return found
    return replace(found, metadata={name: jsonable(value) for name, value in found.metadata.items()})


def _check(schema: pa.Schema, key: str, reading: Reading) -> None:
    twice = [name for name, times in Counter(schema.names).items() if times > 1]
    if twice:
        raise ConfigError(f"{key!r} has two columns {twice[0]!r}; rename one of them")
    for field, flag in ((reading.text_field, "--text-field"), (reading.id_field, "--id-field")):
        if field and field not in schema.names:
            shown = ", ".join(schema.names[:20])
            raise ConfigError(f"{key!r} has no column {field!r}, but: {shown}; name one with {flag}")
    if not is_text(kind := schema.field(reading.text_field).type):
        raise ConfigError(f"{key!r} has {kind} in column {reading.text_field!r}, not text; name one with --text-field")
    if reading.id_field and not is_id(kind := schema.field(reading.id_field).type):
        raise ConfigError(f"{key!r} has {kind} in column {reading.id_field!r}, not ids; name one with --id-field")
