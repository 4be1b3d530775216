"""A request's items -> their rows: read, looked up, or waited for in the device's line."""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from traceback import clear_frames
from typing import cast

import numpy as np

from embedstack.engine.cache import Cache
from embedstack.engine.lane import Group
from embedstack.engine.line import Call, Job, Line, Reserved
from embedstack.engine.loaded import Loaded, document_tokens
from embedstack.engine.naming import kind_of
from embedstack.engine.pictures import AT_ONCE_HERE, Looked, Pictures, check_effort, chunks, size_bytes
from embedstack.engine.reading import content, in_groups, late, timed, together, usage_of, within
from embedstack.engine.scheduler import Scheduler
from embedstack.errors import TooLong, Unsupported
from embedstack.modelspec import Output, Vision
from embedstack.types import DENSE, STATES, Classify, Encode, Encoding, Image, Item, Link, Score, Usage, Vectors

Asking = Encode | Score | Classify
HELD = 7 / 3  # times a file: itself, and the base64 of the body that it came in


@dataclass(frozen=True, slots=True)
class Parts:
    """A request that comes to the line in several parts: what they are together, and whether they were let in."""

    tokens: int
    is_let_in: bool = False
    reserved: Reserved | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """The pictures of one request, each by its place in that."""

    vision: Vision
    group: Group
    items: Mapping[int, Image]
    looked: Mapping[int, Looked]
    keys: Mapping[int, Hashable]
    first: Mapping[int, int]  # the place of the first of equal files
    missing: Sequence[int]  # of those, in order, what has to be computed
    rows: dict[int, Vectors]  # of those, as far as they are known


class Rows:
    """The way of every request of one engine.

    Args:
        max_request_tokens: of one request; 0 sets no limit.
        limits_effort: whether pictures that take minutes are refused; a script waits for what it asks for.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        cache: Cache | None,
        pictures: Pictures,
        *,
        max_request_tokens: int = 0,
        limits_effort: bool = False,
    ) -> None:
        self._scheduler, self._cache, self._pictures = scheduler, cache, pictures
        self._max_request_tokens, self._limits_effort = max_request_tokens, limits_effort

    async def of(
        self, loaded: Loaded, request: Asking, outputs: frozenset[Output]
    ) -> tuple[list[Encoding], list[Vectors], Usage]:
        """Encodings (without pixels) and rows in input order, and what they cost.

        Raises:
            BadRequest, TooLong, Unsupported, DeadlineExceeded, NotReady, RuntimeFailed.
        """
        began = time.monotonic()
        if isinstance(request, Encode) and loaded.image is not None and kind_of(request.items) == "image":
            try:
                return await within(request.deadline, self._of_pictures(loaded, request, outputs, began))
            except BaseException as error:
                clear_frames(error.__traceback__)  # of which some hold pixels, and the tasks that hold the error
                raise
        encodings = await in_groups(request, request.items, lambda group, first: loaded.text.encode(
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
        self._check_tokens(parts.tokens if parts else usage.tokens)
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
        texts = {n: encodings[n] for n, item in enumerate(request.items) if not isinstance(item, Image)}
        sight = await self._looked(loaded, request)
        calls: list[Call] = []
        with self._let_in(sight, request, usage.tokens) as parts:
            works = [self._see(sight, loaded, request, calls, parts)]
            if texts:
                works.append(self._compare(loaded, request, texts, sight.rows, parts))
            await together(works)
        rows = [sight.rows[sight.first.get(place, place)] for place in range(len(encodings))]
        return encodings, rows, timed(usage, began, calls)

    async def _compare(
        self, loaded: Loaded, request: Encode, texts: Mapping[int, Encoding], rows: dict[int, Vectors], parts: Parts
    ) -> None:
        """The texts among pictures."""
        made, _ = await self.of_texts(loaded, request, DENSE, list(texts.values()), 0.0, replace(parts, reserved=None))
        rows.update(zip(texts, made, strict=True))

    async def _looked(self, loaded: Loaded, request: Encode) -> Sight:
        """What is known of a file needs no decoding; equal files are decoded and computed once.

        Raises:
            TooLong: see `check_effort`.
        """
        assert loaded.image is not None
        items = {place: item for place, item in enumerate(request.items) if isinstance(item, Image)}
        looked = await self._pictures.looked(loaded.image, items)
        group = Group(loaded.runtime, loaded.spec, DENSE, loaded.identity(DENSE, kind="image"))
        keys = {place: (group.identity, one.digest) for place, one in looked.items()}
        same: dict[Hashable, int] = {}
        first = {place: place if request.whole else same.setdefault(key, place) for place, key in keys.items()}
        places = [place for place in items if first[place] == place]
        known = self._known([keys[place] for place in places], request, DENSE)
        rows = {place: row for place, row in zip(places, known, strict=True) if row is not None}
        missing = [place for place in places if place not in rows]
        if self._limits_effort:
            check_effort(sum(looked[place].needs.effort for place in missing))
        return Sight(_vision(loaded), group, items, looked, keys, first, missing, rows)

    @contextmanager
    def _let_in(self, sight: Sight, request: Encode, tokens: int) -> Iterator[Parts]:
        """Refused before anything is decoded, or counted as waiting until it stands in the line.

        Args:
            tokens: of the whole request.
        """
        if not sight.missing:
            yield Parts(tokens)
            return
        group = sight.group
        line = Line(group, [], request.priority, request.caller, time.monotonic(), lanes=group.runtime.lanes,
                    deadline=request.deadline, whole_tokens=tokens)  # fmt: skip
        held_bytes = int(HELD * sum(len(item.data) for item in sight.items.values()))
        reserved = self._scheduler.reserve(line, len(sight.missing), sight.vision.tokens, held_bytes)
        try:
            yield Parts(tokens, is_let_in=True, reserved=reserved)
        finally:
            self._scheduler.release(reserved)

    async def _see(self, sight: Sight, loaded: Loaded, request: Encode, calls: list[Call], parts: Parts) -> None:
        """Pictures, some at a time: those that follow are decoded while the device works on those before."""
        image = loaded.image
        assert image is not None
        here, room = asyncio.Semaphore(AT_ONCE_HERE), self._pictures.rooms().patches

        async def some(places: Sequence[int]) -> None:
            async with here, room.of(size_bytes(sight.vision) * len(places), request.priority, request.caller):
                items = {place: sight.items[place] for place in places}
                decoded = await self._pictures.decoded(
                    image, items, sight.looked, request.priority, caller=request.caller
                )
                encodings = dict(enumerate(decoded[place] for place in places))
                keys = [sight.keys[place] for place in places]
                call = await self._call(sight.group, request, encodings, keys, [None] * len(places), parts)
            calls.append(call)
            sight.rows.update(zip(places, cast("list[Vectors]", call.rows), strict=True))

        await together([some(places) for places in chunks(sight.missing, sight.vision, sight.looked)])

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
                reserved=parts.reserved,
            )
            await self._wait(call, request.deadline, lambda: self._scheduler.submit(line))
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
            call.let_go()


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
    return await in_groups(request, items, lambda group, first: loaded.text.encode(
        group, request.max_tokens, request.truncate, first=before + first
    ))  # fmt: skip


def _vision(loaded: Loaded) -> Vision:
    vision = loaded.spec.architecture.vision
    assert vision is not None  # else there would be no image input
    return vision
