"""A plan's shards -> a small plan of its own, or the few documents that an estimate is made from. Pure.

Both take documents evenly over the whole input, so that every folder and every size has its part in them.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import msgspec

from embedstack.documents.document import Reading, Segment
from embedstack.errors import BadRequest
from embedstack.jobs.plan import Plan, Shard
from embedstack.jobs.shards import joined, weighed

SHARDS = 10  # of a sample at least, so that it can be stopped and resumed
CLUSTERS = 40  # segments of files of rows that are read for an estimate, each to its end


# ------------------------------------------------------------------------------------------------ a job of its own


def sample(plan: Plan, shards: Sequence[Shard], docs: int) -> tuple[Plan, tuple[Shard, ...]]:
    """The plan of a small job over documents that lie evenly over all shards; its table is not written yet.

    Of a file of rows the first rows of each shard are taken, since only there is known where they begin.

    Args:
        docs: how many, or all there are if fewer.
    Raises:
        BadRequest: fewer than one.
    """
    if docs < 1:
        raise BadRequest(f"a sample of {docs} documents shows nothing; ask for 1 or more, such as 1000")
    wanted = min(docs, plan.docs)
    size = min(plan.wish.shard_docs, max(1, ceil(wanted / SHARDS)))
    taken = tuple(joined(_evenly(shards, wanted), size))
    wish = msgspec.structs.replace(plan.wish, shard_docs=size, since="")
    small = msgspec.structs.replace(
        plan,
        wish=wish,
        lends_part=False,
        shards=len(taken),
        docs=sum(shard.docs for shard in taken),
        files=_files(taken),
        bytes=sum(shard.bytes for shard in taken),
        tokens=plan.tokens * wanted // max(1, plan.docs),
    )
    return small, taken


def _evenly(shards: Sequence[Shard], docs: int) -> Iterator[tuple[Segment, int]]:
    """So many documents in the order of the input, of each segment its first ones; and the bytes that they have."""
    total = sum(shard.docs for shard in shards)
    before = taken = 0
    for segment, size in _sized(shards):
        before += segment.docs
        due = before * docs // total - taken  # so that after each segment the share is even
        if due:
            taken += due
            yield msgspec.structs.replace(segment, docs=due), size * due // segment.docs


def _sized(shards: Sequence[Shard]) -> Iterator[tuple[Segment, int]]:
    """All segments with their bytes of the input."""
    return weighed(segment for shard in shards for segment in shard.segments)


def _files(shards: Iterable[Shard]) -> int:
    return len({segment.key for shard in shards for segment in shard.segments})


# ------------------------------------------------------------------------------------------------ for an estimate


@dataclass(frozen=True, slots=True)
class Drawn:
    """A segment that was drawn, and what of it."""

    segment: Segment
    docs: int  # of it; all of them where it is one document
    weight: float  # segments of the input that it stands for
    size: int  # bytes of the input, in proportion to which it was drawn


@dataclass(frozen=True, slots=True)
class Draws:
    """What is read for an estimate, in the order of the input: each segment as often as it has bytes.

    `files` are documents that are a file each; `rows` are segments of files of many documents.
    """

    files: tuple[Drawn, ...]
    rows: tuple[Drawn, ...]
    all_files: bool  # whether there is no file that was not drawn
    all_rows: bool
    too_large: int = 0  # files that nobody need read to know that they are dead letters

    @property
    def docs(self) -> int:
        """That will be looked at."""
        return len(self.files) + sum(drawn.docs for drawn in self.rows)


@dataclass(slots=True)
class _Frame:
    """What can be drawn."""

    most: int  # bytes of a document
    files: int = 0  # with content, and no more than a document may have
    file_docs: int = 0  # without content among them
    file_bytes: int = 0
    too_large: int = 0
    segments: int = 0
    row_docs: int = 0
    row_bytes: int = 0

    def add(self, segment: Segment, size: int) -> None:
        """One more."""
        if not is_file(segment):
            self.segments += 1
            self.row_docs += segment.docs
            self.row_bytes += size
        elif size > self.most:
            self.too_large += 1
        else:
            self.files += size > 0
            self.file_docs += 1
            self.file_bytes += size

    def has_file(self, segment: Segment) -> bool:
        """Whether it can be drawn as a file."""
        return is_file(segment) and 0 < segment.size <= self.most


def draw(shards: Sequence[Shard], docs: int, seed: int = 0, *, most_bytes: int = Reading().max_document_bytes) -> Draws:
    """Documents for an estimate: all bytes are divided evenly, and a point of each piece is drawn.

    A point falls on a segment as often as it is large, which its weight takes back. So large ones are never missed,
    folders have their share, and the ratio of tokens to bytes decides how sure the result is. Points are not at equal
    distances, since segments may follow each other in a rhythm.
    Source: Särndal, Swensson and Wretman 1992, sections 3.6 and 3.7.

    Args:
        most_bytes: of a document; a larger file would swallow the points, and nothing comes of it.
    """
    frame = _Frame(most_bytes)
    for segment, size in _sized(shards):
        frame.add(segment, size)
    both = frame.file_docs + frame.row_docs
    of_files = ceil(docs * frame.file_docs / both) if both else 0
    of_rows = min(frame.row_docs, docs - of_files if frame.files else docs)
    chance = random.Random(seed)  # noqa: S311 - a sample is no secret
    files = tuple(_file_draws(shards, frame, of_files, chance))
    rows = tuple(_row_draws(shards, frame, max(of_rows, 1), chance)) if frame.row_docs else ()
    return Draws(files, rows, len(files) == frame.files, len(rows) == frame.segments, frame.too_large)


def is_file(segment: Segment) -> bool:
    """Whether its document is all that its file holds, as far as the segment tells."""
    return segment.docs == 1 and segment.first == 0 and segment.start == 0 and segment.stop in (0, segment.size)


def _file_draws(shards: Sequence[Shard], frame: _Frame, docs: int, chance: random.Random) -> Iterator[Drawn]:
    """Every file with content if there are so few, else those that the points fall on."""
    files = ((segment, size) for segment, size in _sized(shards) if frame.has_file(segment))
    if frame.files <= docs:
        yield from (Drawn(segment, 1, 1.0, size) for segment, size in files)
        return
    step = frame.file_bytes / docs
    for segment, size, hits in _hit(files, step, chance):
        yield Drawn(segment, 1, hits * step / size, size)


def _row_draws(shards: Sequence[Shard], frame: _Frame, docs: int, chance: random.Random) -> Iterator[Drawn]:
    """Every segment if there are few, else those that `CLUSTERS` points fall on; for each about equally many rows."""
    clusters = min(frame.segments, CLUSTERS)
    each = ceil(docs / clusters)
    rows = ((segment, size) for segment, size in _sized(shards) if not is_file(segment))
    if frame.segments == clusters:
        yield from (Drawn(segment, min(each, segment.docs), 1.0, size) for segment, size in rows)
        return
    step = frame.row_bytes / clusters
    for segment, size, hits in _hit(rows, step, chance):
        yield Drawn(segment, min(each * hits, segment.docs), hits * step / size, size)


def _hit(
    segments: Iterable[tuple[Segment, int]], step: float, chance: random.Random
) -> Iterator[tuple[Segment, int, int]]:
    """Segments laid end to end, in pieces of equal length -> those that a point of each piece falls on, how many do."""
    end, piece, point = 0.0, 0, chance.random() * step
    for segment, size in segments:
        end += size
        hits = 0
        while point < end:
            hits, piece = hits + 1, piece + 1
            point = (piece + chance.random()) * step
        if hits:
            yield segment, size, hits
