"""One POST: bytes become a request, its answer becomes bytes, in the words of the dialect that it was for."""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from traceback import clear_frames
from typing import TypeVar

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from embedstack.dialects.dialect import AnyRoute, Page, Wire
from embedstack.dialects.wire import identities, identity
from embedstack.engine.naming import pick
from embedstack.engine.reading import within
from embedstack.errors import BadRequest, NotReady
from embedstack.modelspec import ModelSpec
from embedstack.server.front import Front, peer_of
from embedstack.server.guard import caller_by_head, check_terms, read_body, send_wire, unless_hung_up, with_terms
from embedstack.server.merged import chosen, widened
from embedstack.server.metrics import Meter
from embedstack.server.table import Place, Serving
from embedstack.server.tracing import Finished
from embedstack.server.usage import total
from embedstack.types import Answer, Decoded, Encode, Encoded, Encoder, Image, Link, Request, Tokenized, answered

BIG_BYTES = 256 * 1024  # about a millisecond of JSON; above it the loop stays free for others
NO_BODY = (b"", b"null", b"{}")
PIECE_BYTES = 64  # of JSON for one token
ITEM = re.compile(r"^(text|image|item) (\d+)\b")  # how a message that is about one item begins
Given = TypeVar("Given")


class Turn:
    """What became of a request: who sent it, which of a place's dialects it was for, its answer if there was one."""

    def __init__(self, serving: Serving, headers: Mapping[bytes, bytes]) -> None:
        self.serving = serving
        self.headers = headers
        self.key_name: str | None = None
        self.caller: str | None = None  # None: it was not let in
        self.answers: tuple[Answer, ...] = ()  # one for each request that its body became


