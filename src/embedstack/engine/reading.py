"""Items become what a tokeniser makes of them: in groups and beside the event loop, so that nobody waits long."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from embedstack.errors import DeadlineExceeded
from embedstack.types import Image, Item, Link, Pair, Request, Text, Tokens

I = TypeVar("I", bound=Item)  # noqa: E741
T = TypeVar("T")

INLINE_CHARS = 4_000  # tokenising this much takes under a millisecond, about what a hand-over to a thread can cost
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
