"""What stands between the network and the door: body limit, request ids, the caller's terms, hung-up callers."""

import asyncio
import os
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedstack.dialects.dialect import Wire
from embedstack.dialects.wire import MAX_NAME_CHARS, BodyTooLong, shortened
from embedstack.errors import BadRequest, NotReady
from embedstack.types import Priority, Request

REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
MAX_TIMEOUT_S = 86_400.0
MAX_TIMEOUT_CHARS = 32

Headers = Mapping[bytes, bytes]
Given = TypeVar("Given")


class HungUp(Exception):
    """The caller is gone; nobody is left to answer."""


class RequestIds:
    """Middleware: every request has an id, the caller's where it is sound, and every reply carries it.

    Args:
        is_draining: whether a reply is to tell its client to close the connection.
    """

    def __init__(self, app: ASGIApp, is_draining: Callable[[], bool] = lambda: False) -> None:
        self._app = app
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with `scope["embedstack.request_id"]` set."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = sound_id(dict(scope["headers"]).get(b"x-request-id"))
        scope["embedstack.request_id"] = request_id.decode("ascii")

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                closing = [(b"connection", b"close")] if self._is_draining() else []
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id), *closing]
            await send(message)

        await self._app(scope, receive, send_with_id)


class TrailingSlashes:
    """Middleware: a slash at the end of a path changes nothing.

    Starlette would redirect to `http://` and the Host header: clients behind TLS would send their bodies in the clear.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on without it."""
        if scope["type"] == "http" and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        await self._app(scope, receive, send)


def sound_id(given: bytes | None) -> bytes:
    """The id that was given if it is 1 to 128 visible ASCII characters, else a new one."""
    if given is not None and REQUEST_ID.fullmatch(given):
        return given
    return os.urandom(16).hex().encode("ascii")


async def read_body(receive: Receive, headers: Headers, max_bytes: int) -> bytes:
    """The body, never more of it in memory than the limit and one piece.

    Raises:
        BodyTooLong: by its declared length, or while reading.
        HungUp: the caller left before the end.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_long(max_bytes)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        piece = message.get("body", b"")
        size += len(piece)
        if size > max_bytes:
            raise _too_long(max_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_long(max_bytes: int) -> BodyTooLong:
    mebibytes = max_bytes // (1024 * 1024)
    return BodyTooLong(
        f"the body is over the limit of {mebibytes} MB; send several requests or raise EMBEDSTACK_MAX_BODY_MB"
    )


def with_terms(request: Request, headers: Headers, peer: str, now: float) -> Request:
    """The request with the deadline, the priority and the caller that its headers give.

    Args:
        peer: the caller where neither the header nor the body names one.
        now: on time.monotonic's clock.
    """
    caller = _caller(headers) or request.caller or peer
    timeout = headers.get(b"x-embedstack-timeout-s")
    deadline = None if timeout is None else now + _seconds(timeout.decode("latin-1"))
    return replace(request, deadline=deadline, priority=_priority(headers), caller=caller)


def _caller(headers: Headers) -> str:
    caller = headers.get(b"x-embedstack-caller", b"").decode("latin-1")
    if len(caller) > MAX_NAME_CHARS:
        raise BadRequest(f"header x-embedstack-caller has {len(caller)} characters; send at most {MAX_NAME_CHARS}")
    return caller


def _priority(headers: Headers) -> Priority:
    match headers.get(b"x-embedstack-priority", b"interactive").decode("latin-1"):
        case "interactive":
            return "interactive"
        case "bulk":
            return "bulk"
        case other:
            raise BadRequest(f"header x-embedstack-priority is {shortened(other)!r}; send interactive or bulk")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        seconds = float(text) if len(text) <= MAX_TIMEOUT_CHARS else 0.0
        if 0 < seconds <= MAX_TIMEOUT_S:
            return seconds
    given = shortened(text)
    raise BadRequest(f"header x-embedstack-timeout-s is {given!r}; send seconds above 0, at most {MAX_TIMEOUT_S:g}")


async def unless_hung_up(work: Coroutine[None, None, Given], receive: Receive) -> Given:
    """Await the work; cancel it as soon as the caller hangs up.

    Raises:
        HungUp: the work was cancelled for want of a caller.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_until_hung_up(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HungUp
        if working.cancelled():
            raise NotReady("the engine gave the request up because it is stopping; send it again")
        return working.result()
    finally:
        watching.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))


async def _until_hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_wire(send: Send, wire: Wire) -> None:
    """Write a reply."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in wire.headers.items()]
    headers += [(b"content-type", wire.media_type.encode()), (b"content-length", str(len(wire.body)).encode())]
    await send({"type": "http.response.start", "status": wire.status, "headers": headers})
    await send({"type": "http.response.body", "body": wire.body})
