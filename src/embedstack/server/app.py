"""An encoder and settings become an ASGI app: one loop over the dialects' routes, and the server's own pages."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Mounted
from starlette.types import ASGIApp, Receive, Scope, Send

from embedstack import __version__
from embedstack.dialects import open_dialects
from embedstack.dialects.dialect import Dialect, Limits, Page, Status, Wire
from embedstack.dialects.wire import identity
from embedstack.errors import EmbedstackError, RuntimeFailed
from embedstack.server.guard import (
    HungUp,
    RequestIds,
    TrailingSlashes,
    read_body,
    send_wire,
    unless_hung_up,
    with_terms,
)
from embedstack.server.logs import log, quoted, trace
from embedstack.server.merged import chosen, shown, widened
from embedstack.server.metrics import ELSEWHERE, Metrics, count
from embedstack.server.opening import Check, OpenEncoder, Opening, Settled, unproven
from embedstack.server.pages import own_pages
from embedstack.server.table import Place, Serving, dialect_at, no_route, places, wrong_method
from embedstack.server.tracing import Finished, Record, recorder
from embedstack.settings import Settings
from embedstack.types import Answer, Encoded, Tokenized, answered

BIG_BYTES = 256 * 1024  # about a millisecond of JSON; above it the loop stays free for others
PIECE_BYTES = 64  # of JSON for one token
Given = TypeVar("Given")
HUNG_UP = Wire(499, b"")  # nobody reads it; the number is nginx's


def create_app(
    open_encoder: OpenEncoder,
    settings: Settings,
    *,
    on_settled: Settled = lambda error: None,
    check: Check = unproven,
) -> Starlette:
    """The app. The encoder is opened in a thread when the app starts, and closed when it stops.

    Args:
        on_settled: called from that thread when the encoder is open, or with the error when it cannot be.
        check: see Opening.
    """
    table = places(open_dialects(settings.dialect))
    opening = Opening(open_encoder, f"the server is loading {settings.models}", on_settled, check)
    front = Front(opening, settings)
    metrics = front.metrics

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        opening.start()
        yield
        await opening.close()
        await asyncio.to_thread(front.finish)

    apps = {(place.method, place.path): front.mount(place) for place in table}
    mounted = [Mounted(_pattern(path), endpoint=app, methods=[method]) for (method, path), app in apps.items()]
    posts = {path: app for (method, path), app in apps.items() if method == "POST"}
    app = Starlette(
        routes=[*mounted, *own_pages(opening, metrics, table)],
        middleware=[
            Middleware(RequestIds, is_draining=lambda: opening.is_draining),
            Middleware(TrailingSlashes),
            Middleware(Straight, posts=posts),
        ],
        exception_handlers={HTTPException: _lost(front, table)},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # see TrailingSlashes
    app.state.drain = opening.drain
    return app


def _pattern(path: str) -> str:
    return path.replace("{id}", "{id:path}")


class Straight:
    """Middleware: a POST goes to its route by one look into a table; Starlette would try some hundred patterns."""

    def __init__(self, app: ASGIApp, posts: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._posts = posts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        app = self._posts.get(scope["path"], self._app) if is_post else self._app
        await app(scope, receive, send)


class Front:
    """What every route shares."""

    def __init__(self, opening: Opening, settings: Settings) -> None:
        self.opening = opening
        self.metrics = Metrics(self.status)
        self.record: Record | None = None
        self.finish: Callable[[], None] = _nothing
        if settings.traces:
            self.record, self.finish = recorder()
        self.max_bytes = settings.max_body_mb * 1024 * 1024
        self.limits = Limits(
            max_items=settings.max_items,
            truncate=settings.truncate,
            token_ids=settings.token_ids,
            max_body_bytes=self.max_bytes,
            image_links=settings.image_links,
        )

    def mount(self, place: Place) -> "Asked | Shown":
        """The ASGI app of one place."""
        return Shown(self, place) if isinstance(place.first.what, Page) else Asked(self, place)

    def status(self) -> Status:
        """What the pages show."""
        return replace(self.opening.status(), limits=self.limits, version=__version__)

    def failed(self, dialect: Dialect, error: Exception, request_id: str) -> Wire:
        """The reply to an error; what nobody expected is told to the log, and to the caller only by its number."""
        if isinstance(error, HungUp):
            return HUNG_UP
        if isinstance(error, EmbedstackError):
            if error.status >= 500 and not error.retry:
                cause = quoted(trace(error))
                log.error("event=failed id=%s reason=%s cause=%s", request_id, quoted(error.message), cause)
            return dialect.fail(error)
        log.error("event=bug id=%s cause=%s", request_id, quoted(trace(error)))
        return dialect.fail(RuntimeFailed(f"internal error; see the log with request id {request_id}"))

    def done(self, place: str, dialect: str, scope: Scope, status: int, took_s: float) -> None:
        """Count and log one reply: good ones at debug, others at info or warning."""
        self.metrics.replied(place, dialect, status)
        level = 10 if status < 400 else 20 if status < 500 else 30
        if log.isEnabledFor(level):
            line = "event=request id=%s method=%s route=%s dialect=%s status=%d ms=%.1f"
            log.log(level, line, scope["embedstack.request_id"], scope["method"], place, dialect, status, took_s * 1000)


class Asked:
    """One POST: bytes -> request -> encoder -> answer -> bytes."""

    def __init__(self, front: Front, place: Place) -> None:
        self._front = front
        self._place = place
        self._meters = {one.dialect.name: front.metrics.meter(place.path, one.dialect.name) for one in place.servings}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens."""
        began = time.perf_counter()
        turn = Turn(self._place.first)
        with self._front.metrics.in_flight.track_inprogress():
            try:
                wire = await self._answer(turn, scope, receive)
            except Exception as error:
                wire = self._front.failed(turn.serving.dialect, error, scope["embedstack.request_id"])
            await send_wire(send, wire)
        took_s = time.perf_counter() - began
        dialect = turn.serving.dialect.name
        self._meters[dialect].seconds.observe(took_s)
        self._front.done(self._place.path, dialect, scope, wire.status, took_s)
        if self._front.record is not None:
            request_id, headers = scope["embedstack.request_id"], dict(scope["headers"])
            self._front.record(
                Finished("POST", self._place.path, dialect, wire.status, request_id, took_s, headers, turn.answer)
            )

    async def _answer(self, turn: "Turn", scope: Scope, receive: Receive) -> Wire:
        front = self._front
        encoder = front.opening.encoder()
        headers = dict(scope["headers"])
        began = time.perf_counter()
        raw = await read_body(receive, headers, front.max_bytes)
        models = encoder.models()
        turn.serving, body = await _aside(len(raw), lambda: chosen(self._place.servings, raw, models))
        route = turn.serving.what
        assert not isinstance(route, Page)
        request = route.ask(body, front.limits, models)
        meter = self._meters[turn.serving.dialect.name]
        meter.stages["read"].observe(time.perf_counter() - began)
        answer: Answer | None = None
        if request is not None:
            peer = scope["client"][0] if scope.get("client") else ""
            request = with_terms(request, headers, peer, time.monotonic())
            answer = turn.answer = await unless_hung_up(answered(encoder, request), receive)
            count(meter, answer.usage)
        began = time.perf_counter()
        wire = await _aside(_size(answer), lambda: route.write(body, answer))
        wire = widened(wire, turn.serving, self._place.servings, answer)
        meter.stages["write"].observe(time.perf_counter() - began)
        return wire if answer is None else replace(wire, headers={**wire.headers, **identity(answer)})


