"""What stands between the network and the door: body limit, request ids, the caller's terms, hung-up callers."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from random import getrandbits
from typing import TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedstack.dialects.dialect import Wire
from embedstack.dialects.wire import MAX_NAME_CHARS, BodyTooLong, BodyTooSlow, PackedBody, shortened
from embedstack.errors import BadRequest, NotReady
from embedstack.types import Priority, Request

REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
MAX_TIMEOUT_S = 86_400.0
MAX_TIMEOUT_CHARS = 32
SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")  # as JSON has it; Python's float takes 1_0 too
MAX_LENGTH_DIGITS = 18  # of a content-length: the largest that fits into 63 bits
BODY_STALL_S = 20.0  # that may pass without a piece of the body
BODY_WHOLE_S = 300.0  # for all of it: 32 MB over a line of 1 Mbit/s
WATCH_S = 0.2  # a short query is done before, also at 64 connections; watching it would cost more than it can waste

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
        request_id = sound_id(next((value for name, value in scope["headers"] if name == b"x-request-id"), None))
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
    return b"%032x" % getrandbits(128)  # no secret: ids need only differ


async def read_body(
    receive: Receive,
    headers: Headers,
    max_bytes: int,
    *,
    stall_s: float = BODY_STALL_S,
    whole_s: float = BODY_WHOLE_S,
) -> bytes:
    """The body, never more of it in memory than the limit and one piece.

    Raises:
        BodyTooLong: by its declared length, or while reading. PackedBody: it is compressed.
        BodyTooSlow: it stopped coming. HungUp: the caller left before the end.
    """
    _check_head(headers, max_bytes)
    pieces: list[bytes] = []
    size = 0
    with Patience(stall_s, whole_s) as patience:
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
            patience.renew()


def _check_head(headers: Headers, max_bytes: int) -> None:
    """Refuse what needs no reading."""
    coding = headers.get(b"content-encoding", b"").strip().lower()
    if coding not in (b"", b"identity"):
        shown = shortened(coding.decode("latin-1"))
        raise PackedBody(f"the body is compressed (content-encoding: {shown}); send it as it is")
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and (len(declared) > MAX_LENGTH_DIGITS or int(declared) > max_bytes):
        raise _too_long(max_bytes)


class Patience:
    """Ends the block when nothing came for too long: a timer for each piece, at a tenth of what a wait_for costs."""

    __slots__ = ("_end", "_is_over", "_loop", "_stall_s", "_task", "_timer")

    def __init__(self, stall_s: float, whole_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._stall_s = stall_s
        self._end = self._loop.time() + whole_s
        self._is_over = False

    def __enter__(self) -> "Patience":
        self._arm()
        return self

    def renew(self) -> None:
        """Something came; wait anew for the next.

        Raises:
            BodyTooSlow: the time for all of it is over, and pieces come so fast that no timer has its turn.
        """
        self._timer.cancel()
        if self._loop.time() >= self._end:
            raise _too_slow()
        self._arm()

    def _arm(self) -> None:
        self._timer = self._loop.call_at(min(self._loop.time() + self._stall_s, self._end), self._give_up)

    def _give_up(self) -> None:
        self._is_over = True
        assert self._task is not None
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._timer.cancel()
        if self._is_over and kind is asyncio.CancelledError and not _is_cancelled_elsewhere(self._task):
            raise _too_slow() from None


def _too_slow() -> BodyTooSlow:
    return BodyTooSlow("the body stopped coming before its end; send it again, or in smaller requests")


def _is_cancelled(task: "asyncio.Task[object] | None") -> bool:
    """Whether somebody wants the task to end; before Python 3.11 a task does not know."""
    cancelling = getattr(task, "cancelling", None)
    return cancelling is not None and cancelling() > 0


def _is_cancelled_elsewhere(task: "asyncio.Task[object] | None") -> bool:
    """Whether somebody beside us wants the task to end; before Python 3.11 a task does not know."""
    uncancel = getattr(task, "uncancel", None)
    return uncancel is not None and uncancel() > 0


def _too_long(max_bytes: int) -> BodyTooLong:
    mebibytes = max_bytes // (1024 * 1024)
    return BodyTooLong(
        f"the body is over the limit of {mebibytes} MB; send several requests or raise EMBEDSTACK_MAX_BODY_MB"
    )


def with_terms(request: Request, headers: Headers, peer: str, now: float, *, key_name: str | None = None) -> Request:
    """The request with the deadline, the priority and the caller that its headers give.

    Args:
        peer: the caller where neither the header nor the body names one.
        now: on time.monotonic's clock.
        key_name: whose key came. It is the caller then, whatever the request says, or one key could take many turns.
    """
    named, deadline, priority = _terms(headers, now, request.priority)
    return replace(request, deadline=deadline, priority=priority, caller=key_name or named or request.caller or peer)


def caller_by_head(headers: Headers, peer: str, key_name: str | None = None) -> str:
    """Who calls, as `with_terms` has it, as far as it is known without the body."""
    named = headers.get(b"x-embedstack-caller", b"")
    return key_name or (named.decode("latin-1") if len(named) <= MAX_NAME_CHARS else "") or peer


def check_terms(headers: Headers) -> None:
    """Refuse wrong headers also where nothing waits for a device."""
    _terms(headers, 0.0, "interactive")


def _terms(headers: Headers, now: float, said: Priority) -> tuple[str, float | None, Priority]:
    """The caller, the deadline and the priority."""
    timeout = headers.get(b"x-embedstack-timeout-s")
    deadline = None if timeout is None else now + _seconds(timeout.decode("latin-1"))
    return _caller(headers), deadline, _priority(headers, said)


def _caller(headers: Headers) -> str:
    caller = headers.get(b"x-embedstack-caller", b"").decode("latin-1")
    if len(caller) > MAX_NAME_CHARS:
        raise BadRequest(f"header x-embedstack-caller has {len(caller)} characters; send at most {MAX_NAME_CHARS}")
    return caller


def _priority(headers: Headers, said: Priority) -> Priority:
    """What the header says, else what the body said."""
    match headers.get(b"x-embedstack-priority", said.encode()).decode("latin-1"):
        case "interactive":
            return "interactive"
        case "bulk":
            return "bulk"
        case other:
            raise BadRequest(f"header x-embedstack-priority is {shortened(other)!r}; send interactive or bulk")


def _seconds(text: str) -> float:
    is_number = len(text) <= MAX_TIMEOUT_CHARS and SECONDS.fullmatch(text)
    if is_number and 0 < (seconds := float(text)) <= MAX_TIMEOUT_S:
        return seconds
    given = shortened(text)
    raise BadRequest(f"header x-embedstack-timeout-s is {given!r}; send seconds above 0, at most {MAX_TIMEOUT_S:g}")


async def unless_hung_up(work: Coroutine[None, None, Given], receive: Receive, *, watch_s: float = WATCH_S) -> Given:
    """Await the work; cancel it when the caller hangs up.

    Args:
        watch_s: after so long it is seen whether the caller is still there; short work is done before.
    Raises:
        HungUp: the work was cancelled for want of a caller.
        NotReady: it was cancelled by itself.
    """
    with Watch(receive, watch_s) as watch:
        try:
            return await work
        except asyncio.CancelledError:
            if watch.is_over or _is_cancelled(watch.task):
                raise
            raise NotReady("the engine gave the request up because it is stopping; send it again") from None


class Watch:
    """Ends the block when the caller hangs up: a timer for most requests, a task beside it for the long ones."""

    __slots__ = ("_receive", "_timer", "_watching", "is_over", "task")

    def __init__(self, receive: Receive, watch_s: float) -> None:
        loop = asyncio.get_running_loop()
        self.task = asyncio.current_task()
        self.is_over = False
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._timer = loop.call_later(watch_s, self._begin)

    def __enter__(self) -> "Watch":
        return self

    def _begin(self) -> None:
        self._watching = asyncio.ensure_future(self._until_hung_up())

    async def _until_hung_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_over = True
        assert self.task is not None
        self.task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if self.is_over and not _is_cancelled_elsewhere(self.task):
            raise HungUp from None  # whatever came of the work, and without what it says: it may quote a text


async def send_wire(send: Send, wire: Wire) -> None:
    """Write a reply."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in wire.headers.items()]
    headers += [(b"content-type", wire.media_type.encode()), (b"content-length", str(len(wire.body)).encode())]
    await send({"type": "http.response.start", "status": wire.status, "headers": headers})
    await send({"type": "http.response.body", "body": wire.body})
