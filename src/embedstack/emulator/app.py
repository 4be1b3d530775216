"""The data plane as an ASGI application: requests become calls of the routes, and faults happen before and after."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from embedstack.emulator.calls import NOTHING, Call, Handler, Reply, refused, unknown_shape
from embedstack.emulator.data import CLIENT_HANDLERS
from embedstack.emulator.limits import MIB, Gate
from embedstack.emulator.openai_routes import openai
from embedstack.emulator.platform import Platform
from embedstack.emulator.sending import Sender
from embedstack.emulator.webhooks import Webhooks
from embedstack.emulator.workside import WORKER_HANDLERS

PARTS: dict[tuple[str, str], tuple[Handler, int]] = WORKER_HANDLERS | {
    name: (handler, 1 if name[1] in ("status", "status-sync", "stream", "cancel", "retry") else 0)
    for name, handler in CLIENT_HANDLERS.items()
}
ALIASES = {"job-take-batch": "job-take", "status-sync": "status"}  # what rates and fault rules call them
WRONG_KIND = "not allowed for QB API"  # seen in logs: a load-balanced endpoint that is asked for its queue
UNREAD_BYTES = 64 * MIB  # of a body over its limit that are taken in, so that its sender hears the reply


def data_app(platform: Platform, keys: Collection[str]) -> Starlette:
    """The routes of clients and workers, below `/v2/ENDPOINT/`.

    Args:
        keys: who may call; clients send one behind `Bearer` or as it is, workers as it is.
    """
    plane = DataPlane(platform, frozenset(keys))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with Webhooks(platform):
            yield
        platform.close()

    return Starlette(routes=[Route("/v2/{rest:path}", plane)], lifespan=lifespan)


class DataPlane:
    """Every request to `/v2/ENDPOINT/ROUTE/...`."""

    def __init__(self, platform: Platform, keys: frozenset[str]) -> None:
        self._platform = platform
        self._keys = keys
        self._gate = Gate(platform.clock, platform.limits.rates)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        endpoint_id, route, *rest = [*scope["path"].split("/")[2:], "", ""][: max(2, scope["path"].count("/") - 1)]
        name, most = ALIASES.get(route, route), self._most_bytes(route, rest)
        sender = Sender(self._platform.clock, scope, send)
        body = await _body_of(receive, most)
        if await sender.fails(self._platform.faults.pick(name, endpoint_id)):
            return
        handler = self._handler(scope, endpoint_id, route, len(rest))
        if isinstance(handler, Reply):
            await sender.send(handler)
        elif body is None:
            await sender.send(refused(f"exceeded max body size of {most // MIB}MiB"))
        elif not self._gate.enter(endpoint_id, name):
            await sender.send(unknown_shape(self._platform, 429))
        else:
            call = self._call(scope, endpoint_id, name, rest, body)
            try:
                await self._served(call, handler, sender, receive)
            finally:
                self._gate.leave(endpoint_id, name)

    async def _served(self, call: Call, handler: Handler, sender: Sender, receive: Receive) -> None:
        listening = asyncio.create_task(_listen(receive, call))
        try:
            reply = await handler(call)
            if reply is not NOTHING:  # a poll that brought nothing is no answer that could be lost
                fault = self._platform.faults.pick(call.route, call.endpoint.id, "after")
                if await sender.fails(fault, reply):
                    return
            if reply.undo is not None:
                await asyncio.sleep(0)  # who hung up meanwhile is heard of now
            if call.is_gone and reply.undo is not None:
                reply.undo()
            else:
                await sender.send(reply)
        finally:
            listening.cancel()

    def _handler(self, scope: Scope, endpoint_id: str, route: str, parts: int) -> Handler | Reply:
        """Who answers, or the reply of somebody who does not."""
        if Headers(scope=scope).get("authorization", "").removeprefix("Bearer ").strip() not in self._keys:
            return unknown_shape(self._platform, 401)
        endpoint = self._platform.endpoints.get(endpoint_id)
        if endpoint is None:
            return unknown_shape(self._platform, 404)
        if endpoint.kind == "LOAD_BALANCER":
            return refused(WRONG_KIND)
        if route == "openai" and parts:
            return openai
        handler, wanted = PARTS.get((scope["method"], route), (None, 0))
        return handler if handler is not None and parts == wanted else unknown_shape(self._platform, 404)

    def _call(self, scope: Scope, endpoint_id: str, name: str, rest: list[str], body: bytes) -> Call:
        return Call(
            platform=self._platform,
            endpoint=self._platform.endpoints[endpoint_id],
            method=scope["method"],
            route=name,
            rest=tuple(rest),
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            body=body,
        )

    def _most_bytes(self, route: str, rest: list[str]) -> int:
        """The longest body; a result may be as long as its job's input."""
        limits = self._platform.limits
        if route == "job-done":
            return limits.runsync_bytes if rest[-1:] and rest[-1].startswith("sync-") else limits.run_bytes
        if route in ("runsync", "openai"):
            return limits.runsync_bytes
        return limits.run_bytes if route == "run" else limits.chunk_bytes


async def _body_of(receive: Receive, most: int) -> bytes | None:
    """The body; None if it is longer than that, or its sender left in the middle."""
    parts: list[bytes] = []
    size, is_whole = 0, False
    while not is_whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if size <= most:
            parts.append(message.get("body", b""))
        is_whole = not message.get("more_body", False) or size > UNREAD_BYTES
    return b"".join(parts) if size <= most else None


async def _listen(receive: Receive, call: Call) -> None:
    """Notice when who asked hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass
    call.hang_up()
