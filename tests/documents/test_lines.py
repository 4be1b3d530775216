"""JSON lines as documents."""

import gzip
import io
import json

import pytest

from embedstack.documents import runs
from embedstack.documents.document import Document, Reading
from embedstack.documents.reading import Reader, scan
from embedstack.documents.source import open_source
from embedstack.errors import ConfigError, Mismatch
from support.documents import codes, read_file, read_folder, segments_of, texts, write_files


def lines(number, width=0):
    return b"".join(json.dumps({"text": f"row {i} " + "x" * (i * width % 97)}).encode() + b"\n" for i in range(number))


def test_a_row_is_its_text_its_id_and_the_other_columns(tmp_path):
    (found,) = read_file(tmp_path, "a.jsonl", '{"id": "k", "text": "hello", "year": 1897, "tags": ["a", null]}\n')

    assert found == Document("a.jsonl#id=k", "hello", "text", {"year": 1897, "tags": ["a", None]})


def test_a_row_without_an_id_is_named_by_its_place(tmp_path):
    found = read_file(tmp_path, "a.jsonl", '{"text": "one"}\n{"id": null, "text": "two"}\n')

    assert [one.doc_id for one in found] == ["a.jsonl#0", "a.jsonl#1"]


def test_doc_id_goes_before_id(tmp_path):
    (found,) = read_file(tmp_path, "a.jsonl", '{"id": 7, "doc_id": 8, "text": "one"}\n')

    assert (found.doc_id, found.metadata) == ("a.jsonl#doc_id=8", {"id": 7})


def test_the_fields_can_be_named(tmp_path):
    reading = Reading(text_field="body", id_field="url")
    (found,) = read_file(tmp_path, "a.jsonl", '{"id": 1, "url": "u", "body": "b", "text": "t"}\n', reading)

    assert found == Document("u", "b", "text", {"id": 1, "text": "t"})


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (b"", "empty"),
        (b'{"text": ""}', "empty"),
        (b'{"text": " \\n"}', "empty"),
        (b'{"text": null}', "empty"),
        (b'{"body": "x"}', "no_text"),
        (b'{"text": 5}', "no_text"),
        (b'{"text": "x"', "bad_json"),
        (b'["text"]', "bad_json"),
        (b'{"text": "x"} {"text": "y"}', "bad_json"),
        (b'{"text": "\xff"}', "bad_utf8"),
        pytest.param(b"[" * 100_000, "bad_json", id="deep"),
        (b'{"text": "\\ud800"}', "bad_json"),
        pytest.param(b'{"text": "x", "id": "' + b"i" * 600 + b'"}', "bad_id", id="long id"),
        (b'{"text": "x", "id": "a\\u0000b"}', "bad_id"),
    ],
)
def test_a_row_that_is_none_is_told_from_its_neighbours(tmp_path, row, code):
    found = read_file(tmp_path, "a.jsonl", b'{"text": "before"}\n' + row + b'\n{"text": "behind"}\n')

    assert codes(found) == ["", code, ""]


@pytest.mark.parametrize(("row", "code"), [('{"text": "x"}', "no_id"), ('{"text": "x", "k": [1]}', "bad_id")])
def test_a_named_id_must_be_there(tmp_path, row, code):
    assert codes(read_file(tmp_path, "a.jsonl", row, Reading(id_field="k"))) == [code]


def test_messages_hold_nothing_of_the_row(tmp_path):
    rows = b'{"text": "secret", "id": true}\n"secret"\n{"text": "secret\n{"text": 5, "secret": 1}\n\xffsecret\n'
    found = read_file(tmp_path, "a.jsonl", rows, Reading(id_field="id"))

    assert not any("secret" in one.message for one in found)


