"""Tables and files in buckets, over real HTTP to our own stand-in."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedstack.errors import ConfigError, Mismatch
from embedstack.loading.found import Files, JobFolder, find
from embedstack.loading.job_table import JobTable
from embedstack.loading.source import How
from support.loadable import (
    TEXTS,
    columns_of,
    flat,
    ids_of,
    json_lines,
    lines_of,
    parquet,
    row,
    written_parquet,
)
from support.tables import job
from support.xml_bucket import XmlBucket, variables

ROWS = [row(text) for text in TEXTS]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[XmlBucket]:
    with XmlBucket() as made:
        for name, value in {**variables("s3", made.address), "NO_PROXY": "127.0.0.1"}.items():
            monkeypatch.setenv(name, value)
        yield made


def test_a_job_in_a_bucket_is_the_same_as_on_a_disk(bucket: XmlBucket, tmp_path: Path) -> None:
    storage = job(tmp_path, [{"a.md": ["one", "two"]}, {"b.md": ["three"]}])
    for entry in storage.list():
        bucket.state.put(f"out/{entry.key}", storage.get(entry.key))

    found = find("s3://bucket/out")

    assert isinstance(found, JobFolder)
    here, there = JobTable(storage, How()), JobTable(found.storage, How())
    assert (there.label, there.digest) == ("s3://bucket/out", here.digest)
    assert flat(there.batches(1, 2)) == flat(here.batches(1, 2))


def test_files_are_found_by_prefix_name_and_pattern(bucket: XmlBucket) -> None:
    for key in ("in/a.jsonl", "in/b.jsonl.gz", "in/below/c.jsonl", "in/_SUCCESS", "other.jsonl"):
        bucket.state.put(key, gzip.compress(lines_of(ROWS)) if key.endswith("gz") else lines_of(ROWS))

    assert _keys("s3://bucket/in") == ["a.jsonl", "b.jsonl.gz", "below/c.jsonl"]
    assert _keys("s3://bucket/in/b.jsonl.gz") == ["b.jsonl.gz"]
    assert _keys("s3://bucket/in/*.jsonl") == ["a.jsonl"]
    assert _keys("s3://bucket")[-1] == "other.jsonl"
    assert len(ids_of(json_lines("s3://bucket/in/b.jsonl.gz"))) == len(TEXTS)


def test_tables_in_a_bucket_are_read(bucket: XmlBucket, tmp_path: Path) -> None:
    path = written_parquet(tmp_path / "a.parquet", columns_of())
    bucket.state.put("in/a.parquet", path.read_bytes())

    assert flat(parquet("s3://bucket/in").batches(1, 2)) == flat(parquet(path).batches(1, 2))


def test_an_object_that_was_replaced_is_not_read_on(bucket: XmlBucket) -> None:
    bucket.state.put("in/a.jsonl", lines_of(ROWS))
    source = json_lines("s3://bucket/in")
    bucket.state.put("in/a.jsonl", lines_of(ROWS[:4]))

    with pytest.raises(Mismatch, match="was written to"):
        next(source.batches(0, 2))


def test_nothing_below_a_prefix_is_refused(bucket: XmlBucket) -> None:
    with pytest.raises(ConfigError, match="in s3://bucket/none is nothing that can be loaded"):
        find("s3://bucket/none")


def _keys(named: str) -> list[str]:
    found = find(named)
    assert isinstance(found, Files)
    return [entry.key for entry in found.entries]
