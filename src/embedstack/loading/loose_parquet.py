"""Parquet files of any origin -> rows in the order of files and rows, a batch at a time."""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate, chain, islice

from embedstack.databases.database import Column, Field, PointId, Points
from embedstack.errors import BadRequest, Mismatch
from embedstack.loading.asserted import CANDIDATES, MOST, Ask, Asserted, Candidate, samples_of
from embedstack.loading.columns import Layout, cells_of, first_width, layout_of, matrix_of, points_in
from embedstack.loading.describing import digest_of, fields_of
from embedstack.loading.footers import Said, one_origin, said_by
from embedstack.loading.found import Files, spread
from embedstack.loading.ids import IdKind, id_at, told
from embedstack.loading.parquet_files import ROWS, Ending, Run, ending_of, runs_of
from embedstack.loading.payloads import notes_of, texts_in
from embedstack.loading.pieces import Piece, batched
from embedstack.loading.rows_checked import first_fault
from embedstack.loading.source import BadRow, How
from embedstack.origin import Origin
from embedstack.types import Floats


@dataclass(frozen=True, slots=True)
class Table:
    """A file, of which the end was read."""

    ending: Ending
    layout: Layout
    said: Said | None  # whose its vectors are

    @property
    def key(self) -> str:
        """The file's name."""
        return self.ending.entry.key