def test_a_mark_of_byte_order_is_no_part_of_the_first_row(tmp_path):
    assert texts(read_file(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"text": "one"}\n')) == ["one"]


def test_lines_may_end_as_on_windows(tmp_path):
    assert texts(read_file(tmp_path, "a.jsonl", b'{"text": "one"}\r\n{"text": "two"}\r\n')) == ["one", "two"]


def test_a_last_line_without_an_end_is_a_row(tmp_path):
    assert texts(read_file(tmp_path, "a.jsonl", b'{"text": "one"}\n{"text": "two"}')) == ["one", "two"]


def test_null_characters_in_a_text_stay(tmp_path):
    assert texts(read_file(tmp_path, "a.jsonl", b'{"text": "a\\u0000b"}\n')) == ["a\0b"]


def test_large_whole_numbers_are_the_ids_that_were_written(tmp_path):
    (found,) = read_file(tmp_path, "a.jsonl", '{"id": 123456789012345678901234567890, "text": "x"}')

    assert found.doc_id == "a.jsonl#id=123456789012345678901234567890"


def test_an_id_that_was_not_named_is_no_other_files_and_no_other_rows(tmp_path):
    write_files(tmp_path, {"a.jsonl": '{"id": 1, "text": "x"}\n{"text": "y"}\n', "b.jsonl": '{"id": 1, "text": "z"}\n'})

    assert [one.doc_id for one in read_folder(tmp_path)] == ["a.jsonl#id=1", "a.jsonl#1", "b.jsonl#id=1"]


def test_a_file_of_no_bytes_has_no_segment(tmp_path):
    assert segments_of(write_files(tmp_path, {"a.jsonl": ""})) == []


def test_a_row_over_the_limit_is_passed_over(tmp_path):
    rows = b'{"text": "one"}\n{"text": "' + b"x" * (3 << 20) + b'"}\n{"text": "two"}\n'
    found = read_file(tmp_path, "a.jsonl", rows, Reading(max_document_bytes=1000))

    assert codes(found) == ["", "too_large", ""]


@pytest.mark.parametrize("size", [63, 64, 65, 66])
def test_the_limit_counts_the_line_without_its_end(tmp_path, size):
    row = b'{"text": "' + b"x" * (size - 12) + b'"}\n'
    found = read_file(tmp_path, "a.jsonl", row + row, Reading(max_document_bytes=64))

    assert codes(found) == ["" if size <= 64 else "too_large"] * 2


@pytest.mark.parametrize("shard_docs", [1, 2, 7, 1000])
def test_segments_meet_and_cover_the_file(tmp_path, shard_docs):
    data = lines(23, width=31)
    segments = segments_of(write_files(tmp_path, {"a.jsonl": data}), shard_docs=shard_docs)

    assert [segment.start for segment in segments] == [0, *(segment.stop for segment in segments)][:-1]
    assert segments[-1].stop == len(data)
    assert [segment.first for segment in segments] == list(range(0, 23, shard_docs))
    assert sum(segment.docs for segment in segments) == 23


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_segment_ends_with_the_row_that_reaches_its_bytes(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(runs, "MOST_BYTES", 250)
    rows = ["r" * 99, "r" * 99, "r" * 99, "r" * 999, "r", *["r" * 99] * 4]
    data = "".join(f"{row}\n" for row in (["text", *rows] if ending == "csv" else rows))
    segments = segments_of(write_files(tmp_path, {f"a.{ending}": data}))

    assert [segment.docs for segment in segments] == [3, 1, 4, 1]
    assert segments[-1].stop == len(data)


def test_rows_with_quotes_are_cut_where_others_are(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "MOST_BYTES", 250)
    widths = (99, 99, 99, 999, 5, 99)
    plain = "".join("r" * width + "\n" for width in widths)
    quoted = "".join('"' + "r" * (width - 2) + '"\n' for width in widths)
    write_files(tmp_path, {"a.csv": f"text\n{plain}", "b.csv": f"text\n{quoted}"})
    cut = [(segment.docs, segment.start, segment.stop) for segment in segments_of(tmp_path)]

    assert len(cut) == 6
    assert cut[:3] == cut[3:]


@pytest.mark.slow
@pytest.mark.parametrize("shard_docs", [1, 999, 100_000])
def test_segments_are_the_same_whatever_blocks_are_read(tmp_path, shard_docs):
    data = lines(34_000, width=31)
    ends = [place + 1 for place, byte in enumerate(data) if byte == 10]
    segments = segments_of(write_files(tmp_path, {"a.jsonl": data}), shard_docs=shard_docs)

    assert len(data) > 2 << 20
    assert [segment.stop for segment in segments] == sorted({*ends[shard_docs - 1 :: shard_docs], ends[-1]})


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("backwards", [False, True])
def test_segments_may_be_read_in_any_order(tmp_path, ending, backwards):
    write_files(tmp_path, {f"a.jsonl{ending}": packed(lines(100), ending)})

    assert texts(read_folder(tmp_path, shard_docs=7, backwards=backwards)) == [f"row {i} " for i in range(100)]


def test_a_segment_that_was_left_in_the_middle_does_no_harm(tmp_path):
    first, second, *_ = segments_of(write_files(tmp_path, {"a.jsonl": lines(10)}), shard_docs=5)
    with Reader(open_source([str(tmp_path)]), Reading()) as reader:
        next(reader.read(first))

        assert texts(list(reader.read(second))) == [f"row {i} " for i in range(5, 10)]


@pytest.mark.parametrize("change", [lambda data: data[:-20], lambda data: data + b'{"text": "new"}\n'])
def test_a_file_of_another_size_is_refused(tmp_path, change):
    (segment,) = segments_of(write_files(tmp_path, {"a.jsonl": lines(10)}))
    write_files(tmp_path, {"a.jsonl": change(lines(10))})

    with (
        Reader(open_source([str(tmp_path)]), Reading()) as reader,
        pytest.raises(Mismatch, match=r"a\.jsonl.*--since"),
    ):
        list(reader.read(segment))


def test_a_file_that_is_gone_is_refused(tmp_path):
    (segment,) = segments_of(write_files(tmp_path, {"a.jsonl": lines(10)}))
    (tmp_path / "a.jsonl").unlink()

    with Reader(open_source([str(tmp_path)]), Reading()) as reader, pytest.raises(Mismatch, match="gone"):
        list(reader.read(segment))


def test_a_file_with_fewer_rows_than_were_counted_is_refused(tmp_path):
    (segment,) = segments_of(write_files(tmp_path, {"a.jsonl": lines(10)}))
    write_files(tmp_path, {"a.jsonl": lines(10).replace(b"\n", b" ", 3)})

    with Reader(open_source([str(tmp_path)]), Reading()) as reader, pytest.raises(Mismatch, match="before row 10"):
        list(reader.read(segment))


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_torn_archive_of_rows_is_refused_when_it_is_planned(tmp_path, ending):
    write_files(tmp_path, {f"a.jsonl{ending}": packed(lines(10_000, width=31), ending)[:-100]})

    with pytest.raises(ConfigError, match=f"a.jsonl{ending}.*damaged"):
        segments_of(tmp_path)


class Failing(io.BytesIO):
    def read(self, size=-1):
        raise TimeoutError


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_an_archive_whose_file_fails_is_not_torn(tmp_path, monkeypatch, name):
    source = open_source([str(write_files(tmp_path, {name: b"packed"}))])
    (entry,) = source.entries()
    monkeypatch.setattr(source, "open", lambda _: Failing())

    with pytest.raises(ConfigError, match="cannot be read: TimeoutError; run again"):
        list(scan(source, entry, Reading(), 10))


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_an_archive_of_no_bytes_is_torn(tmp_path, name):
    write_files(tmp_path, {name: b""})

    with pytest.raises(ConfigError, match="ends too early"):
        segments_of(tmp_path)


def test_an_archive_of_several_parts_is_one_file(tmp_path):
    write_files(tmp_path, {"a.jsonl.gz": gzip.compress(lines(5)) + gzip.compress(lines(5))})

    assert len(texts(read_folder(tmp_path))) == 10


def packed(data, ending):
    if ending == ".zst":
        import pyarrow as pa

        return pa.compress(data, codec="zstd", asbytes=True)
    return gzip.compress(data) if ending else data
