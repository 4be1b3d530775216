"""Documents that are to be embedded -> the same in chunks, some at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from embedstack.chunks.chunk import Ruler
from embedstack.documents.document import Document, Segment
from embedstack.indexing.held import Held
from embedstack.indexing.points import Cut, doc_digest
from embedstack.indexing.reading import Documents
from embedstack.indexing.survey import Survey
from embedstack.indexing.wish import ON_PURPOSE, LeftOut
from embedstack.jobs.digests import content_hash
from embedstack.jobs.plan import Wish
from embedstack.jobs.shard_work import Fault, Pieces, Work, pieces

# Tokens that are encoded, written and, after a kill, lost together: 32 batches of the usual size, so that every lane
# has some, and seconds of work on a processor.
GROUP_TOKENS = 32_768


@dataclass(slots=True)
class Group:
    """Some documents in order."""

    cuts: list[Cut] = field(default_factory=list)
    tokens: int = 0

    @property
    def works(self) -> list[Work]:
        """As an encoder takes them."""
        return [cut.work for cut in self.cuts]

    def add(self, cut: Cut) -> None:
        """One more."""
        self.cuts.append(cut)
        self.tokens += sum(cut.work.tokens)


class Cutting:
    """Reads again what a survey found due, and cuts it; for one thread at a time.

    Args:
        rules: as `points.rules_digest` made them for what is written now.
    """

    def __init__(
        self, documents: Documents, survey: Survey, held: Mapping[str, Held], wish: Wish, ruler: Ruler, *, rules: str
    ) -> None:
        self._documents, self._survey, self._held = documents, survey, held
        self._wish, self._ruler, self._rules = wish, ruler, rules

    def groups(self) -> Iterator[Group]:
        """All of it.

        Raises:
            NotReady: somebody wants the end.
        """
        group = Group()
        for segment in self._survey.todo:
            for cut in self.each(segment):
                group.add(cut)
                if group.tokens >= GROUP_TOKENS:
                    yield group
                    group = Group()
        if group.cuts:
            yield group

    def each(self, segment: Segment) -> Iterator[Cut]:
        """Those of one run of documents."""
        places, source = self._survey.places, self._documents.source_of(segment.key)
        for number, read in enumerate(self._documents.of(segment), segment.first):
            if isinstance(read, LeftOut):
                self._survey.absent.add(read)
            elif places.get(read.doc_id) == (segment.key, number):  # else another one has this id
                yield from self._cut(read, segment.key, number, source)

    def _cut(self, read: Document, key: str, number: int, source: str) -> Iterator[Cut]:
        digest = doc_digest(read, self._rules, file=key, source=source)
        there = self._held.get(read.doc_id)
        if there is not None and there.is_whole(digest):
            return
        found = pieces(read, self._wish, self._ruler)
        if not isinstance(found, Fault):
            yield Cut(self._work(read.doc_id, found, key, number), digest, source)
            return
        self._survey.absent.add(LeftOut(read.doc_id, key, found.code, found.message))
        if found.code in ON_PURPOSE:
            del self._survey.places[read.doc_id]  # it is gone

    def _work(self, doc_id: str, found: Pieces, file: str, number: int) -> Work:
        chunks, wish = found.chunks, self._wish
        return Work(
            place=number,
            number=number,
            source=file,
            doc_id=doc_id,
            texts=[one.text for one in chunks],
            tokens=[one.tokens for one in chunks],
            chunk_ids=[one.id_in(doc_id, wish.chunking) for one in chunks],
            indexes=[one.index for one in chunks],
            metadata=found.metadata,
            hashes=[content_hash(one.text, wish.role) for one in chunks],
        )
