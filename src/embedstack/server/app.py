"""An encoder and settings become an ASGI app: one loop over the dialects' routes, and the server's own pages."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Mounted
from starlette.types import ASGIApp, Receive, Scope, Send

from embedstack.dialects import open_dialects
from embedstack.dialects.dialect import Page
from embedstack.dialects.places import Place
from embedstack.proof.startup import Proof
from embedstack.server.admin import admin_routes
from embedstack.server.asked import answering
from embedstack.server.collections_page import collections_page
from embedstack.server.cors import cors
from embedstack.server.front import Front
from embedstack.server.guard import RequestIds, TrailingSlashes, send_wire
from embedstack.server.merged import shown
from embedstack.server.metrics import ELSEWHERE
from embedstack.server.opening import Check, OpenEncoder, Opening, Settled, finder_of, unproven
from embedstack.server.pages import own_pages
from embedstack.server.posted import Posted
from embedstack.server.search import searching
from embedstack.server.table import SEARCH, dialect_at, methods_at, no_route, places, wrong_method
from embedstack.settings import Settings
from embedstack.types import Encoder

USUAL_THREADS = min(32, (os.cpu_count() or 1) + 4)  # as Python has them


def create_app(
    open_encoder: OpenEncoder,
    settings: Settings,
    *,
    on_settled: Settled = lambda error: None,
    check: Check = unproven,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The app. The encoder is opened in a thread when the app starts, and closed when it stops.

    Args:
        on_settled: called from that thread when the encoder is open, or with the error when it cannot be.
        check: see Opening.
        clock: seconds, by which collections are looked at again.
    """
    table = places(open_dialects(settings.dialect))

    def watched() -> Encoder:
        encoder = open_encoder()
        front.batches.watch(encoder)
        return encoder

    def checked(encoder: Encoder) -> Proof:
        front.collections.check(finder_of(encoder))
        return check(encoder)

    opening = Opening(watched, f"the server is loading {settings.models}", on_settled, checked)
    front = Front(opening, settings, clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if front.collections:  # what waits for a database takes no thread from what else is done beside the loop
            threads = ThreadPoolExecutor(USUAL_THREADS + front.collections.threads, "embedstack-beside")
            asyncio.get_running_loop().set_default_executor(threads)
        opening.start()
        yield
        await opening.close()
        await asyncio.to_thread(front.collections.close)
        await asyncio.to_thread(front.finish)

    apps = {(place.method, place.path): _mount(front, place) for place in table}
    mounted = [Mounted(_pattern(path), endpoint=app, methods=[method]) for (method, path), app in apps.items()]
    posts: dict[str, ASGIApp] = {path: app for (method, path), app in apps.items() if method == "POST"}
    posts[SEARCH] = searching(front)
    searches = [Mounted(SEARCH, endpoint=posts[SEARCH], methods=["POST"]), collections_page(front)]
    app = Starlette(
        routes=[*mounted, *searches, *own_pages(front, table), *admin_routes(front)],
        middleware=[
            *cors(settings),  # outside of all that can refuse, so that a page can read the refusal
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


def _mount(front: Front, place: Place) -> "Posted | Shown":
    """The ASGI app of one place."""
    return Shown(front, place) if isinstance(place.first.what, Page) else answering(front, place)


class Shown:
    """One GET: the status -> bytes."""

    def __init__(self, front: Front, place: Place) -> None:
        self._front = front
        self._place = place
        self._needs_key = all(isinstance(one.what, Page) and one.what.needs_key for one in place.servings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, also with an error."""
        began = time.perf_counter()
        dialect = self._place.first.dialect
        try:
            key_name = self._front.admitted(scope) if self._needs_key else None
            status = self._front.status_for(scope, key_name)
            name = scope["path_params"].get("id", "")
            if name in self._front.collections:  # a model of this name is the one that it stands for now
                door = self._front.door()
                await door.look(name)
                status = replace(status, find=door.find)
            wire = shown(self._place.servings, status, name)
        except Exception as error:
            wire = self._front.failed(self._place.first, error, scope["embedstack.request_id"])
        await send_wire(send, wire)
        self._front.done(self._place.path, dialect.name, scope, wire.status, time.perf_counter() - began)


def _lost(front: Front, table: Sequence[Place]) -> Callable[[Request, Exception], Response]:
    """The reply to a path or a method that is not served."""

    def reply(request: Request, error: Exception) -> Response:
        path, method = request.url.path, request.method
        given = (getattr(error, "headers", None) or {}).get("Allow", "")
        allowed = ", ".join(methods_at(path, table, given.split(", "))) if given else ""
        dialect = dialect_at(path, table)
        wire = dialect.fail(wrong_method(method, path, allowed) if allowed else no_route(method, path, table))
        front.done(ELSEWHERE, ELSEWHERE, request.scope, wire.status, 0.0)
        return Response(wire.body, wire.status, {"allow": allowed} if allowed else None, wire.media_type)

    return reply
