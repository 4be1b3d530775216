"""The requests of one body -> their answers: links followed, all at once, errors in the numbers of the body."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TypeVar

from embedstack.engine.links import Links
from embedstack.engine.naming import pick
from embedstack.engine.reading import within
from embedstack.errors import BadRequest
from embedstack.modelspec import ModelSpec
from embedstack.types import Answer, Encode, Encoded, Encoder, Image, Link, Request, Tokenized, answered

BIG_BYTES = 256 * 1024  # about a millisecond of JSON; above it the loop stays free for others
PIECE_BYTES = 64  # of JSON for one token
ITEM = re.compile(r"^(text|image|item) (\d+)\b")  # how a message that is about one item begins
Find = Callable[[str], ModelSpec | None]
Places = Callable[[int], Sequence[int] | None]
Given = TypeVar("Given")


async def answers_of(
    encoder: Encoder, requests: Sequence[Request], *, links: Links, find: Find, places: Places, in_turn: bool = False
) -> tuple[Answer, ...]:
    """In the order of the requests; when one fails, the others are given up.

    Args:
        find: the model by a name or an alias, as the encoder has it.
        places: the number of a request -> where its items stand in the body, if that is known.
        in_turn: one after another; many at once may be refused for their wait behind each other.
    Raises:
        EmbedstackError: of the request that failed first.
    """
    works = [
        partial(_answered, encoder, one, links, find, places(number) if len(requests) > 1 else None)
        for number, one in enumerate(requests)
    ]
    return tuple([await work() for work in works]) if in_turn else await _all(works)


async def _all(works: Sequence[Callable[[], Coroutine[object, object, Answer]]]) -> tuple[Answer, ...]:
    if len(works) == 1:
        return (await works[0](),)
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


async def _answered(
    encoder: Encoder, request: Request, links: Links, find: Find, places: Sequence[int] | None
) -> Answer:
    try:
        if images_in(request):
            request = await _followed(encoder, request, links, find)
        return await answered(encoder, request)
    except BadRequest as error:
        if places is not None:
            error.args = (_placed(error.message, places), *error.args[1:])
        raise


async def _followed(encoder: Encoder, request: Request, links: Links, find: Find) -> Encode:
    """The request with images for its links, for which the deadline holds as well."""
    assert isinstance(request, Encode)
    return await within(request.deadline, links.resolved(request, _meant(encoder, request, find)))


def _meant(encoder: Encoder, request: Encode, find: Find) -> ModelSpec | None:
    """The model that will answer; where there are links it is known before one is followed.

    Raises:
        UnknownModel, Unsupported: see `pick`.
    """
    found = find(request.model)
    if not any(isinstance(item, Link) for item in request.items):
        return found
    specs = {spec.name: spec for spec in encoder.models()}
    names = {name: name for name in specs}
    if found is not None:
        specs[found.name] = found
        names[request.model] = found.name
    return pick(request.model, "embed", specs, names, "image")


def _placed(message: str, places: Sequence[int]) -> str:
    """The message with the caller's number of the item that it begins with."""
    return ITEM.sub(lambda found: f"{found[1]} {places[int(found[2])]}", message)


def images_in(request: Request) -> int:
    """How many of its items are pictures, or links to them."""
    return sum(isinstance(item, Image | Link) for item in request.items) if isinstance(request, Encode) else 0


def size_of(answer: Answer) -> int:
    """About how many bytes the reply will have, where they can be many."""
    match answer:
        case Encoded():
            dense = () if answer.dense is None else (answer.dense,)
            sparse = (one.weights for one in answer.sparse or ())
            return sum(array.nbytes for array in (*dense, *(answer.multi or ()), *(answer.states or ()), *sparse))
        case Tokenized():
            return PIECE_BYTES * sum(len(pieces) for pieces in answer.items)
        case _:
            return 0


async def aside(size_bytes: int, work: Callable[[], Given]) -> Given:
    """Do big work in a thread, small work here."""
    return await asyncio.to_thread(work) if size_bytes > BIG_BYTES else work()
