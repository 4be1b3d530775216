"""A finished job's table, or Parquet files of any origin -> some of their rows from all over."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice

import orjson

from embedstack.errors import BadRequest
from embedstack.identifying.rows import Pool, Row, fields_of
from embedstack.jobs.arrow import pa
from embedstack.jobs.commit import Part
from embedstack.jobs.finished import finished, opened_part
from embedstack.jobs.rows import Rows
from embedstack.loading.columns import VECTORS, first_width, matrix_of
from embedstack.loading.describing import job_origin
from embedstack.loading.footers import one_origin, said_by
from embedstack.loading.found import Files, spread
from embedstack.loading.parquet_files import Ending, Run, ending_of, runs_of
from embedstack.storage.storage import Storage

GROUPS = 16  # parts or row groups that are read, far from each other
RUNS = 4  # of each of these so many times 1000 rows are looked at


def pool_of_job(storage: Storage, most: int) -> Pool:
    """At most about so many rows.

    Raises:
        Missing: there is no job. Mismatch: it is not finished, or damaged. BadRequest: it has no rows.
    """
    table = finished(storage)
    parts = [part for part in table.manifest.parts if part.rows]
    chosen = [parts[place] for place in spread(len(parts), GROUPS)]
    if not chosen:
        raise BadRequest(f"the table in {storage.url} has no rows; name one that has some")
    rows = [row for part in chosen for row in _of_part(storage, part, -(-most // len(chosen)))]
    return Pool(label=storage.url, rows=rows, total=table.manifest.rows, origin=job_origin(table.plan))


def _of_part(storage: Storage, part: Part, most: int) -> list[Row]:
    with opened_part(storage, part) as reader:
        looked = list(islice(reader.groups(), RUNS))
    return [row for rows in looked for row in _spread(rows, part.key, -(-most // len(looked)))]


def _spread(rows: Rows, key: str, most: int) -> Iterator[Row]:
    for place in spread(len(rows), most):
        said: Mapping[str, object] = {
            "doc_id": rows.doc_ids[place],
            "text": None if rows.texts is None else rows.texts[place],
            "metadata": orjson.loads(rows.metadata[place]),
        }
        yield Row(f"chunk {rows.chunk_ids[place]!r} of {key!r}", fields_of(said), rows.vectors[place])


def pool_of_parquet(files: Files, vector: str, most: int) -> Pool:
    """At most about so many rows.

    Raises:
        BadRequest: which column holds the vectors cannot be told, or there are no rows. Mismatch: files of two models.
        ConfigError: one is no Parquet file. BadRow: it is damaged, or rows have vectors of two widths.
    """
    endings = [ending_of(files, entry) for entry in files.entries]
    groups = [(ending, first) for ending in endings for first in _firsts(ending)]
    if not groups:
        raise BadRequest(f"there is no row in {files.label}; name files with rows")
    chosen = [groups[place] for place in spread(len(groups), GROUPS)]
    each = -(-most // len(chosen))
    rows = [row for ending, first in chosen for row in _of_group(files, ending, first, vector, each)]
    origin = one_origin([(ending.entry.key, said_by(ending.footer, ending.entry.key)) for ending in endings])
    return Pool(label=files.label, rows=rows, total=sum(ending.rows for ending in endings), origin=origin)


def _firsts(ending: Ending) -> Iterator[int]:
    """Where row groups begin that have rows."""
    first = 0
    for rows in ending.groups:
        if rows:
            yield first
        first += rows


def _of_group(files: Files, ending: Ending, first: int, vector: str, most: int) -> list[Row]:
    name = vector_column(ending.schema, ending.entry.key, vector)
    texts = [one.name for one in ending.schema if one.name != name and _says(one.type)]
    behind = next((start for start in _firsts(ending) if start > first), ending.rows)
    found: list[Row] = []
    with closing(runs_of(files, ending, first, columns=[name, *texts])) as runs:
        for run in islice(runs, RUNS):
            if run.places[0].number < behind:
                found += _of_run(run, name, texts, most)
    return [found[place] for place in spread(len(found), most)]


def _of_run(run: Run, name: str, texts: Sequence[str], most: int) -> Iterator[Row]:
    chosen = spread(len(run.places), most)
    batch, at = run.batch.take(pa.array(chosen)), [run.places[place] for place in chosen]
    column = batch.column(name)
    vectors = matrix_of(column, first_width(column, at[0]), at)
    said = batch.select(texts).to_pylist() if texts else [{}] * len(vectors)
    for place, payload, vector in zip(at, said, vectors, strict=True):
        yield Row(str(place), fields_of(payload), vector)


def vector_column(schema: pa.Schema, key: str, wanted: str) -> str:
    """The one that was named, else the only one that is called as vectors are.

    Raises:
        BadRequest: it is not there, or holds no lists of numbers; or several are, or none.
    """
    names = [wanted] if wanted else [name for name in VECTORS if name in schema.names]
    lists = [name for name in names if schema.names.count(name) == 1 and _is_vector(schema.field(name).type)]
    if len(lists) != 1:
        fitting = [one.name for one in schema if _is_vector(one.type)]
        raise BadRequest(
            f"{key!r} has lists of numbers in the columns {', '.join(map(repr, fitting)) or '(none)'}; name the one "
            "that holds the vectors with --vector"
        )
    return lists[0]


def _is_vector(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)))


def _says(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_struct(kind))
