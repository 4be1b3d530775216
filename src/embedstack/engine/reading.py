"""Items become what a tokeniser makes of them: in groups and beside the event loop, so that nobody waits long."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from embedstack.engine.line import Call
from embedstack.errors import DeadlineExceeded
from embedstack.types import Encoding, Image, Item, Link, Pair, Piece, Request, Text, Tokens, Usage

I = TypeVar("I", bound=Item)  # noqa: E741
T = TypeVar("T")

INLINE_CHARS = 4_000  # tokenising this much takes under a millisecond, about what a hand-over to a thread can cost
INLINE_NUMBERS = 200_000  # finishing this many numbers takes under a millisecond
GROUP_CHARS = 250_000  # tokenised at once: some 50 ms, after which a caller who hung up costs no more


async def in_groups(request: Request, items: Sequence[I], work: Callable[[Sequence[I], int], list[T]]) -> list[T]:
    """What the tokeniser makes of the items, in groups, so that a request that is cancelled meanwhile ends soon.

    Args:
        work: takes a group and the number of its first item.
    """
    if sum(map(_chars, items)) <= INLINE_CHARS:  # nearly all requests; the loop below would do the same
        return work(items, 0)
    made: list[T] = []
    for group, chars in _groups(items):
        if made and request.deadline is not None and time.monotonic() >= request.deadline:
            raise late()
        made += await off_loop(chars > INLINE_CHARS, partial(work, group, len(made)))
    return made


def late() -> DeadlineExceeded:
    """The error of a request whose time is over."""
    return DeadlineExceeded("the deadline passed before the work was done; allow more time or send less")


def _groups(items: Sequence[I]) -> Iterator[tuple[list[I], int]]:
    """Items in order, each group with its size; the last item of a group may be long."""
    group: list[I] = []
    size = 0
    for item in items:
        group.append(item)
        size += _chars(item)
        if size >= GROUP_CHARS:
            yield group, size
            group, size = [], 0
    if group:
        yield group, size


def _chars(item: Item) -> int:
    """About how much work tokenising is; what is no text is refused later."""
    match item:
        case Text(text):
            parts: tuple[object, ...] = (text,)
        case Pair(query, document):
            parts = (query, document)
        case Tokens(ids):
            parts = (ids,)
        case Image() | Link():
            parts = ()
    return sum(len(part) for part in parts if isinstance(part, str | tuple))


async def off_loop(is_long: bool, work: Callable[[], T]) -> T:
    """Long work leaves the event loop free for other callers."""
    return await asyncio.to_thread(work) if is_long else work()


async def within(deadline: float | None, work: Awaitable[T]) -> T:
    """The work, given up at the deadline.

    Raises:
        DeadlineExceeded: it has passed.
    """
    if deadline is None:
        return await work
    try:
        return await asyncio.wait_for(work, max(0.0, deadline - time.monotonic()))
    except asyncio.TimeoutError as error:
        raise late() from error


async def together(works: Sequence[Coroutine[object, object, None]]) -> None:
    """All of them at once; when one fails, the others are given up."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# ------------------------------------------------------------------------------------------------ what it was


def content(encoding: Encoding) -> Hashable:
    """What makes the encoding of a text another one."""
    digest = hashlib.blake2b(encoding.ids.tobytes(), digest_size=32)
    if encoding.segments is not None:
        digest.update(b"segments")
        digest.update(encoding.segments.tobytes())
    return digest.digest()


def usage_of(encodings: Sequence[Encoding]) -> Usage:
    """What a request costs, before it is computed."""
    return Usage(
        items=len(encodings),
        tokens=sum(e.cost for e in encodings),
        dropped=sum(e.dropped for e in encodings),
        truncated=sum(e.dropped > 0 for e in encodings),
    )


def usage_of_pieces(items: Sequence[Sequence[Piece]]) -> Usage:
    """As a request would count them."""
    dropped = [sum(piece.is_cut for piece in pieces) for pieces in items]
    tokens = sum(len(pieces) for pieces in items) - sum(dropped)
    return Usage(len(items), tokens, dropped=sum(dropped), truncated=sum(count > 0 for count in dropped))


def timed(usage: Usage, began: float, calls: Sequence[Call]) -> Usage:
    """The same with its stages: until the first part was read, until the device began it, until now."""
    now = time.monotonic()
    arrived = min((call.arrived for call in calls), default=now)
    started = max(arrived, min((call.started or now for call in calls), default=now))
    return Usage(
        usage.items, usage.tokens, usage.dropped, usage.truncated, started - arrived, now - started, arrived - began
    )
