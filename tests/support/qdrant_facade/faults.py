"""Orders for faults in, and what a client sees of the next requests that they are about."""

import asyncio
from typing import Literal

import msgspec
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ABORT = "facade.abort"  # in the scope: closes the connection at once
OWN = "/_facade/"


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What becomes of the next `times` requests that are meant."""

    does: Literal["answer", "drop", "wait"]
    method: str = ""  # any
    path: str = ""  # a part of it
    times: int = 1
    after: bool = False  # what was asked for is done first
    status: int = 503
    retry_after_s: int = 0  # 0: nothing is said of it
    wait_s: float = 0.0

    def is_meant(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and self.path in path


class Connection(HttpToolsProtocol):
    """Lets an application close the connection without an answer, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        """A request comes."""
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]


class Faults:
    """Stands before an application. The first order that is about a request counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.orders: list[Fault] = []
        self.requests: list[str] = []  # method and path of all that came

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OWN):
            await self._app(scope, receive, send)
            return
        self.requests.append(f"{scope['method']} {scope['path']}")
        fault = next((one for one in self.orders if one.is_meant(scope["method"], scope["path"])), None)
        if fault is None:
            await self._app(scope, receive, send)
            return
        fault.times -= 1
        await self._happens(fault, scope, receive, send)

    async def _happens(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        request = await _whole(receive)
        said: list[Message] = []
        if fault.after:
            await self._app(scope, _again(request, receive), _noted(said))
        match fault.does:
            case "drop":
                scope[ABORT]()
                await asyncio.sleep(0)  # so that the server knows, and does not look for an answer
                await asyncio.sleep(0)
            case "answer":
                await _failed(fault)(scope, receive, send)
            case "wait":
                await asyncio.sleep(fault.wait_s)
                for message in said:
                    await send(message)
                if not fault.after:
                    await self._app(scope, _again(request, receive), send)


async def _whole(receive: Receive) -> bytes:
    """All of a request: a connection that is closed with something unread tells the client in another way."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(request: bytes, receive: Receive) -> Receive:
    first = iter([{"type": "http.request", "body": request, "more_body": False}])

    async def told() -> Message:
        message = next(first, None)
        return message if message is not None else await receive()

    return told


def _noted(said: list[Message]) -> Send:
    async def note(message: Message) -> None:
        said.append(message)

    return note


def _failed(fault: Fault) -> JSONResponse:
    headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
    body = {"status": {"error": "Service internal error: this fault was ordered"}, "time": 0.0}
    return JSONResponse(body, fault.status, headers)
