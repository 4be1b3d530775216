"""Segments, and what is common to all forms."""

import os
import re
import tracemalloc
from pathlib import Path

import pytest

import embedstack.documents
from embedstack.documents.document import Reading, Segment
from embedstack.documents.reading import CODES, Reader, scan
from embedstack.documents.source import open_source
from embedstack.errors import Mismatch
from support.documents import codes, read_folder, segments_of, texts, write_files


def test_a_file_that_is_one_document_is_one_segment(tmp_path):
    write_files(tmp_path, {"a.md": "text", "b.html": "", "c.txt.gz": "no archive"})
    (first, *others) = segments_of(tmp_path)

    assert first == Segment("a.md", 4, first.version, 1)
    assert [segment.docs for segment in others] == [1, 1]


def test_forms_may_be_mixed_in_one_folder(tmp_path):
    write_files(tmp_path, {"a.md": "1", "b.jsonl": '{"text":"2"}\n{"text":"3"}', "c.csv": "text\n4\n", "d.txt": "5"})

    assert texts(read_folder(tmp_path)) == ["1", "2", "3", "4", "5"]


def test_a_form_that_was_asked_for_is_that_of_all_files(tmp_path):
    write_files(tmp_path, {"a.md": '{"text":"1"}', "b.log": '{"text":"2"}'})

    assert texts(read_folder(tmp_path, Reading(form="jsonl"))) == ["1", "2"]


def test_documents_are_the_same_however_they_are_cut(tmp_path):
    rows = "".join(f'{{"text":"{i}"}}\n' for i in range(50))
    write_files(tmp_path, {"a.jsonl": rows, "b.csv": "text\n" + "x\n" * 50, "c.md": "c"})

    assert read_folder(tmp_path, shard_docs=3, backwards=True) == read_folder(tmp_path, shard_docs=1000)


def test_a_source_of_another_form_is_refused(tmp_path):
    source = open_source([str(write_files(tmp_path, {"a.md": "text"}))])

    with pytest.raises(ValueError, match="jsonl"):
        Reader(source, Reading(form="jsonl"))


def test_every_code_is_described():
    room = Path(embedstack.documents.__file__).parent
    used = {code for file in room.glob("*.py") for code in re.findall(r'Unfit\(\s*"(\w+)"', file.read_text())}
    used |= {"torn", "bad_parquet"}

    assert used == set(CODES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_a_file_of_one_endless_line_takes_no_memory(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.write(b"text\n" if name == "a.csv" else b"")
        file.truncate(64 << 20)
    source = open_source([str(tmp_path)])
    reading = Reading(max_document_bytes=1 << 20)
    tracemalloc.start()
    segments = [segment for entry in source.entries() for segment in scan(source, entry, reading, 1000)]
    with Reader(source, reading) as reader:
        found = [one for segment in segments for one in reader.read(segment)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert codes(found) == ["too_large"]
    assert peak < 8 << 20


def test_a_reader_may_be_used_again_after_closing(tmp_path):
    (segment,) = segments_of(write_files(tmp_path, {"a.jsonl": '{"text":"1"}'}))
    reader = Reader(open_source([str(tmp_path)]), Reading())
    found = []
    for _ in range(2):
        found += texts(list(reader.read(segment)))
        reader.close()

    assert found == ["1", "1"]


def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path):
    (segment,) = segments_of(write_files(tmp_path, {"a.csv": "text\none\ntwo"}))
    with Reader(open_source([str(tmp_path)]), Reading()) as reader:
        reading = reader.read(segment)
        next(reading)
        write_files(tmp_path, {"a.csv": "text\nONE\nTWO"})
        os.utime(tmp_path / "a.csv", (1, 1))  # the clock of a file system may stand still for some milliseconds

        with pytest.raises(Mismatch, match="written to"):
            next(reading)


def test_a_document_that_was_written_to_after_planning_is_refused(tmp_path):
    (segment,) = segments_of(write_files(tmp_path, {"a.md": "one"}))
    write_files(tmp_path, {"a.md": "two"})
    os.utime(tmp_path / "a.md", (1, 1))

    with Reader(open_source([str(tmp_path)]), Reading()) as reader, pytest.raises(Mismatch, match="written to"):
        next(reader.read(segment))
