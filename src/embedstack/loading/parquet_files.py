"""A Parquet file -> what its end says of it, and its rows from any one on, some at a time."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from embedstack.documents.watched import Watched
from embedstack.errors import ConfigError
from embedstack.jobs.arrow import pa, pq
from embedstack.jobs.table import FOOTER
from embedstack.loading.found import Files, held
from embedstack.loading.pieces import Place
from embedstack.loading.source import BadRow
from embedstack.storage.storage import Entry

ROWS = 1000  # that are in memory as Python objects at a time
BUFFER = 1 << 20  # bytes of each column that are read at once, in place of all of a row group
WRONG = (
    pa.ArrowException,
    OSError,
    KeyError,
    AttributeError,
    ValueError,
)  # of damaged files; pyarrow lets some through


@dataclass(frozen=True, slots=True)
class Ending:
    """What stands at the end of a file."""

    entry: Entry
    groups: tuple[int, ...]  # rows of each row group
    schema: pa.Schema
    footer: bytes  # what it says of whose vectors it holds

    @property
    def rows(self) -> int:
        """Of all row groups."""
        return sum(self.groups)


@dataclass(frozen=True, slots=True)
class Run:
    """Some rows."""

    batch: pa.RecordBatch
    places: Sequence[Place]


def ending_of(files: Files, entry: Entry) -> Ending:
    """Nothing else of it is read.

    Raises:
        ConfigError: it is no Parquet file. Mismatch: it changed since it was found.
    """
    with _opened(files, entry) as (file, _):
        meta = file.metadata
        groups = tuple(meta.row_group(number).num_rows for number in range(meta.num_row_groups))
        return Ending(entry, groups, file.schema_arrow, (meta.metadata or {}).get(FOOTER, b""))


def runs_of(
    files: Files, ending: Ending, start: int = 0, *, columns: Sequence[str] | None = None, size: int = ROWS
) -> Generator[Run, None, None]:
    """Row groups before `start` are not read. That the file is still the same is known before the last run is given.

    Args:
        columns: all if None.
    Raises:
        BadRow: it is damaged, naming the row from which on nothing can be had. Mismatch: it changed.
    """
    yield from held(_runs(files, ending, start, columns, size), lambda: files.check(ending.entry))


def _runs(files: Files, ending: Ending, start: int, columns: Sequence[str] | None, size: int) -> Iterator[Run]:
    first = 0
    with _opened(files, ending.entry) as (file, raw):
        for group, rows in enumerate(ending.groups):
            if start < first + rows:
                for run in _group(file, raw, ending.entry.key, group, first, columns, size):
                    if run.places[-1].number >= start:
                        yield _behind(run, start)
            first += rows


def _group(
    file: pq.ParquetFile,
    raw: Watched,
    key: str,
    group: int,
    first: int,
    columns: Sequence[str] | None,
    size: int,
) -> Iterator[Run]:
    batches = file.iter_batches(size, row_groups=[group], columns=columns and list(columns), use_threads=False)
    while True:
        try:
            batch = next(batches, None)
        except WRONG as error:
            damaged = BadRow(f"{key!r} is damaged at row {first} or behind it, in its row group; copy it again")
            raise (raw.fault(key) or damaged) from error
        if batch is None:
            return
        if len(batch):
            yield Run(batch, [Place("row", number, key) for number in range(first, first + len(batch))])
        first += len(batch)


def _behind(run: Run, start: int) -> Run:
    skipped = max(0, start - run.places[0].number)
    return Run(run.batch.slice(skipped), run.places[skipped:]) if skipped else run


@contextmanager
def _opened(files: Files, entry: Entry) -> Iterator[tuple[pq.ParquetFile, Watched]]:
    raw = Watched(files.open(entry))
    try:
        yield _parquet(raw, entry.key), raw
    finally:
        raw.close()


def _parquet(raw: Watched, key: str) -> pq.ParquetFile:
    try:
        source = pa.PythonFile(raw, mode="r")
        return pq.ParquetFile(source, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True)
    except WRONG as error:
        reason = str(error).partition("\n")[0]
        no_table = ConfigError(
            f"{key!r} is no Parquet file, or a damaged one: {reason}; copy it again, or leave it out"
        )
        raise (raw.fault(key) or no_table) from error
