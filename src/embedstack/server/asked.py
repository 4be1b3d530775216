"""One POST: bytes become a request, its answer becomes bytes, in the words of the dialect that it was for."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from traceback import clear_frames

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from embedstack.dialects.choosing import chosen, widened
from embedstack.dialects.dialect import Page, Wire
from embedstack.dialects.places import Place, Serving
from embedstack.dialects.wire import identities, identity
from embedstack.engine.answers import answers_of, aside, images_in, size_of
from embedstack.errors import NotReady
from embedstack.server.front import Front, peer_of
from embedstack.server.guard import caller_by_head, check_terms, read_body, send_wire, unless_hung_up, with_terms
from embedstack.server.metrics import Meter
from embedstack.server.tracing import Finished
from embedstack.server.usage import total
from embedstack.types import Answer, Decoded, Encoder, Request, Tokenized

NO_BODY = (b"", b"null", b"{}")


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
        request = await aside(size_bytes, lambda: route.ask(body, self._front.limits, models))
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
            work = answers_of(
                encoder,
                asked,
                links=front.links,
                find=front.opening.find,
                places=lambda number: route.places(body, number) if route.places is not None else None,
            )
            turn.answers = await unless_hung_up(work, receive)
            self._book(turn.caller, asked, turn.answers, meter)
            given = turn.answers if isinstance(request, tuple) else turn.answers[0]
        began = time.perf_counter()
        wire = await aside(sum(map(size_of, turn.answers)), lambda: route.reply_to(body, given, models))
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
        turn.serving, body = await aside(len(raw), lambda: chosen(self._place.servings, raw, models, find))
        return body, len(raw)

    def _book(self, caller: str, requests: Sequence[Request], answers: Sequence[Answer], meter: Meter) -> None:
        """One request of the caller, however many it became."""
        usage = total([answer.usage for answer in answers])
        has_run = not any(isinstance(answer, Tokenized | Decoded) for answer in answers)
        meter.count(usage, has_run=has_run)
        usage = usage if has_run else replace(usage, tokens=0)
        self._front.totals.answered(caller, usage, images=sum(map(images_in, requests)))
