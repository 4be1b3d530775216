"""A request's items -> their rows: read, looked up, or waited for in the device's line."""

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import numpy as np

from embedstack.engine.cache import Cache
from embedstack.engine.lane import Group
from embedstack.engine.line import Call, Job, Line
from embedstack.engine.loaded import Loaded, document_tokens
from embedstack.engine.naming import kind_of
from embedstack.engine.pictures import AT_ONCE_HERE, Pictures, chunks, digests, size_bytes
from embedstack.engine.reading import content, in_groups, late, timed, together, usage_of, within
from embedstack.engine.scheduler import Scheduler
from embedstack.errors import TooLong, Unsupported
from embedstack.types import (
    DENSE,
    STATES,
    Classify,
    Encode,
    Encoding,
    Image,
    Item,
    Link,
    Output,
    Score,
    Usage,
    Vectors,
    Vision,
)

Asking = Encode | Score | Classify


@dataclass(slots=True)
class Parts:
    """A request that comes to the line in several parts: what they are together, and whether one was let in."""

    tokens: int
    is_let_in: bool = False


class Rows:
    """The way of every request of one engine.

    Args:
        max_request_tokens: of one request; 0 sets no limit.
    """

    def __init__(
        self, scheduler: Scheduler, cache: Cache | None, pictures: Pictures, max_request_tokens: int = 0
    ) -> None:
        self._scheduler, self._cache, self._pictures = scheduler, cache, pictures
        self._max_request_tokens = max_request_tokens

    async def of(
        self, loaded: Loaded, request: Asking, outputs: frozenset[Output]
    ) -> tuple[list[Encoding], list[Vectors], Usage]:
        """Encodings (without pixels) and rows in input order, and what they cost.

        Raises:
            BadRequest, TooLong, Unsupported, DeadlineExceeded, NotReady, RuntimeFailed.
        """
        began = time.monotonic()
        if isinstance(request, Encode) and loaded.image is not None and kind_of(request.items) == "image":
            return await within(request.deadline, self._of_pictures(loaded, request, outputs, began))
        encodings = await in_groups(request, request.items, lambda group, first: loaded.reader.encode(
            group, request.max_tokens, request.truncate, first=first, document_tokens=document_tokens(request)
        ))  # fmt: skip
        return encodings, *await self.of_texts(loaded, request, outputs, encodings, began)

    async def of_texts(
        self,
        loaded: Loaded,
        request: Asking,
        outputs: frozenset[Output],
        encodings: Sequence[Encoding],
        began: float,
        parts: Parts | None = None,
    ) -> tuple[list[Vectors], Usage]:
        """Rows of texts that are read already.

        Args:
            began: when that was begun.
            parts: what they are a part of.
        """
        usage = usage_of(encodings)
        self._check_tokens(usage.tokens)
        group = Group(loaded.runtime, loaded.spec, outputs, loaded.identity(outputs))
        keys = [(group.identity, content(encoding)) for encoding in encodings]
        rows = self._known(keys, request, outputs)
        missing = {place: encoding for place, encoding in enumerate(encodings) if rows[place] is None}
        call = await self._call(group, request, missing, keys, rows, parts or Parts(usage.tokens))
        return cast("list[Vectors]", call.rows), timed(usage, began, [call])

    # ------------------------------------------------------------------ pictures

    async def _of_pictures(
        self, loaded: Loaded, request: Encode, outputs: frozenset[Output], began: float
    ) -> tuple[list[Encoding], list[Vectors], Usage]:
        """Pictures, or pictures and texts, each kind in batches of its own."""
        if outputs != DENSE:
            said = ", ".join(sorted(outputs))
            raise Unsupported(f"{loaded.spec.name!r} gives dense vectors of images, not {said}; leave it out")
        encodings = await _read(loaded, request)
        usage = usage_of(encodings)
        self._check_tokens(usage.tokens)
        rows: dict[int, Vectors] = {}
        calls: list[Call] = []
        parts = Parts(usage.tokens)
        works = [self._see(loaded, request, rows, calls, parts)]
        texts = {n: encodings[n] for n, item in enumerate(request.items) if not isinstance(item, Image)}
        if texts:
            works.append(self._compare(loaded, request, texts, rows, parts))
        await together(works)
        return encodings, [rows[place] for place in range(len(encodings))], timed(usage, began, calls)

    async def _compare(
        self, loaded: Loaded, request: Encode, texts: Mapping[int, Encoding], rows: dict[int, Vectors], parts: Parts
    ) -> None:
        """The texts among pictures."""
        made, _ = await self.of_texts(loaded, request, DENSE, list(texts.values()), 0.0, parts)
        rows.update(zip(texts, made, strict=True))

    async def _see(
        self, loaded: Loaded, request: Encode, rows: dict[int, Vectors], calls: list[Call], parts: Parts
    ) -> None:
        """Pictures, some at a time: those that follow are decoded while the device works on those before."""
        vision = _vision(loaded)
        pictures = {place: item for place, item in enumerate(request.items) if isinstance(item, Image)}
        here, room = asyncio.Semaphore(AT_ONCE_HERE), self._pictures.room()

        async def some(places: Sequence[int]) -> None:
            async with here, room.of(size_bytes(vision) * len(places)):
                call = await self._seen(loaded, request, {place: pictures[place] for place in places}, parts)
            calls.append(call)
            rows.update(zip(places, cast("list[Vectors]", call.rows), strict=True))

        await together([some(places) for places in chunks(list(pictures), vision)])

    async def _seen(self, loaded: Loaded, request: Encode, pictures: Mapping[int, Image], parts: Parts) -> Call:
        """Pictures together: what is known of a file needs no decoding."""
        assert loaded.image is not None
        group = Group(loaded.runtime, loaded.spec, DENSE, loaded.identity(DENSE, kind="image"))
        keys = [(group.identity, digest) for digest in await digests(list(pictures.values()))]
        rows = self._known(keys, request, DENSE)
        missing = {place: n for n, place in enumerate(pictures) if rows[n] is None}
        decoded = await self._pictures.decoded(loaded.image, {place: pictures[place] for place in missing})
        encodings = {n: decoded[place] for place, n in missing.items()}
        return await self._call(group, request, encodings, keys, rows, parts)

    # ------------------------------------------------------------------ the line

    def _check_tokens(self, tokens: int) -> None:
        if 0 < self._max_request_tokens < tokens:
            raise TooLong(
                f"the request has {tokens} tokens and the limit is {self._max_request_tokens}; "
                "send it in parts, or raise EMBEDSTACK_MAX_REQUEST_TOKENS"
            )

    def _known(self, keys: Sequence[Hashable], request: Asking, outputs: frozenset[Output]) -> list[Vectors | None]:
        """The rows that the cache has. A whole request is packed by its lengths alone, so nothing of it is left out."""
        if self._cache is None or request.whole or outputs == STATES:
            return [None] * len(keys)
        return [self._cache.get(key) for key in keys]

    async def _call(
        self,
        group: Group,
        request: Asking,
        missing: Mapping[int, Encoding],
        keys: Sequence[Hashable],
        rows: list[Vectors | None],
        parts: Parts,
    ) -> Call:
        """Wait in the line for the rows that are missing, by their places."""
        loop = asyncio.get_running_loop()
        call = Call(loop, loop.create_future(), rows, time.monotonic(), missing=len(missing))
        call.jobs = [Job(encoding, keys[place], [(call, place)]) for place, encoding in missing.items()]
        if call.jobs:
            line = Line(
                group,
                call.jobs.copy(),
                request.priority,
                request.caller,
                call.arrived,
                lanes=group.runtime.lanes,
                is_whole=request.whole,
                deadline=request.deadline,
                call=call,
                whole_tokens=parts.tokens,
                is_let_in=parts.is_let_in,
            )

            def submit() -> None:
                self._scheduler.submit(line)
                parts.is_let_in = True

            await self._wait(call, request.deadline, submit)
        return call

    async def _wait(self, call: Call, deadline: float | None, submit: Callable[[], None]) -> None:
        left_s = None if deadline is None else deadline - time.monotonic()
        try:
            if left_s is not None and left_s <= 0:
                raise asyncio.TimeoutError
            submit()
            await (call.done if left_s is None else asyncio.wait_for(call.done, left_s))
        except asyncio.TimeoutError as error:
            raise late() from error
        finally:
            if not call.done.done() or call.done.cancelled() or call.done.exception():
                self._scheduler.leave(call)


async def _read(loaded: Loaded, request: Encode) -> list[Encoding]:
    """Texts as the tokeniser reads them, each numbered by its place; for a picture its tokens, without pixels."""
    seen = Encoding(np.zeros(_vision(loaded).tokens, np.int32))
    made: list[Encoding] = []
    for kind, run in groupby(request.items, type):
        group = list(run)
        if kind is Link:
            raise Unsupported(f"item {len(made)} is a link that nobody followed; send the image itself")
        made += [seen] * len(group) if kind is Image else await _texts(loaded, request, group, len(made))
    return made


async def _texts(loaded: Loaded, request: Encode, items: Sequence[Item], before: int) -> list[Encoding]:
    return await in_groups(request, items, lambda group, first: loaded.reader.encode(
        group, request.max_tokens, request.truncate, first=before + first
    ))  # fmt: skip


def _vision(loaded: Loaded) -> Vision:
    vision = loaded.spec.architecture.vision
    assert vision is not None  # else there would be no image input
    return vision
