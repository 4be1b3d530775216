"""Files that are one document."""

import gzip

import pytest

from embedstack.documents.document import Document, Reading
from embedstack.documents.reading import Reader
from embedstack.documents.source import open_source
from embedstack.errors import Mismatch
from support.documents import codes, read_file, read_folder, segments_of, texts, write_files


def test_markdown_is_its_body_with_the_front_matter_as_metadata(tmp_path):
    (found,) = read_file(tmp_path, "a/b.md", "---\nauthor: x\n---\n# Head\n")

    assert found == Document("a/b.md", "# Head\n", "markdown", {"author": "x"})


def test_a_text_file_is_its_text(tmp_path):
    (found,) = read_file(tmp_path, "a.txt", "---\na: 1\n---\n")

    assert found == Document("a.txt", "---\na: 1\n---\n", "text", {})


def test_lines_of_all_systems_become_the_same_text(tmp_path):
    found = read_folder(write_files(tmp_path, {"a.md": "---\na: 1\n---\nb\n", "b.md": b"---\r\na: 1\r\n---\r\nb\r\n"}))

    assert [(one.text, one.metadata) for one in found] == [("b\n", {"a": 1})] * 2


def test_a_mark_of_byte_order_is_no_part_of_the_text(tmp_path):
    (found,) = read_file(tmp_path, "a.md", b"\xef\xbb\xbf---\na: 1\n---\nb")

    assert (found.text, found.metadata) == ("b", {"a": 1})


def test_null_bytes_stay(tmp_path):
    assert texts(read_file(tmp_path, "a.txt", b"a\0b")) == ["a\0b"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"---\na: 1\n---\n\n", "empty"),
        (b"a\xffb", "bad_utf8"),
        ("text".encode("utf-16"), "bad_utf8"),
        (b"---\na: [\n---\ntext", "bad_front_matter"),
        (b"x" * 101, "too_large"),
    ],
)
def test_a_file_that_is_no_document_is_told(tmp_path, data, code):
    found = read_file(tmp_path, "a.md", data, Reading(max_document_bytes=100))

    assert (codes(found), found[0].doc_id) == ([code], "a.md")


def test_a_packed_file_is_measured_after_unpacking(tmp_path):
    found = read_file(tmp_path, "a.md.gz", gzip.compress(b"x" * 10_000), Reading(max_document_bytes=1000))

    assert codes(found) == ["too_large"]


def test_a_packed_file_is_unpacked(tmp_path):
    assert texts(read_file(tmp_path, "a.md.gz", gzip.compress(b"# Head"))) == ["# Head"]


TORN = {
    "without its end": gzip.compress(b"text" * 1000)[:-9],
    "no archive": b"no archive",
    "half a head": gzip.compress(b"")[:5],
    "empty": b"",
}


@pytest.mark.parametrize("data", TORN.values(), ids=TORN)
def test_a_torn_archive_is_one_document_that_cannot_be_read(tmp_path, data):
    assert codes(read_file(tmp_path, "a.md.gz", data)) == ["torn"]


def test_a_file_of_another_size_is_refused(tmp_path):
    (segment,) = segments_of(write_files(tmp_path, {"a.md": "before"}))
    write_files(tmp_path, {"a.md": "before and after"})

    with Reader(open_source([str(tmp_path)]), Reading()) as reader, pytest.raises(Mismatch, match=r"6 bytes.*16 now"):
        list(reader.read(segment))


def test_a_page_in_an_older_encoding_is_read_as_it_says(tmp_path):
    page = '<meta charset="windows-1251"><p>Привет</p>'.encode("cp1251")

    assert texts(read_file(tmp_path, "a.html", page)) == ["Привет"]


def test_a_page_in_utf8_is_read_so_whatever_it_says(tmp_path):
    page = '<meta charset="iso-8859-1"><p>Привет</p>'.encode()

    assert texts(read_file(tmp_path, "a.html", page)) == ["Привет"]


@pytest.mark.parametrize("declared", [b"", b"utf-8", b"nothing", b"unicode_escape", b"utf-16", b"rot13"])
def test_a_page_in_no_encoding_that_it_says_is_told(tmp_path, declared):
    page = b'<meta charset="' + declared + b'"><p>\xff\xfe\xfa</p>'

    assert codes(read_file(tmp_path, "a.html", page)) == ["bad_utf8"]
