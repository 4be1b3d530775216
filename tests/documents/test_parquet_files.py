"""Parquet as documents."""

import datetime
import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedstack.documents import parquet
from embedstack.documents.document import Document, Reading
from embedstack.documents.reading import Reader
from embedstack.documents.source import open_source
from embedstack.errors import ConfigError, Upstream
from support.documents import codes, read_folder, segments_of, texts, write_files

KINDS = [
    *(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()),
    *(pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.binary())),
]


class Failing(io.FileIO):
    """A file that raises, from when it has an error on."""

    error = None

    def read(self, size=-1):
        if self.error:
            raise self.error
        return super().read(size)


def written(folder, columns, **options):
    pq.write_table(pa.table(columns), folder / "a.parquet", **options)
    return folder


def test_a_row_is_its_text_its_id_and_the_other_columns(tmp_path):
    written(tmp_path, {"id": [1], "text": ["hello"], "year": [1897]})

    assert read_folder(tmp_path) == [Document("a.parquet#id=1", "hello", "text", {"year": 1897})]


def test_odd_types_become_what_json_has(tmp_path):
    moment = datetime.datetime(2024, 1, 5, 12, tzinfo=datetime.timezone.utc)
    columns = {
        "text": ["x"],
        "day": [moment.date()],
        "moment": pa.array([moment], pa.timestamp("ns", "Europe/Berlin")),
        "plain": pa.array([1], pa.timestamp("ns")),
        "time": pa.array([1001], pa.time64("ns")),
        "duration": pa.array([1001], pa.duration("ns")),
        "times": pa.array([[1001]], pa.list_(pa.timestamp("ns", "Nowhere/Zone"))),
        "within": pa.array([{"t": 1001}], pa.struct([("t", pa.timestamp("ns"))])),
        "words": pa.array([["w"]], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        "price": [Decimal("1.50")],
        "data": [b"\x00\xff"],
        "list": [[1.5, float("nan")]],
        "struct": [{"a": None, "b": moment.date()}],
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())),
        "word": pa.array(["w"]).dictionary_encode(),
        "none": [None],
    }
    (found,) = read_folder(written(tmp_path, columns))

    assert found.metadata == {
        "day": "2024-01-05",
        "moment": "2024-01-05T12:00:00+00:00",
        "plain": "1970-01-01T00:00:00",
        "time": "00:00:00.000001",
        "duration": 0.000001,
        "times": ["1970-01-01T00:00:00.000001+00:00"],
        "within": {"t": "1970-01-01T00:00:00.000001"},
        "words": ["w"],
        "price": "1.50",
        "data": "AP8=",
        "list": [1.5, None],
        "struct": {"a": None, "b": "2024-01-05"},
        "map": [["k", 1]],
        "word": "w",
        "none": None,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_text_column_is_read(tmp_path, kind):
    written(tmp_path, {"text": pa.array(["one", "two"]).cast(kind), "id": pa.array(["a", "b"]).cast(kind)})
    found = read_folder(tmp_path, Reading(id_field="id"))

    assert [(one.doc_id, one.text) for one in found] == [("a", "one"), ("b", "two")]


@pytest.mark.parametrize("text", [pa.array([1]), pa.array([1], pa.date32()), pa.array([b"x"], pa.binary(1)), [["x"]]])
def test_a_column_of_other_values_is_no_text(tmp_path, text):
    with pytest.raises(ConfigError, match=r"in column 'text', not text; name one with --text-field"):
        segments_of(written(tmp_path, {"text": text}))


def test_a_column_of_times_is_no_id(tmp_path):
    written(tmp_path, {"text": ["x"], "id": pa.array([1], pa.date32())})

    assert read_folder(tmp_path)[0].doc_id == "a.parquet#0"
    with pytest.raises(ConfigError, match=r"date32\[day\] in column 'id', not ids"):
        segments_of(tmp_path, Reading(id_field="id"))


def test_two_columns_of_one_name_are_refused(tmp_path):
    pq.write_table(pa.Table.from_arrays([pa.array(["x"])] * 3, names=["text", "a", "a"]), tmp_path / "a.parquet")

    with pytest.raises(ConfigError, match="two columns 'a'"):
        segments_of(tmp_path)


@pytest.mark.parametrize(
    "odd",
    [
        pa.array([0, 10**18, 0], pa.timestamp("us")),
        pa.array([0, 10**15, 0], pa.timestamp("s")),
        pa.array([0, 10**8, 0], pa.date32()),
        pa.array([0, 2**62, 0], pa.duration("s")),
        pa.array([[0], [0, 10**18], [0]], pa.list_(pa.timestamp("us"))),
    ],
    ids=str,
)
def test_a_time_that_cannot_be_told_makes_one_row_unreadable(tmp_path, odd):
    assert codes(read_folder(written(tmp_path, {"text": ["a", "b", "c"], "odd": odd}))) == ["", "bad_value", ""]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("shard_docs", [1, 7, 10, 1000])
def test_segments_may_be_read_in_any_order(tmp_path, shard_docs, backwards):
    rows = [f"row {i}" for i in range(45)]
    written(tmp_path, {"text": rows}, row_group_size=10)

    assert texts(read_folder(tmp_path, shard_docs=shard_docs, backwards=backwards)) == rows


def test_rows_without_text_are_told(tmp_path):
    written(tmp_path, {"text": ["one", None, ""]})

    assert codes(read_folder(tmp_path)) == ["", "empty", "empty"]


def test_a_text_over_the_limit_is_told(tmp_path):
    written(tmp_path, {"text": ["é" * 40, "é" * 60]})

    assert codes(read_folder(tmp_path, Reading(max_document_bytes=100))) == ["", "too_large"]


def test_a_cell_over_the_limit_is_told(tmp_path):
    written(tmp_path, {"text": ["a", "b", "c"], "page": ["", "x" * 300, ""]})

    assert codes(read_folder(tmp_path, Reading(max_document_bytes=100))) == ["", "too_large", ""]


def test_a_value_that_all_rows_point_to_is_in_memory_few_times(tmp_path):
    rows = 60
    values = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * (1 << 20)]))
    pq.write_table(pa.table({"text": ["a"] * rows, "page": values}), tmp_path / "a.parquet", store_schema=False)
    (segment,) = segments_of(tmp_path)
    before = pa.total_allocated_bytes()
    with Reader(open_source([str(tmp_path)]), Reading()) as reader:
        held = [pa.total_allocated_bytes() - before for _ in reader.read(segment)]

    assert len(held) == rows
    assert max(held) < 40 << 20


