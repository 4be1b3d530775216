"""A shard -> its documents, cut and measured; and what was made of them -> rows, dead letters, their counts."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from embedstack.chunks.chunk import Chunk, Ruler, Skipped
from embedstack.chunks.chunking import chunk
from embedstack.chunks.tiling import tile
from embedstack.documents.document import Document, Segment, Unreadable
from embedstack.errors import Mismatch, NotReady
from embedstack.jobs.dead import DUPLICATE, Letter, letter
from embedstack.jobs.digests import content_hash
from embedstack.jobs.patience import code_of, is_of_documents, message_of
from embedstack.jobs.plan import Plan, Shard, Wish
from embedstack.jobs.quarantine import BLAMED
from embedstack.jobs.rows import Rows, as_json
from embedstack.types import Floats, Sparse

T = TypeVar("T")
CRASHED = "crashed"
FIRST_LENGTH = 16  # tokens of the first bar of a report


class Reads(Protocol):
    """What yields the documents of a segment, in order and exactly as many as it says."""

    def read(self, segment: Segment) -> Iterator[Document | Unreadable]: ...


@dataclass(frozen=True, slots=True)
class Work:
    """One document, as far as it is worked on: of equal length are the columns of its chunks."""

    place: int  # in its shard
    number: int  # in its file
    source: str  # key of that
    doc_id: str
    texts: Sequence[str]
    tokens: Sequence[int]
    chunk_ids: Sequence[str]
    indexes: Sequence[int]
    metadata: Sequence[str]  # JSON
    hashes: Sequence[str]  # of what is embedded

    def letter(self, code: str, message: str, shard: int) -> Letter:
        """Why it has no rows after all."""
        return letter(self.doc_id, self.source, self.number, code, message, shard)


@dataclass(slots=True)
class Prepared:
    """All of a shard."""

    shard: Shard
    works: list[Work] = field(default_factory=list)
    letters: list[tuple[int, Letter]] = field(default_factory=list)  # of documents without chunks, with their places

    def add(self, one: "Work | Letter") -> None:
        """The next document, whatever became of it."""
        if isinstance(one, Work):
            self.works.append(one)
        else:
            self.letters.append((len(self.works) + len(self.letters), one))


class Preparing:
    """Reads and cuts; for one thread at a time.

    Args:
        stop: set where nobody waits for it any more.
        trying: told place and id of each document before it is touched, of a shard where each may be the last thing
            that this process does.
    """

    def __init__(
        self, plan: Plan, reader: Reads, ruler: Ruler, stop: threading.Event, trying: Callable[[int, int, str], None]
    ) -> None:
        self._wish, self._reader, self._ruler = plan.wish, reader, ruler
        self._stop, self._trying = stop, trying

    def prepare(self, shard: Shard) -> Prepared:
        """All documents of a shard.

        Raises:
            Mismatch: a file is not what was planned. NotReady: it was stopped.
        """
        made = Prepared(shard)
        for one in self.each(shard):
            made.add(one)
        return made

    def each(self, shard: Shard, left_out: frozenset[int] | None = None) -> Iterator[Work | Letter]:
        """One by one.

        Args:
            left_out: places of documents that end every process that touches them; None where nothing is feared.
        """
        place, named = 0, dict[str, Work]()
        for segment in shard.segments:
            found = self._reader.read(segment)
            for number in range(segment.first, segment.first + segment.docs):
                if self._stop.is_set():
                    raise NotReady("the job is stopping; run it again, what is committed stays")
                if left_out is not None and place in left_out:
                    is_alone = segment.docs == 1  # then it is not even read
                    yield _crashed(segment, number, None if is_alone else next(found, None), shard)
                else:
                    one = self._one(found, segment, number, place, shard, is_feared=left_out is not None)
                    yield _alone(one, named, shard)
                place += 1

    def _one(
        self,
        found: Iterator[Document | Unreadable],
        segment: Segment,
        number: int,
        place: int,
        shard: Shard,
        *,
        is_feared: bool,
    ) -> Work | Letter:
        if is_feared:
            self._trying(shard.number, place, "")
        read = next(found, None)
        if read is None:
            raise Mismatch(
                f"{segment.key!r} has no document {number} any more, so it changed since it was planned; put it "
                "back, or plan again into another place with: embedstack job plan --since"
            )
        if is_feared:
            self._trying(shard.number, place, _printable(read.doc_id))
        if isinstance(read, Unreadable):
            return letter(_printable(read.doc_id), segment.key, number, read.code, read.message, shard.number)
        return self._cut(read, segment.key, number, place, shard.number)

    def _cut(self, read: Document, source: str, number: int, place: int, shard: int) -> Work | Letter:
        found = pieces(read, self._wish, self._ruler)
        if isinstance(found, Fault):
            return letter(_printable(read.doc_id), source, number, found.code, found.message, shard)
        return self._work(read, found.chunks, found.metadata, source, number, place)

    def _work(
        self, read: Document, chunks: Sequence[Chunk], told: Sequence[str], source: str, number: int, place: int
    ) -> Work:
        wish = self._wish
        return Work(
            place,
            number,
            source,
            read.doc_id,
            [one.text for one in chunks],
            [one.tokens for one in chunks],
            [one.id_in(read.doc_id, wish.chunking) for one in chunks],
            [one.index for one in chunks],
            told,
            [content_hash(one.text, wish.role) for one in chunks],
        )


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a document was cut into."""

    chunks: Sequence[Chunk]
    metadata: Sequence[str]  # JSON of each row


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a document cannot be cut, or is left out."""

    code: str
    message: str


def pieces(read: Document, wish: Wish, ruler: Ruler) -> Pieces | Fault:
    """One document as a plan wants it cut."""
    if not (_is_unicode(read.doc_id) and _is_unicode(read.text)):
        return Fault("bad_unicode", "its id or its text holds a lone surrogate; give it valid Unicode")
    try:
        chunks = chunk(read.text, read.kind, wish.chunking, ruler)
        chunks = tile(chunks, read.text) if wish.late_chunking else chunks
    except Skipped as skipped:
        return Fault(skipped.code, skipped.message)
    except BaseException as error:
        if not is_of_documents(error):
            raise
        return Fault(code_of(error), message_of(error))
    try:
        return Pieces(chunks, [as_json({**read.metadata, **one.metadata}) for one in chunks])
    except TypeError:  # of orjson
        return Fault("bad_metadata", "its metadata cannot be written as JSON; give it plain values in Unicode")


def _crashed(segment: Segment, number: int, read: Document | Unreadable | None, shard: Shard) -> Letter:
    doc_id = segment.key if read is None else _printable(read.doc_id)
    message = f"{BLAMED} processes ended one after the other while they worked on it; look at it, and leave it out"
    return letter(doc_id, segment.key, number, CRASHED, message, shard.number)


def _alone(one: Work | Letter, named: dict[str, Work], shard: Shard) -> Work | Letter:
    """The first document of an id stays, whatever the model makes of it: so a shard that is done again is the same.

    Args:
        named: documents of the shard so far by their ids; this one is added.
    """
    if isinstance(one, Letter):
        return one
    first = named.setdefault(one.doc_id, one)
    if first is one:
        return one
    message = f"its id is that of document {first.number} of {first.source!r}, which stays; give each an id of its own"
    return one.letter(DUPLICATE, message, shard.number)


def _is_unicode(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _printable(doc_id: str) -> str:
    """Names of files may hold bytes that are no text."""
    return doc_id.encode("utf-8", "backslashreplace").decode()


# ------------------------------------------------------------------------------------------------ what was made of it


@dataclass(frozen=True, slots=True)
class Made:
    """What the model made of a shard."""

    works: Sequence[Work]  # those that live, in order
    dense: Floats  # (their chunks, dim)
    sparse: Sequence[Sparse] | None
    dead: Sequence[tuple[Work, str, str]]  # with code and message
    reused: int  # rows whose vectors were there before
    tokens: int  # that the model read for the rows
    encode_s: float


def rows_of(made: Made) -> Rows:
    """In order of document and chunk."""
    works = made.works
    return Rows(
        doc_ids=[work.doc_id for work in works for _ in work.texts],
        chunk_ids=_joined(work.chunk_ids for work in works),
        indexes=_joined(work.indexes for work in works),
        texts=_joined(work.texts for work in works),
        vectors=made.dense,
        metadata=_joined(work.metadata for work in works),
        tokens=_joined(work.tokens for work in works),
        content_hashes=_joined(work.hashes for work in works),
        sparse=made.sparse,
    )


def letters_of(prepared: Prepared, made: Made) -> list[Letter]:
    """All dead letters of a shard, in the order of its documents."""
    late = [(work.place, work.letter(code, message, prepared.shard.number)) for work, code, message in made.dead]
    return [one for _, one in sorted((*prepared.letters, *late), key=lambda placed: placed[0])]


def lengths_of(tokens: Iterable[int]) -> dict[str, int]:
    """How many chunks have up to so many tokens, by powers of two."""
    bars = Counter(max(FIRST_LENGTH, 1 << (count - 1).bit_length()) for count in tokens)
    return {f"<={bar}": bars[bar] for bar in sorted(bars)}


def reasons_of(letters: Iterable[Letter]) -> dict[str, int]:
    """Dead letters by code."""
    return dict(sorted(Counter(one.code for one in letters).items()))


def _joined(columns: Iterable[Sequence[T]]) -> list[T]:
    return [value for column in columns for value in column]
