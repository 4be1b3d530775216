"""Buckets as input, over real HTTP to our own stand-in."""

import gzip
import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedstack.documents.document import Reading
from embedstack.documents.reading import Reader, scan
from embedstack.documents.source import open_source
from embedstack.errors import ConfigError, Mismatch
from support.documents import texts
from support.xml_bucket import XmlBucket, variables


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[XmlBucket]:
    with XmlBucket() as made:
        for name, value in {**variables("s3", made.address), "NO_PROXY": "127.0.0.1"}.items():
            monkeypatch.setenv(name, value)
        yield made


def read(*inputs: str) -> list[str]:
    reading = Reading()
    source = open_source(inputs)
    with Reader(source, reading) as reader:
        segments = [segment for entry in source.entries() for segment in scan(source, entry, reading, 2)]
        return texts([one for segment in segments for one in reader.read(segment)])


def parquet() -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table({"text": ["p1", "p2", "p3"]}), written, row_group_size=1)
    return written.getvalue()


def test_all_forms_are_read_below_a_prefix(bucket: XmlBucket) -> None:
    bucket.state.put("in/a.md", b"a")
    bucket.state.put("in/b/c.jsonl.gz", gzip.compress(b'{"text":"c1"}\n{"text":"c2"}\n{"text":"c3"}\n'))
    bucket.state.put("in/d.csv", b'text\nd1\n"d\n2"\nd3\n')
    bucket.state.put("in/e.parquet", parquet())
    bucket.state.put("other/f.md", b"f")

    assert read("s3://bucket/in") == ["a", "c1", "c2", "c3", "d1", "d\n2", "d3", "p1", "p2", "p3"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_object_is_a_file_and_its_name_with_a_slash_a_folder(bucket: XmlBucket, slash: str) -> None:
    bucket.state.put("in/a.md", b"file")
    bucket.state.put("in/a.md/b.md", b"folder")

    assert read(f"s3://bucket/in/a.md{slash}") == (["folder"] if slash else ["file"])


def test_a_whole_bucket_is_an_input(bucket: XmlBucket) -> None:
    bucket.state.put("a.md", b"a")

    assert read("s3://bucket") == ["a"]


def test_a_bucket_and_a_folder_are_two_inputs(bucket: XmlBucket, tmp_path) -> None:
    bucket.state.put("in/a.md", b"remote")
    (tmp_path / "b.md").write_text("local")

    assert read("s3://bucket/in", str(tmp_path / "b.md")) == ["local", "remote"]


def test_a_prefix_without_anything_is_refused(bucket: XmlBucket) -> None:
    with pytest.raises(ConfigError, match="nothing that can be read"):
        read("s3://bucket/nowhere")


def test_an_object_that_was_replaced_is_refused(bucket: XmlBucket) -> None:
    bucket.state.put("in/a.jsonl", b'{"text":"before"}\n')
    source = open_source(["s3://bucket/in"])
    (segment,) = [segment for entry in source.entries() for segment in scan(source, entry, Reading(), 10)]
    bucket.state.put("in/a.jsonl", b'{"text":"behind it"}\n')

    with Reader(source, Reading()) as reader, pytest.raises(Mismatch, match="had 18 bytes"):
        list(reader.read(segment))
