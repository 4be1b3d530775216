"""One POST: bytes become a request, its answer becomes bytes, in the words of the dialect that it was for."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from starlette.types import Receive, Scope, Send

from embedstack.dialects.dialect import Page, Wire
from embedstack.dialects.wire import identities, identity
from embedstack.errors import NotReady
from embedstack.server.front import Front, peer_of
from embedstack.server.guard import caller_by_head, check_terms, read_body, send_wire, unless_hung_up, with_terms
from embedstack.server.merged import chosen, widened
from embedstack.server.metrics import Meter
from embedstack.server.table import Place, Serving
from embedstack.server.tracing import Finished
from embedstack.types import Answer, Decoded, Encode, Encoded, Encoder, Image, Link, Request, Tokenized, answered

BIG_BYTES = 256 * 1024  # about a millisecond of JSON; above it the loop stays free for others
NO_BODY = (b"", b"null", b"{}")
PIECE_BYTES = 64  # of JSON for one token
Given = TypeVar("Given")


class Turn:
    """What became of a request: who sent it, which of a place's dialects it was for, its answer if there was one."""

    def __init__(self, serving: Serving, headers: Mapping[bytes, bytes]) -> None:
        self.serving = serving
        self.headers = headers
        self.key_name: str | None = None
        self.caller: str | None = None  # None: it was not let in
        self.answer: Answer | None = None  # of several that were asked for at once the first


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
        return self._front.failed(turn.serving, error, scope["embedstack.request_id"])

    def _note(self, turn: Turn, scope: Scope, status: int, took_s: float) -> None:
        path, dialect = self._place.path, turn.serving.dialect.name
        self._front.metrics.meter(path, dialect).seconds.add(took_s)
        self._front.done(path, dialect, scope, status, took_s)
        if self._front.record is not None:
            request_id = scope["embedstack.request_id"]
            self._front.record(Finished("POST", path, dialect, status, request_id, took_s, turn.headers, turn.answer))

    async def _answer(self, turn: Turn, scope: Scope, receive: Receive) -> Wire:
        began = time.perf_counter()
        front = self._front
        encoder = front.opening.encoder()
        raw = await read_body(receive, turn.headers, front.max_bytes)
        if self._takes_query and raw in NO_BODY:
            raw = scope["query_string"]
        models = encoder.models()
        turn.serving, body = await _aside(
            len(raw), lambda: chosen(self._place.servings, raw, models, front.opening.find)
        )
        route = turn.serving.what
        assert not isinstance(route, Page)
        request = await _aside(len(raw), lambda: route.ask(body, self._front.limits, models))
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
            answers = await self._all(encoder, asked, meter, receive)
            turn.answer, given = answers[0], answers if isinstance(request, tuple) else answers[0]
        began = time.perf_counter()
        wire = await _aside(_size(turn.answer), lambda: route.write(body, given))
        wire = widened(wire, turn.serving, self._place.servings, turn.answer)
        meter.write.add(time.perf_counter() - began)
        if given is None:
            return wire
        told = identities(given) if isinstance(given, tuple) else identity(given)
        return Wire(wire.status, wire.body, {**wire.headers, **told}, wire.media_type)

    async def _all(
        self, encoder: Encoder, requests: Sequence[Request], meter: Meter, receive: Receive
    ) -> tuple[Answer, ...]:
        """Their answers, computed at once; when one fails, the others are given up."""
        if len(requests) == 1:
            return (await unless_hung_up(self._asked(encoder, requests[0], meter), receive),)

        async def work() -> tuple[Answer, ...]:
            tasks = [asyncio.ensure_future(self._asked(encoder, one, meter)) for one in requests]
            try:
                return tuple(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()

        return await unless_hung_up(work(), receive)

    async def _asked(self, encoder: Encoder, request: Request, meter: Meter) -> Answer:
        """The answer, with the books kept."""
        images = _images(request)
        answer = await (self._computed(encoder, request) if images else answered(encoder, request))
        has_run = not isinstance(answer, Tokenized | Decoded)
        meter.count(answer.usage, has_run=has_run)
        usage = answer.usage if has_run else replace(answer.usage, tokens=0)
        self._front.totals.answered(request.caller, usage, images=images)
        return answer

    async def _computed(self, encoder: Encoder, request: Request) -> Answer:
        """The answer for images, links to them followed before."""
        assert isinstance(request, Encode)
        request = await self._front.links.resolved(request, self._front.opening.find(request.model))
        return await answered(encoder, request)


def _images(request: Request) -> int:
    """How many of its items are pictures, or links to them."""
    return sum(isinstance(item, Image | Link) for item in request.items) if isinstance(request, Encode) else 0


def _size(answer: Answer | None) -> int:
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