class Turn:
    """What became of a request: which of a place's dialects it was for, and the answer if there was one."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.answer: Answer | None = None


def _nothing() -> None:
    """There are no spans to send."""


def _size(answer: Answer | None) -> int:
    """About how many bytes the reply will have, where they can be many."""
    match answer:
        case Encoded():
            arrays = [answer.dense] if answer.dense is not None else []
            multi = answer.multi or ()
            sparse = [one.weights for one in answer.sparse or ()]
            return sum(array.nbytes for array in (*arrays, *multi, *sparse))
        case Tokenized():
            return PIECE_BYTES * sum(len(pieces) for pieces in answer.items)
        case _:
            return 0


async def _aside(size_bytes: int, work: Callable[[], Given]) -> Given:
    """Do big work in a thread, small work here."""
    return await asyncio.to_thread(work) if size_bytes > BIG_BYTES else work()


class Shown:
    """One GET: the status -> bytes."""

    def __init__(self, front: Front, place: Place) -> None:
        self._front = front
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, also with an error."""
        began = time.perf_counter()
        dialect = self._place.first.dialect
        try:
            wire = shown(self._place.servings, self._front.status(), scope["path_params"].get("id", ""))
        except Exception as error:
            wire = self._front.failed(dialect, error, scope["embedstack.request_id"])
        await send_wire(send, wire)
        self._front.done(self._place.path, dialect.name, scope, wire.status, time.perf_counter() - began)


def _lost(front: Front, table: Sequence[Place]) -> Callable[[Request, Exception], Response]:
    """The reply to a path or a method that is not served."""

    def reply(request: Request, error: Exception) -> Response:
        path, method = request.url.path, request.method
        given = (getattr(error, "headers", None) or {}).get("Allow", "")
        allowed = ", ".join(sorted(given.split(", "))) if given else ""
        dialect = dialect_at(path, table)
        wire = dialect.fail(wrong_method(method, path, allowed) if allowed else no_route(method, path, table))
        front.done(ELSEWHERE, ELSEWHERE, request.scope, wire.status, 0.0)
        return Response(wire.body, wire.status, {"allow": allowed} if allowed else None, wire.media_type)

    return reply
