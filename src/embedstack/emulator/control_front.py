"""What every request of REST v2 meets first: keys, quotas and faults; every reply gets its headers."""

import math
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedstack.emulator.calls import Reply
from embedstack.emulator.control_problem import NO_MACHINE, NO_MONEY, Problem
from embedstack.emulator.faults import Fault
from embedstack.emulator.platform import Platform
from embedstack.emulator.schema import NOT_CHECKED, again, body_of
from embedstack.emulator.sending import Sender

NO_KEY, NO_RIGHT = "missing bearer token", "access denied"  # the document's examples
ENDED = "this API has been retired; use https://api.runpod.io/v2"
SENTENCES = {
    400: NO_MACHINE,
    401: NO_KEY,
    402: NO_MONEY,
    403: NO_RIGHT,
    404: "resource not found",
    409: "action not valid for current pod status",
    429: "rate limit exceeded for the minute window",
}
"""What a fault rule of a status says where it has no `body`."""
ROUTES = {"GET": "read", "HEAD": "read", "POST": "create", "PATCH": "update", "PUT": "update", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Window:
    """So many requests in so many seconds."""

    name: str
    quota: int
    seconds: int


WINDOWS = (Window("minute", 60, 60), Window("hour", 3000, 3600), Window("day", 50_000, 86_400))
"""The document's example of the header RateLimit-Policy; an account's own numbers may be others."""


@dataclass(slots=True, eq=False)
class Quota:
    """Windows begin at whole minutes, hours and days of UTC."""

    windows: tuple[Window, ...] = WINDOWS
    _counts: dict[str, tuple[int, int]] = field(default_factory=dict)  # by name: which window, requests in it

    def count(self, now: float) -> Problem | None:
        """One more request; a refusal where a window is full, which does not count."""
        for window in self.windows:
            if self._used(window, now) >= window.quota:
                wait_s = {"Retry-After": str(_left_s(window, now))}
                return Problem(429, f"rate limit exceeded for the {window.name} window", headers=wait_s)
        for window in self.windows:
            self._counts[window.name] = (int(now // window.seconds), self._used(window, now) + 1)
        return None

    def headers(self, now: float) -> dict[str, str]:
        """What is left of each window, and what it holds."""
        if not self.windows:
            return {}
        left = (f'"{one.name}";r={one.quota - self._used(one, now)};t={_left_s(one, now)}' for one in self.windows)
        policy = (f'"{one.name}";q={one.quota};w={one.seconds}' for one in self.windows)
        return {"RateLimit": ", ".join(left), "RateLimit-Policy": ", ".join(policy)}

    def _used(self, window: Window, now: float) -> int:
        number, used = self._counts.get(window.name, (0, 0))
        return used if number == int(now // window.seconds) else 0


def _left_s(window: Window, now: float) -> int:
    return max(1, math.ceil(window.seconds - now % window.seconds))


# ------------------------------------------------------------------------------------------------ the application


@dataclass(slots=True, eq=False)
class _Heard:
    """A reply that was caught on its way."""

    start: Message = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")

    def reply(self) -> Reply:
        """As fault rules take it."""
        content_type = Headers(raw=self.start["headers"]).get("content-type", "")
        return Reply(status=self.start["status"], body=bytes(self.body), content_type=content_type)


class Front:
    """An ASGI application around the routes.

    Args:
        keys: that may do everything.
        read_only: keys that may only read.
    """

    def __init__(
        self, app: ASGIApp, platform: Platform, keys: Collection[str], read_only: Collection[str], quota: Quota
    ) -> None:
        self._app, self._platform, self._quota = app, platform, quota
        self._keys, self._read_only = frozenset(keys), frozenset(read_only)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await body_of(receive)
        if body is None:
            return
        sender, receive = Sender(self._platform.clock, scope, send), again(body, receive)
        route, resource_id = _named(scope)
        fault = self._platform.faults.pick(route, resource_id)
        if await self._fails(fault, sender, scope, receive, send):
            return
        heard = await self._answered(scope, receive)
        fault = self._platform.faults.pick(route, resource_id, "after")
        if not await self._fails(fault, sender, scope, receive, send, heard.reply()):
            await send(heard.start)
            await send({"type": "http.response.body", "body": bytes(heard.body)})

    async def _answered(self, scope: Scope, receive: Receive) -> _Heard:
        """The reply as it should be, with its headers."""
        heard = _Heard()
        refusal = self._refused(scope)
        app: ASGIApp = self._app if refusal is None else refusal.reply()
        await app(scope, receive, heard)
        headers = MutableHeaders(raw=heard.start["headers"])
        headers["x-request-id"] = str(uuid.uuid4())
        if refusal is None or refusal.status not in (401, 410):  # quotas are those of a caller who is known
            for name, value in self._quota.headers(self._platform.clock.now()).items():
                headers[name] = value
        heard.start["headers"] = headers.raw
        return heard

    def _refused(self, scope: Scope) -> Problem | None:
        if scope["path"] == "/v1" or scope["path"].startswith("/v1/"):
            return Problem(410, ENDED)
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key.strip() not in self._keys | self._read_only:
            return Problem(401, NO_KEY)
        if full := self._quota.count(self._platform.clock.now()):
            return full
        if key.strip() in self._read_only and scope["method"] not in ("GET", "HEAD"):
            return Problem(403, NO_RIGHT)
        return None

    async def _fails(
        self,
        fault: Fault | None,
        sender: Sender,
        scope: Scope,
        receive: Receive,
        send: Send,
        reply: Reply | None = None,
    ) -> bool:
        """Let it happen; True if nothing is left to be sent. A status comes as the API writes its refusals."""
        if fault is None or fault.action != "status":
            scope[NOT_CHECKED] = fault is not None and fault.action != "delay"
            return await sender.fails(fault, reply)
        headers = {"Retry-After": str(round(fault.seconds) or 1)} if fault.status == 429 else {}
        said = fault.body or SENTENCES.get(fault.status, "internal server error")
        await Problem(fault.status, said, headers=headers).reply()(scope, receive, send)
        return True


def _named(scope: Scope) -> tuple[str, str]:
    """What fault rules call the request, and the id that its path names."""
    parts = [part for part in scope["path"].split("/") if part]
    route = "action" if parts[-1:] == ["action"] else ROUTES.get(scope["method"], "read")
    return route, parts[2] if len(parts) > 2 else ""
