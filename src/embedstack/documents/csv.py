"""CSV with a header -> where each run of rows begins, newlines in quotes among them, and the documents of one run."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from embedstack.documents.changed import ended_early
from embedstack.documents.document import Document, Reading, Segment, Unfit, Unreadable
from embedstack.documents.quotes import Quotes, cells
from embedstack.documents.rows import place_id, row_document, too_large
from embedstack.documents.runs import Runs
from embedstack.documents.stream import BLOCK, Stream
from embedstack.errors import ConfigError
from embedstack.storage.storage import Entry

DELIMITERS = ",;\t|"
LONGEST_HEADER = 1 << 20  # bytes
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Header:
    """The first record of a file."""

    names: tuple[str, ...]
    delimiter: str
    stop: int  # the byte where the rows begin


def header_of(stream: Stream, key: str) -> Header:
    """Read it; the stream stands behind it afterwards.

    Raises:
        ConfigError: there is none, or two of its names are the same.
    """
    stream.goto(0)
    line = stream.line(LONGEST_HEADER)
    if line is None:
        raise ConfigError(f"the first line of {key!r} is longer than {LONGEST_HEADER} bytes, so it is no CSV header")
    delimiter = _delimiter(line)
    quotes = Quotes(delimiter)
    quotes.feed(line.removeprefix(BOM))
    while quotes.is_open and (more := stream.piece(LONGEST_HEADER)) and len(line) < LONGEST_HEADER:
        quotes.feed(more)
        line += more
    names = _names(line, delimiter, key)
    return Header(names, delimiter, stream.place)


def scan_csv(stream: Stream, entry: Entry, reading: Reading, shard_docs: int) -> Iterator[Segment]:
    """Segments of its rows. A file of no bytes has none.

    Raises:
        ConfigError: the header has no text field, or a quote is never closed.
    """
    if not stream.block(1):
        return
    header = header_of(stream, entry.key)
    _check_names(header, entry.key, reading)
    runs, quotes = Runs(entry, shard_docs, header.stop), Quotes(header.delimiter)
    while block := stream.block():
        if not block.endswith(b"\n"):
            block += stream.piece()
        yield from _scan_block(block, runs, quotes)
    if quotes.is_open:
        raise ConfigError(f"{entry.key!r} ends inside of quotes, so its rows cannot be told apart; mend its quotes")
    yield from runs.finish()


def read_csv(stream: Stream, header: Header, segment: Segment, reading: Reading) -> Iterator[Document | Unreadable]:
    """As many as the segment says."""
    stream.goto(segment.start)
    for number in range(segment.first, segment.first + segment.docs):
        record = _record(stream, header.delimiter, reading.max_document_bytes)
        if record == b"":
            raise ended_early(segment)
        yield _document(record, header, place_of=(segment.key, number), reading=reading)


def _scan_block(block: bytes, runs: Runs, quotes: Quotes) -> Iterator[Segment]:
    if not quotes.is_open and b'"' not in block:
        quotes.feed(block)
        yield from runs.add_lines(block)
        return
    start = 0
    while start < len(block):
        stop = block.find(b"\n", start) + 1 or len(block)
        quotes.feed(block[start:stop])
        if quotes.is_open or not block.endswith(b"\n", start, stop):
            runs.add_part(stop - start)
        else:
            yield from runs.add_row(stop - start)
        start = stop


def _record(stream: Stream, delimiter: str, most: int) -> bytes | None:
    """With the newline at its end; empty at the end of the file; None for a longer one, which is passed over."""
    line = stream.piece(most + 1)
    if b'"' not in line and (line.endswith(b"\n") or len(line) <= most):
        return line
    quotes, lines, size = Quotes(delimiter), [line], len(line)
    quotes.feed(line)
    while line and (quotes.is_open or not line.endswith(b"\n")):
        line = stream.piece(BLOCK)
        quotes.feed(line)
        size += len(line)
        lines.append(line)
        if size > most + 1:
            lines.clear()
    return b"".join(lines) if size <= most + 1 else None


def _document(
    record: bytes | None, header: Header, *, place_of: tuple[str, int], reading: Reading
) -> Document | Unreadable:
    key, number = place_of
    try:
        if record is None:
            raise too_large("the row", reading)
        row = _row(record, header)
    except Unfit as unfit:
        return Unreadable(place_id(key, number), unfit.code, unfit.message)
    return row_document(row, key, number, reading)


def _row(record: bytes, header: Header) -> dict[str, str]:
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        raise Unfit("bad_utf8", f"the row is not UTF-8 at its byte {error.start}; convert the file first") from error
    text = _without_end(text)
    if not text:
        raise Unfit("empty", "the row is an empty line")
    values = cells(text, header.delimiter)
    if len(values) != len(header.names):
        raise Unfit("bad_csv", f"the row has {len(values)} cells and the header {len(header.names)}; mend its quotes")
    return dict(zip(header.names, values, strict=True))


def _without_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _delimiter(line: bytes) -> str:
    """What the header is divided by; a comma where nothing divides it."""
    return max(DELIMITERS, key=lambda delimiter: line.count(delimiter.encode()))


def _names(line: bytes, delimiter: str, key: str) -> tuple[str, ...]:
    try:
        text = line.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the header of {key!r} is not UTF-8 at byte {error.start}; convert the file first"
        ) from error
    names = cells(_without_end(text), delimiter)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ConfigError(f"the header of {key!r} has {twice[0]!r} twice; rename one of them")
    return tuple(names)


def _check_names(header: Header, key: str, reading: Reading) -> None:
    for field, flag in ((reading.text_field, "--text-field"), (reading.id_field, "--id-field")):
        if field and field not in header.names:
            shown = ", ".join(header.names[:20])
            raise ConfigError(f"{key!r} has no column {field!r}, but: {shown}; name one with {flag}")
