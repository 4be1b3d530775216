"""Segments of files in order -> shards; and the table of a plan's shards, in a file, one line decoded at a time."""

import hashlib
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, overload

import msgspec

from embedstack.documents.document import Segment
from embedstack.errors import BadRequest, Mismatch
from embedstack.jobs.layout import name_of
from embedstack.jobs.plan import Plan, Shard
from embedstack.jobs.spooling import on_disk
from embedstack.storage.storage import Storage

# Shards in hand are in memory, texts and chunks and vectors together some five times what was read: with six in hand
# this keeps a runner below 600 MB. A thousand documents of 16 kB fit.
MOST_BYTES = 16 << 20
BLOCK = 1 << 20  # bytes that are copied at a time
_decoder = msgspec.json.Decoder(Shard)


def cut(segments: Iterable[Segment], shard_docs: int, most_bytes: int = MOST_BYTES) -> Iterator[Shard]:
    """Neighbours together, up to so many documents and bytes; the order is kept and no segment is divided.

    Raises:
        BadRequest: fewer than one document in a shard. ConfigError: more shards than there are numbers.
    """
    if shard_docs < 1:
        raise BadRequest(f"shard_docs={shard_docs} is below 1; example: 1000")
    return joined(weighed(segments), shard_docs, most_bytes)


def joined(segments: Iterable[tuple[Segment, int]], shard_docs: int, most_bytes: int = MOST_BYTES) -> Iterator[Shard]:
    """As `cut`, of segments whose bytes are known."""
    for number, run in enumerate(_runs(segments, shard_docs, most_bytes)):
        name_of(number)
        docs, size = sum(segment.docs for segment, _ in run), sum(size for _, size in run)
        yield Shard(number, docs, size, tuple(segment for segment, _ in run))


def _runs(
    weighed: Iterable[tuple[Segment, int]], shard_docs: int, most_bytes: int
) -> Iterator[list[tuple[Segment, int]]]:
    run: list[tuple[Segment, int]] = []
    docs = held = 0
    for segment, size in weighed:
        weight = max(size, segment.stop - segment.start)  # in memory it is unpacked
        if run and (docs + segment.docs > shard_docs or held + weight > most_bytes):
            yield run
            run, docs, held = [], 0, 0
        run.append((segment, size))
        docs, held = docs + segment.docs, held + weight
    if run:
        yield run


def weighed(segments: Iterable[Segment]) -> Iterator[tuple[Segment, int]]:
    """Each with its share of its file's bytes; the shares of a file are together what it has, so nothing is lost."""
    filled = (segment for segment in segments if segment.docs)
    for _, group in groupby(filled, key=lambda segment: segment.key):
        of_file = list(group)
        yield from zip(of_file, _shares(of_file), strict=True)


def _shares(segments: Sequence[Segment]) -> Iterator[int]:
    """By bytes where all say where they end, else by documents."""
    is_stated = all(segment.stop > segment.start for segment in segments)
    weights = [segment.stop - segment.start if is_stated else segment.docs for segment in segments]
    whole, size, done, given = sum(weights), segments[0].size, 0, 0
    for weight in weights:
        done += weight
        share = size * done // whole - given
        given += share
        yield share


# ------------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True, slots=True)
class Totals:
    """What a table holds."""

    shards: int
    docs: int
    bytes: int
    files: int
    sha256: str


def write_table(shards: Iterable[Shard], path: Path) -> Totals:
    """A line for each; nothing is kept in memory."""
    digest, encoder = hashlib.sha256(), msgspec.json.Encoder()
    count = docs = size = files = 0
    last = ""
    with _opened(path) as file:
        for shard in shards:
            line = encoder.encode(shard) + b"\n"
            digest.update(line)
            with on_disk(path.parent):
                file.write(line)
            count, docs, size = count + 1, docs + shard.docs, size + shard.bytes
            for segment in shard.segments:
                files += segment.key != last
                last = segment.key
    return Totals(count, docs, size, files, digest.hexdigest())


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Whose last bytes may not fit either."""
    with on_disk(path.parent):
        file = path.open("wb", buffering=BLOCK)
    try:
        yield file
        with on_disk(path.parent):
            file.flush()
    finally:
        with on_disk(path.parent):
            file.close()


class Shards(Sequence[Shard]):
    """A table in a file that has no name any more. Any thread may read; a few bytes a shard are in memory."""

    def __init__(self, file: int, starts: "array[int]", docs: "array[int]", sizes: "array[int]") -> None:
        self._file, self._starts, self._docs, self._sizes = file, starts, docs, sizes
        weakref.finalize(self, os.close, file)

    def __len__(self) -> int:
        return len(self._docs)

    @overload
    def __getitem__(self, number: int) -> Shard: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Shard]: ...
    def __getitem__(self, number: int | slice) -> Shard | Sequence[Shard]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        at = range(len(self))[number]  # from the end where it is negative; an IndexError outside
        start, stop = self._starts[at], self._starts[at + 1]
        return _decoder.decode(os.pread(self._file, stop - start, start))

    def docs_of(self, number: int) -> int:
        """Documents of a shard, without reading it."""
        return self._docs[number]

    def bytes_of(self, number: int) -> int:
        """Bytes of a shard, without reading it."""
        return self._sizes[number]

    def segments(self) -> Iterator[Segment]:
        """All of them in order."""
        return (segment for shard in self for segment in shard.segments)


def shards_of(storage: Storage, plan: Plan, folder: Path | None = None) -> Shards:
    """The shards of a plan.

    Args:
        folder: where the copy lies while it is used; the system's folder for such if None.
    Raises:
        Mismatch: the table is not the plan's. Missing: it is gone.
    """
    with storage.open(plan.table) as source, _unnamed(folder) as copy:
        digest, starts, docs, sizes = _copy(source, copy)
        copy.flush()
        if digest != plan.table_sha256 or len(docs) != plan.shards:
            raise Mismatch(
                f"{plan.table!r} is not the table of this plan (sha256 {digest[:12]}, {len(docs)} shards; the plan "
                f"says {plan.table_sha256[:12]}, {plan.shards}); plan again into an empty folder"
            )
        return Shards(os.dup(copy.fileno()), starts, docs, sizes)


@contextmanager
def _unnamed(folder: Path | None) -> Iterator[BinaryIO]:
    with on_disk(folder or Path(tempfile.gettempdir())), tempfile.TemporaryFile(dir=folder) as copy:
        yield copy


def _copy(source: BinaryIO, copy: BinaryIO) -> tuple[str, "array[int]", "array[int]", "array[int]"]:
    """The digest; where each line begins, and the numbers that stand at its beginning."""
    digest = hashlib.sha256()
    starts, docs, sizes = array("q", [0]), array("q"), array("q")
    rest = b""
    while block := source.read(BLOCK):
        digest.update(block)
        copy.write(block)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
            shard_docs, size = _head(line)
            docs.append(shard_docs)
            sizes.append(size)
    return digest.hexdigest(), starts, docs, sizes


def _head(line: bytes) -> tuple[int, int]:
    """Documents and bytes of `[number,docs,bytes,[...`; a table that is not ours is told by its digest."""
    numbers = line[1:80].split(b",", 3)[1:3]
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 and all(n.isdigit() for n in numbers) else (0, 0)
