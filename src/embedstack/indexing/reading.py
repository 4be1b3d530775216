"""A source -> its documents in order; what cannot be read comes as what is left out, and why."""

from collections.abc import Callable, Iterator
from types import TracebackType

from embedstack.documents.document import Document, Reading, Segment, Unreadable
from embedstack.documents.reading import Reader, scan
from embedstack.documents.source import Source
from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.indexing.held import stopping
from embedstack.indexing.naming import source_of
from embedstack.indexing.wish import LeftOut
from embedstack.storage.storage import Entry

SEGMENT_DOCS = 100  # rows of a file that are read again together where one of them changed
FAULTS = (BadRequest, ConfigError, Mismatch)  # of one file: it is gone, cannot be opened, or changed meanwhile


class Documents:
    """For one thread at a time.

    Args:
        database_url: by which inputs are named, see `naming`.
        is_stopped: looked at before each document.
    """

    def __init__(
        self, source: Source, reading: Reading, database_url: str, is_stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._source, self._reading, self._database_url = source, reading, database_url
        self._reader, self._is_stopped = Reader(source, reading), is_stopped

    def segments(self) -> Iterator[Segment | LeftOut]:
        """All that can be read, file by file.

        Raises:
            ConfigError: there is nothing to read in an input, or it cannot be listed.
        """
        for entry in self._source.entries():
            yield from self._in_file(entry)

    def of(self, segment: Segment) -> Iterator[Document | LeftOut]:
        """Its documents. Where the file fails, what is behind that place is missing.

        Raises:
            NotReady: somebody wants the end.
        """
        key = segment.key
        try:
            for read in self._reader.read(segment):
                if self._is_stopped():
                    raise stopping()
                yield _left_out(read, key) if isinstance(read, Unreadable) else read
        except FAULTS as error:
            yield _fault(key, error)

    def source_of(self, key: str) -> str:
        """What the collection calls the input that a file is of."""
        return source_of(self._source.url_of(key), self._database_url)

    def __enter__(self) -> "Documents":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def _in_file(self, entry: Entry) -> Iterator[Segment | LeftOut]:
        try:
            yield from scan(self._source, entry, self._reading, SEGMENT_DOCS)
        except FAULTS as error:
            yield _fault(entry.key, error)


def _left_out(read: Unreadable, key: str) -> LeftOut:
    return LeftOut(read.doc_id, key, read.code, read.message)


def _fault(key: str, error: BadRequest | ConfigError | Mismatch) -> LeftOut:
    if isinstance(error, Mismatch):
        return LeftOut(key, key, "changed", "the file changed while it was read; run the same command again")
    return LeftOut(key, key, "unreadable", error.message)
