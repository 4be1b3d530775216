"""A job's table, or Parquet files of any origin -> their rows as things, with their vectors."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from embedstack.deduping.stored import ROWS_AT_ONCE, Stored, name_of, thing_of
from embedstack.deduping.thing import How, Thing
from embedstack.errors import BadRequest
from embedstack.loading.columns import VECTORS, Layout, cells_of, first_width, layout_of, matrix_of
from embedstack.loading.footers import one_origin, said_by
from embedstack.loading.found import Files, find
from embedstack.loading.job_table import JobTable
from embedstack.loading.parquet_files import Ending, Run, ending_of, runs_of
from embedstack.loading.source import DENSE
from embedstack.loading.source import How as Loading
from embedstack.storage.storage import Storage

PLAIN = Loading(sparse=None)


def has_column(path: Path) -> bool:
    """Whether a file has a column that is called like one of vectors."""
    found = find(str(path))
    assert isinstance(found, Files)
    return not set(ending_of(found, found.entries[0]).schema.names).isdisjoint(VECTORS)


def job(storage: Storage, how: How) -> Stored:
    """A finished job; its rows are called by their chunk ids.

    Raises:
        Missing: there is no job. Mismatch: it is not finished, or damaged.
    """
    table = JobTable(storage, PLAIN)
    return Stored(table.label, table.fields[DENSE].origin, _of_job(table, how))


def parquet(files: Files, how: How) -> Stored:
    """Files with a column of vectors each.

    Raises:
        BadRequest: a file has no such column, or no file has a row. Mismatch: they are of two models.
    """
    endings = [ending_of(files, entry) for entry in files.entries]
    layouts = [layout_of(ending.schema, ending.entry.key, PLAIN) for ending in endings]
    keys = [ending.entry.key for ending in endings]
    said = [(key, said_by(ending.footer, key)) for key, ending in zip(keys, endings, strict=True)]
    return Stored(files.label, one_origin(said), _of_files(files, list(zip(endings, layouts, strict=True)), how))


def _of_job(table: JobTable, how: How) -> Iterator[Thing]:
    for points in table.batches(0, ROWS_AT_ONCE):
        matrix = np.asarray(points.vectors[DENSE], np.float32)
        for vector, payload in zip(matrix, points.payloads, strict=True):
            yield thing_of(str(payload["chunk_id"]), vector, payload, how)


def _of_files(files: Files, tables: Sequence[tuple[Ending, Layout]], how: How) -> Iterator[Thing]:
    dim = 0
    for ending, layout in tables:
        with closing(runs_of(files, ending)) as runs:
            for run in runs:
                dim = dim or layout.dim or first_width(run.batch.column(layout.vector), run.places[0])
                yield from _of_run(run, layout, dim, how)
    if not dim:
        raise BadRequest(f"there is no row in {files.label}; name files with rows")


def _of_run(run: Run, layout: Layout, dim: int, how: How) -> Iterator[Thing]:
    cells = cells_of(run.batch, layout, run.places, PLAIN)
    matrix = matrix_of(run.batch.column(layout.vector), dim, run.places)
    for point, kind, place, payload, vector in zip(
        cells.ids, cells.kinds, run.places, cells.payloads, matrix, strict=True
    ):
        called = f"{place.key}:{place.number}" if kind == "place" else str(point)
        yield thing_of(name_of(payload, called), vector, payload, how)
