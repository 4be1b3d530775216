"""An encoder and settings become an ASGI app: one loop over the dialects' routes, and the server's own pages."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Mounted
from starlette.types import Receive, Scope, Send

from embedstack.dialects import open_dialects
from embedstack.dialects.dialect import AnyRoute, Dialect, Limits, Page, Wire
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
from embedstack.server.metrics import ELSEWHERE, Metrics, count
from embedstack.server.opening import Check, OpenEncoder, Opening, Settled, unproven
from embedstack.server.pages import own_pages
from embedstack.server.table import Place, dialect_at, no_route, places, wrong_method
from embedstack.settings import Settings
from embedstack.types import Encode, Encoded, Encoder, Score, Scored

BIG_BYTES = 256 * 1024  # about a millisecond of JSON; above it the loop stays free for others
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
    table = places(open_dialects())
    opening = Opening(open_encoder, f"the server is loading {settings.models}", on_settled, check)
    metrics = Metrics(is_ready=lambda: opening.state == "ready")
    front = Front(opening, metrics, settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        opening.start()
        yield
        await opening.close()

    mounted = [Mounted(_pattern(place), endpoint=front.mount(place), methods=[place.method]) for place in table]
    app = Starlette(
        routes=[*mounted, *own_pages(opening, metrics, table)],
        middleware=[Middleware(RequestIds), Middleware(TrailingSlashes)],
        exception_handlers={HTTPException: _lost(front, table)},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # see TrailingSlashes
    return app


def _pattern(place: Place) -> str:
    return place.path.replace("{id}", "{id:path}")


class Front:
    """What every route shares."""

    def __init__(self, opening: Opening, metrics: Metrics, settings: Settings) -> None:
        self.opening = opening
        self.metrics = metrics
        self.max_bytes = settings.max_body_mb * 1024 * 1024
        self.limits = Limits(
            max_items=settings.max_items,
            truncate=settings.truncate,
            token_ids=settings.token_ids,
        )

    def mount(self, place: Place) -> "Asked | Shown":
        """The ASGI app of one place."""
        if isinstance(place.serves, Page):
            return Shown(self, place, place.serves)
        return Asked(self, place, place.serves)

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

    def __init__(self, front: Front, place: Place, route: AnyRoute) -> None:
        self._front = front
        self._path = place.path
        self._dialect = place.dialect
        self._route = route
        self._meter = front.metrics.meter(place.path, place.dialect.name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens."""
        began = time.perf_counter()
        with self._front.metrics.in_flight.track_inprogress():
            try:
                wire = await self._answer(scope, receive)
            except Exception as error:
                wire = self._front.failed(self._dialect, error, scope["embedstack.request_id"])
            await send_wire(send, wire)
        took_s = time.perf_counter() - began
        self._meter.seconds.observe(took_s)
        self._front.done(self._path, self._dialect.name, scope, wire.status, took_s)

    async def _answer(self, scope: Scope, receive: Receive) -> Wire:
        encoder = self._front.opening.encoder()
        headers = dict(scope["headers"])
        raw = await read_body(receive, headers, self._front.max_bytes)
        body = await _aside(len(raw), lambda: self._route.read(raw))
        request = self._route.ask(body, self._front.limits, encoder.models())
        peer = scope["client"][0] if scope.get("client") else ""
        request = with_terms(request, headers, peer, time.monotonic())
        answer = await unless_hung_up(_asked(encoder, request), receive)
        count(self._meter, answer.usage)
        wire = await _aside(_size(answer), lambda: self._route.write(body, answer))
        return Wire(wire.status, wire.body, {**wire.headers, **identity(answer)}, wire.media_type)


async def _asked(encoder: Encoder, request: Encode | Score) -> Encoded | Scored:
    return await (encoder.encode(request) if isinstance(request, Encode) else encoder.score(request))


def _size(answer: Encoded | Scored) -> int:
    array = answer.scores if isinstance(answer, Scored) else answer.dense
    return 0 if array is None else array.nbytes


async def _aside(size_bytes: int, work: Callable[[], Given]) -> Given:
    """Do big work in a thread, small work here."""
    return await asyncio.to_thread(work) if size_bytes > BIG_BYTES else work()


class Shown:
    """One GET: the status -> bytes."""

    def __init__(self, front: Front, place: Place, page: Page) -> None:
        self._front = front
        self._place = place
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, also with an error."""
        began = time.perf_counter()
        dialect = self._place.dialect
        try:
            wire = self._page.show(self._front.opening.status(), scope["path_params"].get("id", ""))
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
