"""CSV as documents."""

import csv
import io
from random import Random

import pytest

from embedstack.documents.document import Document, Reading
from embedstack.documents.quotes import Quotes, cells
from embedstack.errors import ConfigError
from support.documents import codes, read_file, read_folder, segments_of, texts, write_files


def table(rows, newline="\r\n"):
    """As Python's own writer writes it."""
    written = io.StringIO()
    csv.writer(written, lineterminator=newline).writerows(rows)
    return written.getvalue()


def test_a_row_is_its_text_its_id_and_the_other_columns(tmp_path):
    (found,) = read_file(tmp_path, "a.csv", "id,text,year\nk,hello,1897\n")

    assert found == Document("a.csv#id=k", "hello", "text", {"year": "1897"})


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_cell_in_quotes_holds_newlines_commas_and_quotes(tmp_path, newline):
    rows = ['one\ntwo, "three"\n', "next", '"', "a\r\nb"]
    data = table([("n", "text"), *enumerate(rows)], newline)

    assert texts(read_file(tmp_path, "a.csv", data)) == rows


@pytest.mark.parametrize("shard_docs", [1, 2, 1000])
def test_segments_begin_where_rows_do(tmp_path, shard_docs):
    rows = [f'row {i}\n"quoted\n\n{i}",' for i in range(20)]
    write_files(tmp_path, {"a.csv": table([("n", "text"), *enumerate(rows)])})

    assert texts(read_folder(tmp_path, shard_docs=shard_docs, backwards=True)) == rows


def test_rows_are_the_same_whatever_blocks_are_read(tmp_path):
    rows = [f"{'a' * (i % 83)}{', ' * (i % 3)}{chr(10) * (i % 5)}{chr(34) * (i % 4)}.{'b' * 300}" for i in range(3000)]
    data = table([("text",), *((row,) for row in rows)], "\n")
    write_files(tmp_path, {"a.csv": data})

    assert len(data) > 1 << 20
    assert texts(read_folder(tmp_path, shard_docs=997)) == rows


def test_a_file_of_quotes_is_passed_in_few_steps():
    quotes = Quotes(",")
    quotes.feed(b'"' + b'""' * (4 << 20))

    assert quotes.is_open
    assert cells('"' + '""' * 1000 + '"', ",") == ['"' * 1000]


@pytest.mark.slow
def test_a_text_longer_than_a_block_is_one_row(tmp_path):
    rows = ['"' * 150_000, "x\n" * 20_000 + "y" * (1 << 20), "short"]
    data = table([("text",), *((row,) for row in rows)], "\n")

    assert texts(read_file(tmp_path, "a.csv", data)) == rows


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (b"", "empty"),
        (b"1,", "empty"),
        (b"1,a,b", "bad_csv"),
        (b"1", "bad_csv"),
        (b"1,\xff", "bad_utf8"),
        (b"1," + b"x" * 2000, "too_large"),
        (b'1,"' + b"x\n" * 2000 + b'"', "too_large"),
        (b'1,"' + b"x" * 2000 + b"\n" * 2000 + b'"', "too_large"),
    ],
    ids=str,
)
def test_a_row_that_is_none_is_told_from_its_neighbours(tmp_path, row, code):
    data = b"n,text\n0,before\n" + row + b"\n2,behind\n"
    found = read_file(tmp_path, "a.csv", data, Reading(max_document_bytes=1000))

    assert codes(found) == ["", code, ""]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_delimiter(tmp_path, delimiter):
    data = delimiter.join(["n", "text"]) + "\n" + delimiter.join(["1", '"a,;\t|\nb"']) + "\n"

    assert texts(read_file(tmp_path, "a.csv", data)) == ["a,;\t|\nb"]


def test_a_mark_of_byte_order_is_no_part_of_the_header(tmp_path):
    assert texts(read_file(tmp_path, "a.csv", b'\xef\xbb\xbf"text","n\no"\none,1\n')) == ["one"]


def test_a_header_alone_has_no_rows(tmp_path):
    assert segments_of(write_files(tmp_path, {"a.csv": "text,n\n", "b.csv": ""})) == []


def test_a_last_row_without_an_end_is_one(tmp_path):
    assert texts(read_file(tmp_path, "a.csv", 'text\none\n"tw\no"')) == ["one", "tw\no"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("a,b\n1,2\n", "has no column 'text', but: a, b"),
        ("text,a,a\n1,2,3\n", "has 'a' twice"),
        ('text\none\n"two\nthree\n', "inside of quotes"),
        (b"text,\xff\n", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_texts_is_refused_when_it_is_planned(tmp_path, data, said):
    write_files(tmp_path, {"a.csv": data})

    with pytest.raises(ConfigError, match=said):
        segments_of(tmp_path)


def test_a_column_of_ids_that_was_named_must_be_there(tmp_path):
    write_files(tmp_path, {"a.csv": "text\none\n"})

    with pytest.raises(ConfigError, match="--id-field"):
        segments_of(tmp_path, Reading(id_field="key"))


def drawn_records():
    """Loose and strict records, some of them as no writer would write them."""
    random = Random(3)
    return ["".join(random.choices('a",; \n', k=random.randrange(12))) for _ in range(3000)]


def test_cells_are_those_of_pythons_own_reader():
    records = [record for record in drawn_records() if "\n" not in record]

    assert [cells(record, ",") for record in records if record] == [
        next(csv.reader([record])) for record in records if record
    ]


def test_records_end_where_pythons_own_reader_ends_them():
    data = "x,\n".join(drawn_records())
    quotes, found, record = Quotes(","), [], ""
    for line in data.splitlines(keepends=True):
        quotes.feed(line.encode())
        record += line
        if not quotes.is_open:
            found.append(cells(record.removesuffix("\n"), ",") if record != "\n" else [])
            record = ""

    assert found == list(csv.reader(io.StringIO(data)))[: len(found)]
    assert len(found) > 500


def test_pieces_may_be_cut_anywhere():
    data = "x,\n".join(drawn_records()).encode()
    whole, random, place = Quotes(","), Random(1), 0
    pieces = Quotes(",")
    whole.feed(data)
    while place < len(data):
        step = random.randrange(1, 9)
        pieces.feed(data[place : place + step])
        place += step

    assert vars(pieces) == vars(whole)
