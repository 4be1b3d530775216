"""Rows of an input that is planned, some from everywhere -> nothing, a warning or an error where ids come again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from embedstack.documents.document import Document, Reading, Segment
from embedstack.documents.forms import WHOLE, form_of
from embedstack.documents.reading import Reader
from embedstack.documents.source import Source
from embedstack.errors import ConfigError

SEGMENTS = 16  # that are looked into, or up to twice as many
ROWS = 100  # of each from its first one on: chunks of one document are neighbours

Say = Callable[[str], None]
Place = tuple[str, int]
"""A file and the number of a document in it."""


@dataclass(slots=True)
class Repeats:
    """What some rows say of the ids of all."""

    rows: int = 0
    again: int = 0  # rows whose id had come before
    doc_id: str = ""  # of the first of these
    places: tuple[Place, Place] = (("", 0), ("", 0))  # of that id


def watched(segments: Iterator[Segment], source: Source, reading: Reading, say: Say) -> Iterator[Segment]:
    """The same segments; behind the last one some are looked into, so that no plan is made whose ids cannot be.

    Raises:
        ConfigError: ids come again, and nobody named their column.
    """
    few = _Few()
    for segment in segments:
        if _may_repeat(segment, reading):
            few.add(segment)
        yield segment
    _tell(repeats(few.kept, source, reading), reading, say)


def repeats(segments: list[Segment], source: Source, reading: Reading) -> Repeats:
    """What the first rows of some segments have twice.

    Raises:
        As `Reader.read`.
    """
    found, seen = Repeats(), dict[str, Place]()
    with Reader(source, reading) as reader:
        for segment in segments:
            first = msgspec.structs.replace(segment, docs=min(segment.docs, ROWS))
            for number, row in enumerate(reader.read(first), first.first):
                if isinstance(row, Document):
                    _count(found, seen, row.doc_id, (segment.key, number))
    return found


def _count(found: Repeats, seen: dict[str, Place], doc_id: str, place: Place) -> None:
    found.rows += 1
    before = seen.setdefault(doc_id, place)
    if before is not place:
        found.doc_id, found.places = (found.doc_id, found.places) if found.again else (doc_id, (before, place))
        found.again += 1


def _tell(found: Repeats, reading: Reading, say: Say) -> None:
    if not found.again:
        return
    (before, first), (behind, second) = found.places
    seen = (
        f"{found.again:,} of {found.rows:,} rows that were looked at have an id that came before, such as "
        f"{found.doc_id!r} of row {first} of {before!r} and row {second} of {behind!r}, counted from 0"
    )
    if not reading.id_field:
        raise ConfigError(
            f"{seen}; an id is of one document, and chunks are cut here: name a column that differs in every row with "
            "--id-field, or write one into the rows"
        )
    say(
        f"warning: {seen}; of such documents the first one counts and the others are dead letters, and a table with "
        f"some in two shards is refused at its end: plan with another column than --id-field {reading.id_field}"
    )


def _may_repeat(segment: Segment, reading: Reading) -> bool:
    """Whether it holds rows that can be looked into at once: what is packed would be unpacked up to there."""
    form, packed = form_of(segment.key, reading.form) or ("text", "")
    return form not in WHOLE and (segment.first == 0 or not packed)


@dataclass(slots=True)
class _Few:
    """Segments at equal distances, however many there are."""

    kept: list[Segment] = field(default_factory=list)
    step: int = 1
    count: int = 0

    def add(self, segment: Segment) -> None:
        if self.count % self.step == 0:
            self.kept.append(segment)
        self.count += 1
        if len(self.kept) == 2 * SEGMENTS:
            self.kept, self.step = self.kept[::2], 2 * self.step
