"""Shards in the order of a course -> each read, encoded, stored and committed; several side by side, in bounds."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from embedstack.engine.reading import together
from embedstack.jobs.counting import Counting, Sums
from embedstack.jobs.course import Course
from embedstack.jobs.encoding import ShardEncoder
from embedstack.jobs.events import Did, Event, Lost, Took, Trying
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.patience import Patience
from embedstack.jobs.pipeline import Threads, Watch
from embedstack.jobs.plan import Shard
from embedstack.jobs.shard_work import Prepared, Preparing, Work
from embedstack.jobs.shards import Shards
from embedstack.jobs.spooling import Room
from embedstack.jobs.storing import Draft, Storing, size_of

BESIDE = 2  # shards: one that is read and one that is stored while others are in the engine

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a shift works with."""

    shards: Shards
    ledger: Ledger
    preparing: Preparing
    encoder: ShardEncoder
    storing: Storing
    room: Room
    threads: Threads
    patience: Patience
    counting: Counting
    say: Callable[[Event], None]


class Shift:
    """One walk through a course.

    Each of its hands holds one shard from its reading to its commit, so no more are in memory than there are hands.
    One hand reads at a time, in the order of the course; a few have theirs in the engine. Whatever one of them raises
    ends all.

    Args:
        in_flight: shards in the engine at once.
        careful: shards of which each document may be the last thing that this process does; and those left out.
        check: looks at the sums after each commit, and raises where they are too bad to go on.
    """

    def __init__(
        self,
        tools: Tools,
        course: Course,
        sums: Sums,
        *,
        in_flight: int,
        careful: Mapping[int, frozenset[int]],
        check: Callable[[Sums], None],
    ) -> None:
        self._tools, self._course, self._sums = tools, course, sums
        self._in_flight, self._careful, self._check = in_flight, careful, check
        self._turn = asyncio.Lock()  # to read
        self._engine = asyncio.Semaphore(in_flight)
        self._made_s = 0.0  # when the last vectors were there
        self._has_looked = False  # what others did, before something of theirs is taken

    async def work(self) -> None:
        """Until the course has nothing more."""
        for number in sorted(self._careful):  # alone, so that it is known over which one this process dies
            if self._course.take(number):
                watch = Watch()
                await self._store(await self._careful_draft(number, watch), watch)
        await together([self._hand() for _ in range(self._in_flight + BESIDE)])

    async def _hand(self) -> None:
        while await self._one():
            pass

    async def _one(self) -> bool:
        """One shard; False where there is none. What was read and made of it is let go before it is uploaded."""
        watch = Watch()
        is_left, draft = await self._next_draft(watch)
        await self._store(draft, watch)
        return is_left

    # ------------------------------------------------------------------ which

    async def _taken(self, watch: Watch) -> int | None:
        """The next that nobody has done."""
        while (number := await self._chosen()) is not None:
            if not await self._asked(partial(self._tools.ledger.is_committed, number), watch):
                return number
            await self._meet()
        return None

    async def _chosen(self) -> int | None:
        number = self._course.own()
        if number is None and self._course.has_others and not self._has_looked:
            self._has_looked = True
            self._course.saw(await self._asked(self._tools.ledger.committed, Watch()))
        return self._course.others() if number is None else number

    async def _meet(self) -> None:
        """Somebody works here: see what is done, and go elsewhere."""
        self._course.saw(await self._asked(self._tools.ledger.committed, Watch()))
        self._course.jump()

    async def _asked(self, work: Callable[[], T], watch: Watch) -> T:
        """Of the storage."""

        def timed() -> T:
            with watch.storing():
                return work()

        return await self._tools.patience.of(lambda: self._tools.threads.ask(timed))

    # ------------------------------------------------------------------ how

    async def _next_draft(self, watch: Watch) -> tuple[bool, Draft | None]:
        prepared = await self._next_prepared(watch)
        return (False, None) if prepared is None else (True, await self._drafted(prepared, watch))

    async def _careful_draft(self, number: int, watch: Watch) -> Draft | None:
        return await self._drafted(await self._prepared(number), watch)

    async def _next_prepared(self, watch: Watch) -> Prepared | None:
        async with self._turn:
            watch.start()
            number = await self._taken(watch)
            return None if number is None else await self._prepared(number)

    async def _prepared(self, number: int) -> Prepared:
        tools, shard = self._tools, self._tools.shards[number]
        tools.say(Took(shard=number))
        if number in self._careful:
            return await self._carefully(shard, self._careful[number])
        return await tools.patience.of(lambda: tools.threads.read(partial(tools.preparing.prepare, shard)))

    async def _carefully(self, shard: Shard, left_out: frozenset[int]) -> Prepared:
        """Read, cut and encode one document after the other, each said before it is touched."""
        tools, made = self._tools, Prepared(shard)
        each = tools.preparing.each(shard, left_out)
        while (one := await tools.threads.read(partial(next, each, None))) is not None:
            made.add(one)
            if isinstance(one, Work):
                await tools.encoder.try_alone(one)
        tools.say(Trying(shard=shard.number, place=-1, doc_id=""))  # whatever happens now, no single one is to blame
        return made

    async def _drafted(self, prepared: Prepared, watch: Watch) -> Draft | None:
        """Its files in the spool, with room for them taken there; None where somebody was first."""
        tools, number = self._tools, prepared.shard.number
        async with self._engine:
            if await self._asked(partial(tools.ledger.is_committed, number), watch):
                await self._lose(number)
                return None
            made = await tools.encoder.of(prepared.works)
            now_s = time.monotonic()
            since_s = now_s - made.encode_s
            watch.encoded(max(since_s, self._made_s) if tools.encoder.is_in_turn else since_s, now_s)
            self._made_s = now_s
        tools.counting.made(prepared.shard.docs, made)
        size = size_of(made)
        await tools.room.take(size)
        try:
            return await tools.threads.write(partial(tools.storing.write, prepared, made, watch, size))
        except BaseException:
            tools.room.give(size)
            raise

    async def _store(self, draft: Draft | None, watch: Watch) -> None:
        if draft is None:
            return
        tools = self._tools
        try:
            await tools.patience.of(lambda: tools.threads.write(partial(tools.storing.upload, draft, watch)))
            commit = await tools.patience.of(lambda: tools.threads.write(partial(tools.storing.commit, draft, watch)))
        finally:
            tools.room.give(draft.room)
        if commit is None:
            await self._lose(draft.commit.shard)
            return
        self._sums.did(commit)
        tools.say(Did(commit=commit))
        self._check(self._sums)

    async def _lose(self, number: int) -> None:
        self._sums.lost += 1
        self._tools.say(Lost(shard=number))
        await self._meet()