class Asked:
    """The ASGI app of one path."""

    def __init__(self, front: Front, place: Place) -> None:
        self._front = front
        self._place = place
        self._takes_query = any(not isinstance(one.what, Page) and one.what.takes_query for one in place.servings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens."""
        began = time.perf_counter()
        turn = Turn(self._place.first, dict(scope["headers"]))
        self._front.metrics.in_flight += 1
        try:
            wire = await self._wire(turn, scope, receive)
            await send_wire(send, wire)
        finally:
            self._front.metrics.in_flight -= 1
        self._note(turn, scope, wire.status, time.perf_counter() - began)

    async def _wire(self, turn: Turn, scope: Scope, receive: Receive) -> Wire:
        try:
            turn.key_name = self._front.admitted(scope)
            turn.caller = caller_by_head(turn.headers, peer_of(scope), turn.key_name)
            return await self._answer(turn, scope, receive)
        except asyncio.CancelledError:
            if not self._front.opening.is_draining:
                raise
            error: Exception = NotReady("the server stops and had no more time for the request; send it again")
        except Exception as caught:
            error = caught
        if turn.caller is not None:
            self._front.totals.failed(turn.caller)
        try:
            return self._front.failed(turn.serving, error, scope["embedstack.request_id"])
        finally:
            clear_frames(error.__traceback__)  # they hold the body, and this frame them: a circle that lasts
            del error

    def _note(self, turn: Turn, scope: Scope, status: int, took_s: float) -> None:
        path, dialect = self._place.path, turn.serving.dialect.name
        self._front.metrics.meter(path, dialect).seconds.add(took_s)
        self._front.done(path, dialect, scope, status, took_s)
        if self._front.record is not None:
            request_id = scope["embedstack.request_id"]
            self._front.record(Finished("POST", path, dialect, status, request_id, took_s, turn.headers, turn.answers))

    async def _answer(self, turn: Turn, scope: Scope, receive: Receive) -> Wire:
        began = time.perf_counter()
        front = self._front
        encoder = front.opening.encoder()
        body, size_bytes = await self._body(turn, scope, receive, encoder)
        models = encoder.models()
        route = turn.serving.what
        assert not isinstance(route, Page)
        request = await _aside(size_bytes, lambda: route.ask(body, self._front.limits, models))
        meter = self._front.metrics.meter(self._place.path, turn.serving.dialect.name)
        meter.read.add(time.perf_counter() - began)
        given: Answer | tuple[Answer, ...] | None = None
        if request is None:
            check_terms(turn.headers)
        else:
            peer, now = peer_of(scope), time.monotonic()
            asked = [
                with_terms(one, turn.headers, peer, now, key_name=turn.key_name)
                for one in (request if isinstance(request, tuple) else (request,))
            ]
            turn.caller = asked[0].caller
            works = [
                partial(self._answered, encoder, one, _places(route, body, number) if len(asked) > 1 else None)
                for number, one in enumerate(asked)
            ]
            turn.answers = await unless_hung_up(_all(works), receive)
            self._book(turn.caller, asked, turn.answers, meter)
            given = turn.answers if isinstance(request, tuple) else turn.answers[0]
        began = time.perf_counter()
        wire = await _aside(sum(map(_size, turn.answers)), lambda: route.write(body, given))
        wire = widened(wire, turn.serving, self._place.servings, next(iter(turn.answers), None))
        meter.write.add(time.perf_counter() - began)
        if given is None:
            return wire
        told = identities(given) if isinstance(given, tuple) else identity(given)
        return Wire(wire.status, wire.body, {**wire.headers, **told}, wire.media_type)

    async def _body(self, turn: Turn, scope: Scope, receive: Receive, encoder: Encoder) -> tuple[Struct, int]:
        """What the body says, and how many bytes it had. They end here: with pictures they are many."""
        raw = await read_body(receive, turn.headers, self._front.max_bytes)
        if self._takes_query and raw in NO_BODY:
            raw = scope["query_string"]
        models, find = encoder.models(), self._front.opening.find
        turn.serving, body = await _aside(len(raw), lambda: chosen(self._place.servings, raw, models, find))
        return body, len(raw)

    def _book(self, caller: str, requests: Sequence[Request], answers: Sequence[Answer], meter: Meter) -> None:
        """One request of the caller, however many it became."""
        usage = total([answer.usage for answer in answers])
        has_run = not any(isinstance(answer, Tokenized | Decoded) for answer in answers)
        meter.count(usage, has_run=has_run)
        usage = usage if has_run else replace(usage, tokens=0)
        self._front.totals.answered(caller, usage, images=sum(map(_images, requests)))

    async def _answered(self, encoder: Encoder, request: Request, places: Sequence[int] | None) -> Answer:
        try:
            return await (self._computed(encoder, request) if _images(request) else answered(encoder, request))
        except BadRequest as error:
            if places is not None:
                error.args = (_placed(error.message, places), *error.args[1:])
            raise

    async def _computed(self, encoder: Encoder, request: Request) -> Answer:
        """The answer for images, links to them followed before, for which the deadline holds as well."""
        assert isinstance(request, Encode)
        spec = self._meant(encoder, request)
        request = await within(request.deadline, self._front.links.resolved(request, spec))
        return await answered(encoder, request)

    def _meant(self, encoder: Encoder, request: Encode) -> ModelSpec | None:
        """The model that will answer; where there are links it is known before one is followed.

        Raises:
            UnknownModel, Unsupported: see `pick`.
        """
        found = self._front.opening.find(request.model)
        if not any(isinstance(item, Link) for item in request.items):
            return found
        specs = {spec.name: spec for spec in encoder.models()}
        names = {name: name for name in specs}
        if found is not None:
            specs[found.name] = found
            names[request.model] = found.name
        return pick(request.model, "embed", specs, names, "image")


async def _all(works: Sequence[Callable[[], Coroutine[object, object, Answer]]]) -> tuple[Answer, ...]:
    """At once; when one fails, the others are given up."""
    if len(works) == 1:
        return (await works[0](),)
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def _places(route: AnyRoute, body: Struct, number: int) -> Sequence[int] | None:
    """Where the items of one of several requests stand in the body, if the dialect says it."""
    return route.places(body, number) if route.places is not None else None


def _placed(message: str, places: Sequence[int]) -> str:
    """The message with the caller's number of the item that it begins with."""
    return ITEM.sub(lambda found: f"{found[1]} {places[int(found[2])]}", message)


def _images(request: Request) -> int:
    """How many of its items are pictures, or links to them."""
    return sum(isinstance(item, Image | Link) for item in request.items) if isinstance(request, Encode) else 0


def _size(answer: Answer) -> int:
    """About how many bytes the reply will have, where they can be many."""
    match answer:
        case Encoded():
            dense = () if answer.dense is None else (answer.dense,)
            sparse = (one.weights for one in answer.sparse or ())
            return sum(array.nbytes for array in (*dense, *(answer.multi or ()), *sparse))
        case Tokenized():
            return PIECE_BYTES * sum(len(pieces) for pieces in answer.items)
        case _:
            return 0


async def _aside(size_bytes: int, work: Callable[[], Given]) -> Given:
    """Do big work in a thread, small work here."""
    return await asyncio.to_thread(work) if size_bytes > BIG_BYTES else work()
