"""Documents, a collection and a model -> the collection holds these documents as they are now, and no older ones."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from embedstack.databases.database import Database
from embedstack.documents.source import Source
from embedstack.errors import BadRequest
from embedstack.indexing.cutting import Cutting
from embedstack.indexing.document_encoder import DocumentEncoder
from embedstack.indexing.embedding import Embedding
from embedstack.indexing.held import Held, Retry, held
from embedstack.indexing.lexical import bm25_for, unread
from embedstack.indexing.reading import Documents
from embedstack.indexing.survey import Survey, Surveying
from embedstack.indexing.target import Target, prepared, target
from embedstack.indexing.wish import IndexWish, Progress, Summary
from embedstack.indexing.writing import Writing, delete
from embedstack.jobs.opened import Opened
from embedstack.jobs.patience import Patience, liveness_of
from embedstack.jobs.pipeline import Threads
from embedstack.jobs.plan import Wish
from embedstack.modelspec import ModelSpec
from embedstack.origin import Origin

SAMPLE_FILES, SAMPLE_DOCS = 64, 256  # by which a new collection's BM25 is made: spread over all that is to be embedded


@dataclass(frozen=True, slots=True)
class Ends:
    """From where to where."""

    source: Source
    database: Database
    collection: str  # or an alias of one


@dataclass(frozen=True, slots=True)
class Model:
    """Known before it is opened, so that where nothing changed it need not be."""

    spec: ModelSpec
    open: Callable[[Wish], AbstractAsyncContextManager[Opened]]


@dataclass(frozen=True, slots=True)
class Hands:
    """Who is told, who tries again, who says that it shall end."""

    progress: Progress
    retry: Retry
    is_stopped: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    patience: Patience | None = None  # with the model; None: as a job has it


async def index(ends: Ends, wish: IndexWish, model: Model, hands: Hands) -> Summary:
    """Embed what is new or changed, and delete what it replaces and what is gone; the rest is left alone.

    Killed at any moment, the same call goes on. A task that is cancelled waits until what is being read or written
    has ended, which `is_stopped` hastens.

    Raises:
        BadRequest: nothing can be read, or a document has the id of one from another input. Mismatch: the collection is
            of another space. As the source, the database and the model.
    """
    began_s, threads = hands.clock(), Threads()
    with Documents(ends.source, wish.reading, ends.database.url, hands.is_stopped) as documents:
        try:
            done = await _Index(ends, wish, model, hands, documents, threads).run()
        finally:
            await threads.close()
    done.took_s = hands.clock() - began_s
    return done


@dataclass(frozen=True, slots=True)
class _Index:
    """What every step needs."""

    ends: Ends
    wish: IndexWish
    model: Model
    hands: Hands
    documents: Documents
    threads: Threads

    async def run(self) -> Summary:
        where, there, survey = await self.threads.read(self._looked)
        done = _summed(where, survey, there, self.model.spec, is_kept=self.wish.keep_gone)
        _check_any(len(survey.places), survey)
        if self.wish.dry_run:
            done.dry_run, done.left_out = True, _codes(survey)
            return done
        done.new = done.changed = 0
        if survey.todo:
            await self._embed(where, survey, there, done)
        done.left_out = _codes(survey)
        _check_any(done.new + done.changed + done.unchanged, survey)
        await self.threads.write(partial(self._clear, where, survey, there, done))
        return done

    def _looked(self) -> tuple[Target, Mapping[str, Held], Survey]:
        ends, hands, spec = self.ends, self.hands, self.model.spec
        where = target(ends.database, ends.collection, self.wish, spec, hands.retry)
        there: Mapping[str, Held] = {}
        if where.found is not None:
            there = held(ends.database, where.name, self.wish.tenant, hands.retry, hands.is_stopped)
        rules = where.rules(spec)
        surveying = Surveying(self.documents, there, hands.progress, rules=rules, collection=where.name)
        return where, there, surveying.survey()

    def _take_mark(self, where: Target) -> None:
        """A load believes its mark, and would not write again what is replaced here."""
        if where.found is None or where.found.loaded is None:
            return
        self.hands.retry(partial(self.ends.database.mark, where.name, None))
        self.hands.progress.note(
            f"something was loaded into collection {where.name!r} before; load it again, and all of its rows are "
            "written once more"
        )

    async def _embed(self, where: Target, survey: Survey, there: Mapping[str, Held], done: Summary) -> None:
        hands = self.hands
        async with self.model.open(where.encoding) as opened:
            began_s = hands.clock()
            where = await self.threads.read(partial(self._with_bm25, where, survey, there, opened))
            origin = Origin(
                identity=opened.identity,
                role=where.encoding.role,
                probes=opened.probes,
                late_chunking=where.encoding.late_chunking,
            )
            ready = partial(prepared, self.ends.database, where, origin, self.wish)
            bound = await self.threads.write(partial(hands.retry, ready))
            await self.threads.write(partial(self._take_mark, where))
            writing = Writing(
                bound, there, hands.retry, dense=where.dense, field=where.field, is_replacing=where.is_replacing
            )
            patience = hands.patience or Patience(is_alive=liveness_of(opened.encoder))
            if where.multi_dim:
                hands.progress.note(where.size_note())
            hands.progress.begins(len(survey.places) - survey.unchanged)
            embedding = Embedding(
                encoder=DocumentEncoder(opened, where.encoding, patience, has_multi=where.multi_dim > 0),
                writing=writing,
                threads=self.threads,
                bm25=where.bm25,
                tenant=self.wish.tenant,
                held=there,
                absent=survey.absent,
                progress=hands.progress,
                done=done,
            )
            await embedding.run(self._cutting(where, survey, there, opened).groups())
            self._tell_unread(where, embedding)
            done.deleted, done.embed_s = writing.deleted, hands.clock() - began_s

    def _tell_unread(self, where: Target, embedding: Embedding) -> None:
        note = unread(embedding.letters, where.bm25, where.name) if where.bm25 and not self.wish.language else ""
        if note:
            self.hands.progress.note(note)

    def _cutting(self, where: Target, survey: Survey, there: Mapping[str, Held], opened: Opened) -> Cutting:
        rules = where.rules(self.model.spec)
        return Cutting(self.documents, survey, there, where.encoding, opened.ruler, rules=rules)

    def _with_bm25(self, where: Target, survey: Survey, there: Mapping[str, Held], opened: Opened) -> Target:
        """A collection that has none yet gets one for what is to be embedded."""
        if where.lexical != "bm25" or where.bm25 is not None:
            return where
        texts = list(_sampled(self._cutting(where, survey, there, opened), survey))
        bm25, note = bm25_for(texts, self.wish)
        if note:
            self.hands.progress.note(note)
        return replace(where, bm25=bm25)

    def _clear(self, where: Target, survey: Survey, there: Mapping[str, Held], done: Summary) -> None:
        """Delete what is gone, and what a kill left; and count what is there then."""
        database, retry = self.ends.database, self.hands.retry
        gone = {} if self.wish.keep_gone else survey.gone(there)
        chunks = [*survey.leftover, *(chunk for chunks in gone.values() for chunk in chunks)]
        if chunks and not survey.todo:
            self._take_mark(where)
        done.gone, done.deleted = len(gone), done.deleted + delete(database, where.name, chunks, retry)
        now = retry(partial(database.describe, where.name))
        done.points = now.points if now else 0


def _sampled(cutting: Cutting, survey: Survey) -> Iterator[str]:
    """Chunks of some documents; the same ones as long as the input is the same."""
    step = -(-len(survey.todo) // SAMPLE_FILES)
    some = survey.todo[::step]
    for segment in some:
        for cut in islice(cutting.each(segment), -(-SAMPLE_DOCS // len(some))):
            yield from cut.work.texts


def _summed(where: Target, survey: Survey, there: Mapping[str, Held], spec: ModelSpec, *, is_kept: bool) -> Summary:
    return Summary(
        collection=where.name,
        docs=len(survey.places),
        new=survey.new,
        changed=survey.changed,
        unchanged=survey.unchanged,
        gone=0 if is_kept else len(survey.gone(there)),
        points=where.found.points if where.found else 0,
        model=spec.name,
    )


def _codes(survey: Survey) -> Counter[str]:
    return Counter(one.code for one in survey.absent.told.values())


def _check_any(docs: int, survey: Survey) -> None:
    """Raises: BadRequest: there is no document, so nothing is written or deleted either."""
    if docs:
        return
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(_codes(survey).items()))
    raise BadRequest(
        f"no document of the input can be indexed ({codes or 'its files hold none'}), so the collection is left as it "
        "is; mend one, or name another input"
    )
