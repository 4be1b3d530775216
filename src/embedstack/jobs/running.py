"""A plan, its input, a place and a model -> the table, shard by shard; each is done once, whoever else works on it."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from embedstack.documents.reading import Reader
from embedstack.documents.source import Source
from embedstack.errors import ConfigError, EmbedstackError, Mismatch
from embedstack.jobs.checking import check_creates_once, check_identity, check_input, check_versions, exact_note
from embedstack.jobs.counting import Counting, Failed, Sums
from embedstack.jobs.course import Course
from embedstack.jobs.encoding import Asking, Known, ShardEncoder
from embedstack.jobs.events import Ended, Event, Started, Trying
from embedstack.jobs.finishing import MOST_DEAD, ROUNDS, check_failed, finish, look
from embedstack.jobs.layout import MANIFEST, SUCCESS
from embedstack.jobs.lease import PATIENCE_S, Lease
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.opened import Opened, reprobed
from embedstack.jobs.patience import Patience, liveness_of
from embedstack.jobs.pipeline import Threads, beside
from embedstack.jobs.plan import Plan
from embedstack.jobs.probing import probe_faults
from embedstack.jobs.shard_work import Preparing
from embedstack.jobs.shards import Shards, shards_of
from embedstack.jobs.shift import Shift, Tools
from embedstack.jobs.since import drop_index, open_index
from embedstack.jobs.spooling import MOST_BYTES, Spool
from embedstack.jobs.storing import Storing
from embedstack.storage.capability import SingleWriter
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Storage

IN_FLIGHT = 2  # shards in the engine: while the last batches of one run, those of the next fill the other lanes
TICK_S = 0.5  # between two events of progress

Say = Callable[[Event], None]
Careful = Mapping[int, frozenset[int]]


class Runner:
    """Works on a job until nothing is left of it, in one process. Others may work on the same job.

    Args:
        spool: a folder that runners may share; each has one of its own below it.
        spool_bytes: of files that wait to be uploaded.
        in_flight: shards in the engine at once; two more are read or stored meanwhile.
        part: which of how many runners this is. The only one also writes the manifest; else see `finishing.finish`.
        error_budget: documents that may fail: a share below 1, else a number.
        say: takes what happens, from several threads.
        careful: shards that are worked on document by document, and the places of documents that are left out.
        items_per_request: None for the engine of this process; else an endpoint's, see `encoding.Asking`.
        patience: with what may pass.
        check_input: whether the input is compared with the plan; the process above may have done it for all.
    """

    def __init__(
        self,
        plan: Plan,
        source: Source,
        storage: Storage,
        opened: Opened,
        *,
        spool: Path,
        spool_bytes: int = MOST_BYTES,
        in_flight: int = IN_FLIGHT,
        part: tuple[int, int] = (0, 1),
        error_budget: float = MOST_DEAD,
        say: Say = lambda event: None,
        careful: Careful | None = None,
        items_per_request: int | None = None,
        requests_at_once: int = 4,
        patience: Patience | None = None,
        check_input: bool = True,
    ) -> None:
        self._plan, self._source, self._storage, self._opened = plan, source, storage, opened
        self._ledger = Ledger(storage, plan)
        self._spool = Spool(spool, spool_bytes)
        self._in_flight, self._part, self._careful = in_flight, part, careful or {}
        self._error_budget, self._say = error_budget, say
        self._how = Asking(items_per_request, requests_at_once)
        self._patience = patience or Patience(is_alive=liveness_of(opened.encoder))
        self._checks_input = check_input
        self._lease = Lease(storage) if isinstance(storage, SingleWriter) else None
        self._counting = Counting(opened.encoder, lambda: self._spool.room.held)
        self._sums = Sums()
        self._new_files = 0

    async def run(self) -> Ended:
        """What was done here; or why it could not go on, with what was done until then.

        One that is cancelled waits for its threads and leaves all that is committed; the next run goes on from there.
        """
        error: EmbedstackError | None = None
        try:
            with self._spool:
                await self._run()
        except EmbedstackError as caught:
            error = caught
        sums = self._sums
        if error is None:
            return Ended(done=sums.done, lost=sums.lost)
        return Ended(done=sums.done, lost=sums.lost, error=error.message, code=error.code, exit_code=error.exit_code)

    async def _run(self) -> None:
        with ExitStack() as opened:  # closed once no thread reads any more
            await self._open(opened)

    async def _open(self, opened: ExitStack) -> None:
        threads, stop = Threads(), threading.Event()
        try:
            await threads.write(self._check)
            await self._check_probes()
            shards = await threads.write(partial(shards_of, self._storage, self._plan, self._spool.folder))
            if self._checks_input:
                await threads.read(partial(self._check_input, shards))
            if self._lease:
                await threads.ask(self._lease.take)
            with self._counting.listening():
                await beside(self._rounds(threads, stop, shards, opened), self._tick(threads))
            self._tell()
        finally:
            stop.set()
            await threads.close()
            if self._lease:
                with suppress(EmbedstackError):  # it runs out by itself
                    await asyncio.to_thread(self._lease.give_back)

    def _check(self) -> None:
        check_versions(self._plan)
        check_identity(self._plan, self._opened.identity)
        if self._lease and self._part[1] > 1:
            raise ConfigError("with --single-writer there is one process; leave out --processes")
        check_creates_once(self._storage)

    async def _check_probes(self) -> None:
        plan = self._plan
        opened = await reprobed(plan.probes, self._opened, plan.wish, is_here=self._how.is_here)
        if faults := probe_faults(plan, opened):
            raise Mismatch(
                f"the model that is open makes other vectors than it did for the plan: {'; '.join(faults)}; bring that "
                "one back, or plan again into an empty folder"
            )

    def _check_input(self, shards: Shards) -> None:
        url = self._storage.url if self._plan.wish.can_lend else ""
        self._new_files = check_input(shards.segments(), self._source.entries(), url).new.count

    # ------------------------------------------------------------------ the work

    async def _rounds(self, threads: Threads, stop: threading.Event, shards: Shards, opened: ExitStack) -> None:
        """Until every file of the table is there; one of several parts is done once it finds nothing more to do."""
        is_only = self._part[1] == 1
        for turn in range(ROUNDS):
            done = await self._patience.of(lambda: threads.write(self._begin))
            if turn == 0:
                self._say(self._started(shards, done))
            self._check_failed(self._sums)
            if is_only and len(done) == len(shards) and await threads.ask(self._is_finished):
                return
            tools = await self._tools(threads, stop, shards, opened)
            course = Course(len(shards), done, self._part, keep_off=self._in_flight)
            await Shift(
                tools, course, self._sums, in_flight=self._in_flight, careful=self._careful, check=self._check_failed
            ).work()
            if not is_only:
                await self._patience.of(lambda: threads.write(self._ledger.fold_rest))
                return
            if await self._patience.of(lambda: threads.write(self._finish)):
                return
        raise Mismatch(
            f"files of shards that are committed went missing {ROUNDS} times while the job ran; look what else "
            f"deletes in {self._storage.url!r}, and run it again"
        )

    def _begin(self) -> set[int]:
        """The shards that are done, and what failed in them.

        In a bucket a look at the record and at the files of each would take long; it is taken at the end.
        """
        if self._storage.url.startswith("file:"):
            looked = look(self._storage, self._ledger)
            self._sums.failed = looked.failed
            return looked.done
        done, failed = self._ledger.committed(), Failed()
        for commit in self._ledger.folded():
            failed.add(commit)
        self._sums.failed = failed
        return done

    def _started(self, shards: Shards, done: set[int]) -> Started:
        size, plan = sum(shards.bytes_of(number) for number in done), self._plan
        return Started(
            shards=plan.shards,
            done=len(done),
            docs=plan.docs,
            tokens=plan.tokens,
            tokens_done=plan.tokens * size // max(1, plan.bytes),
            docs_done=sum(shards.docs_of(number) for number in done),
            bytes_done=size,
            new_files=self._new_files,
            exact_note=exact_note(plan.exact, self._opened.exact),
        )

    async def _tools(self, threads: Threads, stop: threading.Event, shards: Shards, opened: ExitStack) -> Tools:
        plan = self._plan
        known: Known | None = None
        if plan.wish.since:
            known = await threads.write(self._index)
        reader = opened.enter_context(Reader(self._source, plan.wish.reading))
        return Tools(
            shards=shards,
            ledger=self._ledger,
            preparing=Preparing(plan, reader, self._opened.ruler, stop, self._trying),
            encoder=ShardEncoder(self._opened, plan.wish, self._patience, self._how, known, threads.ask),
            storing=Storing(plan, self._storage, self._ledger, self._spool, self._opened.exact),
            room=self._spool.room,
            threads=threads,
            patience=self._patience,
            counting=self._counting,
            say=self._say,
        )

    def _index(self) -> Known:
        return open_index(open_storage(self._plan.wish.since), self._plan, self._spool.above)

    def _is_finished(self) -> bool:
        return all(self._storage.entry(key) is not None for key in (MANIFEST, SUCCESS))

    def _finish(self) -> bool:
        plan, spool, budget = self._plan, self._spool, self._error_budget
        made = finish(self._storage, plan, error_budget=budget, folder=spool.folder, ledger=self._ledger)
        if made is not None and plan.wish.since:
            drop_index(plan, spool.above)
        return made is not None

    # ------------------------------------------------------------------ beside it

    def _check_failed(self, sums: Sums) -> None:
        check_failed(sums.failed, self._error_budget, self._plan)

    def _trying(self, shard: int, place: int, doc_id: str) -> None:
        self._say(Trying(shard=shard, place=place, doc_id=doc_id))

    async def _tick(self, threads: Threads) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._tell()
            if lease := self._lease:
                await self._patience.of(partial(threads.ask, lease.keep), PATIENCE_S)

    def _tell(self) -> None:
        news = self._counting.news()
        if news is not None:
            self._say(news)
