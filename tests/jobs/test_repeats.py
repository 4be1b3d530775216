"""Ids that come again are told when a job is planned: refused where nobody chose their column, else warned of."""

import asyncio
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedstack.documents.document import Reading
from embedstack.documents.reading import scan
from embedstack.errors import ConfigError
from embedstack.jobs.planning import plan
from embedstack.jobs.repeats import ROWS, SEGMENTS, repeats
from support.small_job import SmallJob, small_job

Row = Mapping[str, object]


def rows_of(doc_ids: Sequence[str]) -> list[Row]:
    return [{"doc_id": doc_id, "chunk": number, "text": f"text {number}"} for number, doc_id in enumerate(doc_ids)]


def job_of(folder: Path, id_field: str = "", **files: Sequence[Row]) -> SmallJob:
    """Files of rows, ended by what their names say: rows_jsonl."""
    (folder / "in").mkdir()
    for name, rows in files.items():
        path = folder / "in" / name.replace("_", ".")
        match path.suffix:
            case ".parquet":
                pq.write_table(pa.Table.from_pylist(list(rows)), path)
            case ".gz":
                path.write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows)))
            case _:
                path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return small_job(folder, 0, inputs=(str(folder / "in"),), reading=Reading(id_field=id_field))


def said(job: SmallJob) -> list[str]:
    lines: list[str] = []
    plan(job.wish, job.source, asyncio.run(job.opened()), job.storage, say=lines.append)
    return lines


@pytest.mark.parametrize("name", ["r_jsonl", "r_parquet", "r_jsonl_gz"])
def test_an_id_that_nobody_chose_and_that_comes_again_makes_no_plan(tmp_path: Path, name: str) -> None:
    job = job_of(tmp_path, **{name: rows_of(["a", "a", "b"])})

    with pytest.raises(ConfigError, match=r"1 of [23] rows .*doc_id=a' of row 0 of .* and row 1 of .*--id-field"):
        said(job)
    assert job.keys() == []


def test_a_chosen_id_that_comes_again_is_warned_of(tmp_path: Path) -> None:
    job = job_of(tmp_path, "doc_id", a_jsonl=rows_of(["x", "y"]), b_jsonl=rows_of(["z", "y"]))

    (line,) = said(job)
    assert "1 of 4 rows" in line
    assert "'y' of row 1 of 'a.jsonl' and row 1 of 'b.jsonl'" in line
    assert job.planned().docs == 4


def test_ids_that_differ_are_no_matter(tmp_path: Path) -> None:
    job = job_of(tmp_path, a_jsonl=rows_of(["x", "y"]), b_jsonl=rows_of(["x", "y"]))

    assert said(job) == []


def test_rows_that_cannot_be_read_have_no_id(tmp_path: Path) -> None:
    job = job_of(tmp_path, "url", a_jsonl=rows_of(["x", "y"]))

    assert said(job) == []


def test_some_segments_from_everywhere_are_looked_into(tmp_path: Path) -> None:
    doc_ids = [str(number) if number % 10 else "same" for number in range(3000)]
    job = job_of(tmp_path, "doc_id", a_jsonl=rows_of(doc_ids))
    job.wish = msgspec.structs.replace(job.wish, shard_docs=10, checkpoint_docs=10)

    (line,) = said(job)
    again, rows = map(int, re.findall(r"(\d+) of (\d+) rows", line)[0])
    assert SEGMENTS * 10 <= rows < 2 * SEGMENTS * 10
    assert again == rows // 10 - 1


def test_of_a_segment_the_first_rows_are_read(tmp_path: Path) -> None:
    job = job_of(tmp_path, "doc_id", a_jsonl=rows_of([str(number) for number in range(ROWS + 1)]))
    (entry,) = job.source.entries()
    segments = list(scan(job.source, entry, job.wish.reading, 2 * ROWS))

    assert [segment.docs for segment in segments] == [ROWS + 1]
    assert repeats(segments, job.source, job.wish.reading).rows == ROWS
