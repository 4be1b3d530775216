"""JSON lines -> where each run of rows begins, and the documents of one run."""

from collections.abc import Iterator

import msgspec

from embedstack.documents.changed import ended_early
from embedstack.documents.document import Document, Reading, Segment, Unfit, Unreadable
from embedstack.documents.rows import place_id, row_document, too_large
from embedstack.documents.runs import Runs
from embedstack.documents.stream import Stream
from embedstack.storage.storage import Entry

BOM = b"\xef\xbb\xbf"
DECODER = msgspec.json.Decoder(dict[str, object])


def scan_lines(stream: Stream, entry: Entry, shard_docs: int) -> Iterator[Segment]:
    """Every line is a row, blank ones too, so that a row's number is its line's. Nothing is decoded."""
    runs = Runs(entry, shard_docs)
    while block := stream.block():
        yield from runs.add_lines(block)
    yield from runs.finish()


def read_lines(stream: Stream, segment: Segment, reading: Reading) -> Iterator[Document | Unreadable]:
    """As many as the segment says."""
    stream.goto(segment.start)
    for number in range(segment.first, segment.first + segment.docs):
        line = stream.line(reading.max_document_bytes)
        if line == b"":
            raise ended_early(segment)
        yield _document(line, segment.key, number, reading)


def _document(line: bytes | None, key: str, number: int, reading: Reading) -> Document | Unreadable:
    try:
        if line is None:
            raise too_large("the row", reading)
        row = _row(line.removeprefix(BOM) if number == 0 else line)
    except Unfit as unfit:
        return Unreadable(place_id(key, number), unfit.code, unfit.message)
    return row_document(row, key, number, reading)


def _row(line: bytes) -> dict[str, object]:
    try:
        return DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unfit(line, error) from error


def _unfit(line: bytes, error: Exception) -> Unfit:
    if not line.strip():
        return Unfit("empty", "the row is an empty line")
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return Unfit("bad_utf8", f"the row is not UTF-8 at its byte {wrong.start}; convert the file first")
    if isinstance(error, RecursionError):
        return Unfit("bad_json", "the row's JSON is nested too deeply")
    return Unfit("bad_json", f"the row is no JSON object: {error}")