def test_segments_end_where_their_bytes_do(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MOST_BYTES", 1000)
    rows = [f"{i:04}" * 50 for i in range(20)]
    written(tmp_path, {"text": rows}, row_group_size=7, use_dictionary=False)
    segments = segments_of(tmp_path)

    assert all(3 <= segment.docs <= 5 for segment in segments[:-1])  # 200 bytes of text, and what a page has besides
    assert texts(read_folder(tmp_path, backwards=True)) == rows


def test_a_file_without_rows_has_no_segment(tmp_path):
    assert segments_of(written(tmp_path, {"text": pa.array([], pa.string())})) == []


def test_a_file_without_the_text_column_is_refused_when_it_is_planned(tmp_path):
    with pytest.raises(ConfigError, match="has no column 'text', but: body"):
        segments_of(written(tmp_path, {"body": ["one"]}))


def test_a_file_that_is_no_parquet_is_refused_when_it_is_planned(tmp_path):
    with pytest.raises(ConfigError, match="no Parquet file"):
        segments_of(write_files(tmp_path, {"a.parquet": b"PAR1 and no more"}))


def test_damaged_pages_make_their_rows_unreadable(tmp_path):
    path = written(tmp_path, {"text": [f"row {i} {i**7}" for i in range(40)]}, row_group_size=10, use_dictionary=False)
    group = pq.read_metadata(path / "a.parquet").row_group(2).column(0)
    data = bytearray((path / "a.parquet").read_bytes())
    data[group.data_page_offset : group.data_page_offset + 20] = b"\xff" * 20
    (path / "a.parquet").write_bytes(data)
    segments = segments_of(tmp_path, shard_docs=10)
    with Reader(open_source([str(tmp_path)]), Reading()) as reader:
        forwards = [codes(list(reader.read(segment))) for segment in segments]
        backwards = [codes(list(reader.read(segment))) for segment in reversed(segments)]

    assert forwards == [[""] * 10, [""] * 10, ["bad_parquet"] * 10, [""] * 10] == backwards[::-1]


@pytest.mark.parametrize("error", [Upstream("lost", retry=True), TimeoutError(), OSError("lost"), MemoryError()])
def test_a_file_that_fails_is_no_damage(tmp_path, monkeypatch, error):
    written(tmp_path, {"text": [f"row {i} {i**7}" for i in range(40)]}, row_group_size=10, use_dictionary=False)
    (segment,) = segments_of(tmp_path)
    source = open_source([str(tmp_path)])
    with Reader(source, Reading()) as reader:
        file = Failing(tmp_path / "a.parquet")
        monkeypatch.setattr(source, "open", lambda _: file)
        reading = reader.read(segment)
        next(reading)
        file.error = error

        with pytest.raises(type(error) if not isinstance(error, OSError) else ConfigError):
            list(reading)


@pytest.mark.parametrize("error", [pa.ArrowMemoryError("malloc"), pa.ArrowCancelled("stop")])
def test_a_machine_that_fails_is_no_damage(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    (segment,) = segments_of(written(tmp_path, {"text": ["one"]}))
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", fail)

    with Reader(open_source([str(tmp_path)]), Reading()) as reader, pytest.raises(type(error)):
        list(reader.read(segment))


@pytest.mark.parametrize("kind", [pa.string(), pa.binary()])
def test_a_text_that_is_not_utf8_makes_one_row_unreadable(tmp_path, kind):
    texts_of = pa.array([b"one", b"\xff", b"three"]).view(kind)

    assert codes(read_folder(written(tmp_path, {"text": texts_of}))) == ["", "bad_utf8", ""]
