"""The input and what the collection holds of it -> what is to be embedded, what is gone, what cannot be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from embedstack.documents.document import Document, Segment
from embedstack.errors import BadRequest
from embedstack.indexing.held import Chunk, Held
from embedstack.indexing.points import doc_digest
from embedstack.indexing.reading import Documents
from embedstack.indexing.wish import ON_PURPOSE, LeftOut, Progress

TELL = 100  # documents between two words to who watches
Place = tuple[str, int]
"""The file of a document, and which one of it."""


@dataclass(slots=True)
class Absent:
    """What is left out, each said once."""

    progress: Progress
    told: dict[tuple[str, str], LeftOut] = field(default_factory=dict)
    failed_files: set[str] = field(default_factory=set)  # of which nothing is deleted: nobody knows what is in them

    def add(self, one: LeftOut) -> None:
        """One more, unless it is known."""
        if (one.file, one.doc_id) in self.told:
            return
        self.told[one.file, one.doc_id] = one
        if one.code not in ON_PURPOSE:
            self.failed_files.add(one.file)
        self.progress.left_out(one)


@dataclass(slots=True)
class Survey:
    """What a look at all documents gave."""

    absent: Absent
    todo: list[Segment] = field(default_factory=list)  # in which there is something to embed
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    places: dict[str, Place] = field(default_factory=dict)  # of documents that can be read, by their ids
    sources: set[str] = field(default_factory=set)
    leftover: list[Chunk] = field(default_factory=list)  # of documents that are there: a kill left them
    strange: dict[str, tuple[str, str]] = field(default_factory=dict)  # other inputs -> a document, and whose it is now

    def gone(self, held: Mapping[str, Held]) -> dict[str, Sequence[Chunk]]:
        """The chunks of each document that these inputs had and have no more."""
        return {
            doc_id: one.chunks
            for doc_id, one in held.items()
            if doc_id not in self.places and one.source in self.sources and one.file not in self.absent.failed_files
        }


class Surveying:
    """Reads everything once; only ids and places are kept.

    Args:
        rules: see `points.rules_digest`.
        collection: its name, for messages.
    """

    def __init__(
        self, documents: Documents, held: Mapping[str, Held], progress: Progress, *, rules: str, collection: str
    ) -> None:
        self._documents, self._held, self._progress = documents, held, progress
        self._rules, self._collection = rules, collection

    def survey(self) -> Survey:
        """Of all documents.

        Raises:
            BadRequest: a document has the id of one from elsewhere. ConfigError: an input cannot be listed. NotReady:
                somebody wants the end.
        """
        made = Survey(Absent(self._progress))
        for segment in self._documents.segments():
            if isinstance(segment, LeftOut):
                made.absent.add(segment)
            elif self._is_due(segment, made):
                made.todo.append(segment)
        self._progress.looked(len(made.places))
        self._check_sources(made)
        return made

    def _is_due(self, segment: Segment, made: Survey) -> bool:
        """Whether there is something to embed in it."""
        source = self._documents.source_of(segment.key)
        made.sources.add(source)
        due = 0
        for number, read in enumerate(self._documents.of(segment), segment.first):
            if isinstance(read, LeftOut):
                made.absent.add(read)
            elif read.doc_id in made.places:
                made.absent.add(_twice(read, segment.key))
            else:
                made.places[read.doc_id] = segment.key, number
                due += self._count(read, segment.key, source, made)
                if len(made.places) % TELL == 0:
                    self._progress.looked(len(made.places))
        return due > 0

    def _count(self, read: Document, file: str, source: str, made: Survey) -> bool:
        there = self._held.get(read.doc_id)
        if there is None:
            made.new += 1
            return True
        if there.source != source:
            made.strange.setdefault(there.source, (read.doc_id, source))
        digest = doc_digest(read, self._rules, file=file, source=source)
        if there.is_whole(digest):
            made.unchanged += 1
            made.leftover += there.others(digest)
            return False
        made.changed += 1
        return True

    def _check_sources(self, made: Survey) -> None:
        """Among the inputs of one call a document may move; one of another input is another document."""
        for there, (doc_id, here) in made.strange.items():
            if there not in made.sources:
                raise BadRequest(
                    f"document {doc_id!r} of collection {self._collection!r} is from {there!r}, and {here!r} has one "
                    f"of this id, too; give both to one command, or {there!r} alone, or use another --collection"
                )


def _twice(read: Document, key: str) -> LeftOut:
    return LeftOut(
        read.doc_id,
        key,
        "twice",
        "another document of this input has the same id, and that one is there",
    )