class LooseParquet:
    """A `Source`. Rows are numbered from 0 in each file.

    A file is open only while it is read. In memory are some thousand rows, and a page of each column.
    """

    plan = ""
    previous: str | None = None

    def __init__(self, files: Files, how: How, ask: Ask, *, model: str = "") -> None:
        """Reads the ends of all files, and some rows; asks whose they are, if they do not say it.

        Args:
            model: what the user named, which files that say it do not need.
        Raises:
            BadRequest: columns that cannot be loaded, or no rows. BadRow: one of the first rows cannot be loaded.
            Mismatch: the files are of two models. ConfigError: one is no Parquet file. What `ask` raises.
        """
        self.label = files.label
        self.digest = digest_of("parquet", ((one.key, one.size, one.version) for one in files.entries), how)
        self._files, self._how = files, how
        self._tables = [self._table(ending_of(files, entry)) for entry in files.entries]
        self.total: int | None = sum(table.ending.rows for table in self._tables)
        has_sparse = how.sparse is not None and _all_or_none(self._tables)
        self._dim = _width(self._tables) or self._first_width()
        made = self._asserted(ask, model)
        self.fields: Mapping[str, Field] = fields_of(how, made.origin, has_sparse=has_sparse)
        self.notes: Sequence[str] = [*self._id_notes(), *made.notes, *notes_of(how)]

    def batches(self, start: int, size: int) -> Iterator[Points]:
        """See `Source`; of files and row groups that are passed over nothing is read."""
        with closing(self._pieces(start)) as pieces:
            yield from batched(pieces, size)

    def ids(self) -> Iterator[Sequence[PointId]]:
        """See `Source`; no other column is read."""
        return ([point for point, _ in some] for some in self._points())

    def gone(self) -> Iterator[Sequence[PointId]]:
        """Nothing."""
        return iter(())

    def close(self) -> None:
        """Nothing is held between calls."""

    # -------------------------------------------------------------------------------------------- when it is opened

    def _table(self, ending: Ending) -> Table:
        key = ending.entry.key
        return Table(ending, layout_of(ending.schema, key, self._how), said_by(ending.footer, key))

    def _first_width(self) -> int:
        for table in self._tables:
            with closing(self._runs(table, columns=[table.layout.vector], size=1)) as runs:
                for run in runs:
                    return first_width(run.batch.column(table.layout.vector), run.places[0])
        raise BadRequest(f"there is no row in {self.label}; name files with rows")

    def _asserted(self, ask: Ask, model: str) -> Asserted:
        origin = one_origin([(table.key, table.said) for table in self._tables])
        if origin is None:
            return ask(samples_of(self._candidates()), self._dim)
        if origin.identity.dim != self._dim:
            raise Mismatch(
                f"{self.label} says that its vectors have {origin.identity.dim} numbers, and they have {self._dim}; "
                "write it again"
            )
        return Asserted(origin, tuple(self._told(origin, model)))

    def _told(self, origin: Origin, model: str) -> Iterator[str]:
        if model:
            yield f"model {model!r} is not opened: the files say that their vectors are of {origin.name}"
        if any(table.said is not None and table.said.shard for table in self._tables):
            yield "these are parts of a job's table; name the job's folder to be sure that none is missing"

    def _candidates(self) -> list[Candidate]:
        """Rows from the beginnings of row groups far from each other."""
        groups = [
            (table, behind - rows)
            for table in self._tables
            for rows, behind in zip(table.ending.groups, accumulate(table.ending.groups), strict=True)
            if rows
        ]
        chosen = [groups[place] for place in spread(len(groups), MOST)]
        found: list[Candidate] = []
        for table, first in chosen:
            with closing(self._runs(table, first, size=CANDIDATES // len(chosen))) as runs:
                for run in islice(runs, 1):
                    found += self._with_texts(run, table)
        return found

    def _with_texts(self, run: Run, table: Table) -> list[Candidate]:
        rows, vectors = cells_of(run.batch, table.layout, run.places, self._how).rows, self._vectors(run, table)
        return list(zip(run.places, (texts_in(row, self._how) for row in rows), vectors, strict=True))

    def _id_notes(self) -> list[str]:
        """Of the first rows: those behind them may be others."""
        first = list(islice(chain.from_iterable(self._points()), ROWS))
        return [f"{told(Counter(kind for _, kind in first))} (of {len(first)} rows that were looked at)"] * bool(first)

    # -------------------------------------------------------------------------------------------- rows

    def _runs(
        self, table: Table, start: int = 0, *, columns: Sequence[str] | None = None, size: int = ROWS
    ) -> Generator[Run, None, None]:
        return runs_of(self._files, table.ending, start, columns=columns, size=size)

    def _pieces(self, start: int) -> Generator[Piece, None, None]:
        for table in self._tables:
            if start < table.ending.rows:
                with closing(self._runs(table, start)) as runs:
                    for run in runs:
                        yield self._piece(run, table)
            start = max(0, start - table.ending.rows)

    def _piece(self, run: Run, table: Table) -> Piece:
        cells = cells_of(run.batch, table.layout, run.places, self._how)
        vectors: dict[str, Column] = {self._how.vector: self._vectors(run, table)}
        if table.layout.has_sparse and self._how.sparse is not None:
            vectors[self._how.sparse] = cells.sparse
        return Piece(Points(ids=cells.ids, vectors=vectors, payloads=cells.payloads), run.places)

    def _vectors(self, run: Run, table: Table) -> Floats:
        """(rows, dim), sound."""
        dense = matrix_of(run.batch.column(table.layout.vector), self._dim, run.places)
        fault = first_fault(dense, self._how.storing)
        if fault is not None:
            raise BadRow(f"{run.places[fault[0]]}: the vector {fault[1]}; look at what made it, or leave it out")
        return dense

    def _points(self) -> Iterator[list[tuple[PointId, IdKind]]]:
        """Ids and their kinds."""
        for table in self._tables:
            key, name, rows = table.key, table.layout.id, table.ending.rows
            if not name:
                for first in range(0, rows, ROWS):
                    yield [(id_at(key, row), "place") for row in range(first, min(first + ROWS, rows))]
                continue
            with closing(self._runs(table, columns=[name])) as runs:
                for run in runs:
                    yield points_in(run.batch.column(name), run.places)


def _all_or_none(tables: Sequence[Table]) -> bool:
    """Whether there are sparse vectors.

    Raises:
        BadRequest: in some of the files.
    """
    first = tables[0]
    for table in tables:
        if table.layout.has_sparse != first.layout.has_sparse:
            raise BadRequest(
                f"only one of {first.key!r} and {table.key!r} has sparse vectors; load them one after the other, or "
                "leave these out with --sparse none"
            )
    return first.layout.has_sparse


def _width(tables: Sequence[Table]) -> int:
    """Of the vectors, as far as the columns' types say it; else 0.

    Raises:
        BadRequest: they say two.
    """
    found = {table.layout.dim: table.key for table in reversed(tables) if table.layout.dim}
    if len(found) > 1:
        (one, first), (other, second) = list(found.items())[:2]
        raise BadRequest(f"vectors of {first!r} have {one} numbers, and those of {second!r} {other}; give as many")
    return next(iter(found), 0)
