"""Documents in chunks -> vectors, and points in the collection; several groups of them are in hand at a time."""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from embedstack.indexing.cutting import Group
from embedstack.indexing.document_encoder import DocumentEncoder, Encoded
from embedstack.indexing.held import Held
from embedstack.indexing.lexical import Letters
from embedstack.indexing.points import Made, points_of
from embedstack.indexing.survey import Absent
from embedstack.indexing.wish import LeftOut, Progress, Summary, Tenant
from embedstack.indexing.writing import Writing
from embedstack.jobs.pipeline import Threads
from embedstack.search.bm25 import Bm25
from embedstack.types import Sparse

AHEAD = 2  # groups that are encoded while another one is cut or written, so that the device never waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """What every group needs, and where it is counted."""

    encoder: DocumentEncoder
    writing: Writing
    threads: Threads
    bm25: Bm25 | None
    tenant: Tenant | None
    held: Mapping[str, Held]
    absent: Absent
    progress: Progress
    done: Summary
    letters: Letters = field(default_factory=Letters)  # of what BM25 counts

    async def run(self, groups: Iterator[Group]) -> None:
        """All of them.

        Raises:
            What the model or the database raises, if no document is to blame.
        """
        waiting: deque[tuple[Group, asyncio.Task[Encoded]]] = deque()
        try:
            while (group := await self.threads.read(partial(next, groups, None))) is not None:
                waiting.append((group, asyncio.create_task(self.encoder.of(group.works))))
                if len(waiting) > AHEAD:
                    await self._write(*waiting.popleft())
            while waiting:
                await self._write(*waiting.popleft())
        finally:
            left = [task for _, task in waiting]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _write(self, group: Group, encoding: "asyncio.Task[Encoded]") -> None:
        encoded = await encoding
        for work, code, message in encoded.made.dead:
            self.absent.add(LeftOut(work.doc_id, work.source, code, message))
        made, refused = await self.threads.write(partial(self._written, group, encoded))
        for one in refused:
            self.absent.add(one)
        self._count(made, {one.doc_id for one in refused})

    def _written(self, group: Group, encoded: Encoded) -> tuple[list[Made], list[LeftOut]]:
        made = list(self._points(group, encoded))
        return made, self.writing.write(made)

    def _points(self, group: Group, encoded: Encoded) -> Iterator[Made]:
        """Of the documents that have vectors."""
        cuts = {cut.work.doc_id: cut for cut in group.cuts}
        sparse, multi, first = encoded.made.sparse, encoded.multi, 0
        for work in encoded.made.works:
            rows = slice(first, first + len(work.texts))
            first = rows.stop
            lexical = self._lexical(work.texts, sparse[rows] if sparse is not None else None)
            tokens = multi[rows] if multi is not None else None
            yield points_of(cuts[work.doc_id], encoded.made.dense[rows], lexical, tokens, self.tenant)

    def _lexical(self, texts: Sequence[str], own: Sequence[Sparse] | None) -> Sequence[Sparse] | None:
        if self.bm25 is None:
            return own
        self.letters.add(texts)
        return [self.bm25.document(text) for text in texts]

    def _count(self, made: Sequence[Made], refused: set[str]) -> None:
        there = [one for one in made if one.doc_id not in refused]
        chunks, tokens = sum(len(one.ids) for one in there), sum(one.tokens for one in there)
        changed = sum(one.doc_id in self.held for one in there)
        self.done.changed += changed
        self.done.new += len(there) - changed
        self.done.chunks += chunks
        self.done.tokens += tokens
        self.progress.did(len(there), chunks, tokens)
