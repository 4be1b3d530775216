"""Files of a source -> segments when a job is planned, and the documents of a segment when it is done."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import BinaryIO

from embedstack.documents.changed import gone, other_size, written_to
from embedstack.documents.compressed import Torn, unpacked
from embedstack.documents.csv import Header, header_of, read_csv, scan_csv
from embedstack.documents.document import Document, Form, Packed, Reading, Segment, Unreadable
from embedstack.documents.forms import WHOLE, all_endings, form_of
from embedstack.documents.lines import read_lines, scan_lines
from embedstack.documents.parquet import Table
from embedstack.documents.rows import too_large
from embedstack.documents.source import Source
from embedstack.documents.stream import Stream, size_of
from embedstack.documents.whole import whole_document
from embedstack.errors import ConfigError
from embedstack.storage.storage import Entry, Missing

CODES: Mapping[str, str] = {
    "empty": "there is no text; left out on purpose",
    "too_large": "larger than a document may be",
    "torn": "the archive of a single document is damaged or ends too early",
    "bad_utf8": "not UTF-8",
    "bad_front_matter": "the block at the beginning is no YAML that can be taken",
    "bad_json": "the line is no JSON object",
    "bad_csv": "the row has not as many cells as the header",
    "bad_parquet": "the file is damaged at or before the row",
    "bad_value": "a cell of the row holds what cannot be told, as a time outside of the years 1 to 9999",
    "no_text": "the field of the text is missing, or is no text",
    "no_id": "the field that was named for ids is missing",
    "bad_id": "the id is neither text nor a whole number, or too long",
}
"""Why something that was read is no document: all codes of `Unreadable`."""


def scan(source: Source, entry: Entry, reading: Reading, shard_docs: int) -> Iterator[Segment]:
    """How many documents stand where in one file. Rows are cut every `shard_docs` or 16 MiB; a file may have none.

    Raises:
        ConfigError: the file is not what its name says, has no text column, or its archive is torn.
    """
    _check(source, reading)
    form, packed = _form(entry.key, reading)
    if form in WHOLE:
        yield Segment(entry.key, entry.size, entry.version, 1)
        return
    if form == "parquet":
        table = Table(source.open(entry.key), entry.key)
        try:
            yield from table.scan(entry, reading, shard_docs)
        finally:
            table.close()
        return
    stream = Stream(lambda: source.open(entry.key), packed, entry.key)
    try:
        if form == "csv":
            yield from scan_csv(stream, entry, reading, shard_docs)
        else:
            yield from scan_lines(stream, entry, shard_docs)
    finally:
        stream.close()


class Reader:
    """Reads segments in any order, quickest in that of the files. The file that was read last stays open until `close`.

    For one thread at a time. In memory is at most one document; of a Parquet file 16 rows, and a page of each column.
    """

    def __init__(self, source: Source, reading: Reading) -> None:
        _check(source, reading)
        self._source = source
        self._reading = reading
        self._kept: _Kept | None = None

    def read(self, segment: Segment) -> Iterator[Document | Unreadable]:
        """As many as the segment says, in order.

        Raises:
            Mismatch: the file is gone, or is not what it was when the segment was cut.
            ConfigError: it cannot be read, or its archive is torn.
        """
        for number, one in enumerate(self._read(segment), 1):
            if number == segment.docs and not self._source.is_still(segment.key, segment.version):
                raise written_to(segment)  # asked when all is read and not all is given, so nobody gets the last one
            yield one

    def close(self) -> None:
        """Close the file that was kept open. It may be used again afterwards."""
        if self._kept:
            self._kept.close()
            self._kept = None

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, segment: Segment) -> Iterator[Document | Unreadable]:
        form, packed = _form(segment.key, self._reading)
        try:
            if form in WHOLE:
                yield self._whole(segment, form, packed)
            else:
                yield from self._open(segment, form, packed).rows(segment, self._reading)
        except Missing as error:
            raise gone(segment) from error
        except Exception:
            self.close()  # where it stands in the file nobody knows; it may be asked again
            raise

    def _whole(self, segment: Segment, form: Form, packed: Packed) -> Document | Unreadable:
        most = self._reading.max_document_bytes
        is_known = not packed and segment.version != ""
        if is_known and segment.size > most:
            return self._too_large(segment)
        try:
            with unpacked(self._source.open(segment.key), packed, segment.key) as file:
                # room is made for all that is asked for, so asking for 16 MB costs more than reading a page
                data = file.read(1 + (segment.size if is_known else most))
                if is_known and len(data) != segment.size:
                    raise other_size(segment, size_of(file))
        except Torn as error:
            return Unreadable(segment.key, "torn", error.message)
        return self._too_large(segment) if len(data) > most else whole_document(data, segment.key, form)

    def _too_large(self, segment: Segment) -> Unreadable:
        unfit = too_large("the file", self._reading)
        return Unreadable(segment.key, unfit.code, unfit.message)

    def _open(self, segment: Segment, form: Form, packed: Packed) -> "_Kept":
        """The file, where it was left if it was the last one."""
        if self._kept is None or not self._kept.is_of(segment):
            self.close()
            self._kept = _Kept(self._source, segment, form, packed)
        return self._kept


class _Kept:
    """A file of rows that stays open."""

    def __init__(self, source: Source, segment: Segment, form: Form, packed: Packed) -> None:
        self._key, self._version = segment.key, segment.version
        self._header: Header | None = None

        def checked() -> BinaryIO:
            return _same(source.open(segment.key), segment)

        if form == "parquet":
            self._file: Table | Stream = Table(checked(), segment.key)
        else:
            self._file = Stream(checked, packed, segment.key)
        if form == "csv" and isinstance(self._file, Stream):
            self._header = header_of(self._file, segment.key)

    def is_of(self, segment: Segment) -> bool:
        return (self._key, self._version) == (segment.key, segment.version)

    def rows(self, segment: Segment, reading: Reading) -> Iterator[Document | Unreadable]:
        if isinstance(self._file, Table):
            return self._file.read(segment, reading)
        if self._header:
            return read_csv(self._file, self._header, segment, reading)
        return read_lines(self._file, segment, reading)

    def close(self) -> None:
        self._file.close()


def _same(file: BinaryIO, segment: Segment) -> BinaryIO:
    """The file, unless its size tells that it is another one. Where the listing knew no size, nothing can be told."""
    if segment.version and (size := size_of(file)) != segment.size:
        file.close()
        raise other_size(segment, size)
    return file


def _form(key: str, reading: Reading) -> tuple[Form, Packed]:
    found = form_of(key, reading.form)
    if found is None:
        raise ConfigError(
            f"what {key!r} holds cannot be told by its name; known are {all_endings()}; or say it with --form"
        )
    return found


def _check(source: Source, reading: Reading) -> None:
    if source.form != reading.form:
        raise ValueError(f"a source that was opened for form {source.form!r} cannot be read as {reading.form!r}")
