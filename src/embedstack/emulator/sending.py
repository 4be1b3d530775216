"""A reply becomes the bytes of one; or a fault becomes what a client sees of it."""

import asyncio

from starlette.types import Scope, Send

from embedstack.emulator.calls import Reply, page
from embedstack.emulator.clock import Clock
from embedstack.emulator.faults import Fault

ABORT = "embedstack.abort"  # in the scope: closes the connection at once, where the server can


class Sender:
    """The way back of one request."""

    def __init__(self, clock: Clock, scope: Scope, send: Send) -> None:
        self._clock = clock
        self._scope = scope
        self._send = send

    async def fails(self, fault: Fault | None, reply: Reply | None = None) -> bool:
        """Let it happen; True if nothing is left to be sent.

        Args:
            reply: what should have been sent.
        """
        if fault is None or fault.action == "double":
            return False
        match fault.action:
            case "delay":
                await self._clock.sleep(fault.seconds)
                return False
            case "status":
                body = fault.body.encode()
                await self.send(Reply(status=fault.status, body=body, content_type="text/plain; charset=utf-8"))
            case "html":
                await self.send(page(200))
            case "ignore":
                await self.send(Reply(body=b"{}"))
            case "truncate":
                await self._begin(reply or Reply(), len(reply.body) if reply else 1)
                await self._part(reply.body[: len(reply.body) // 2] if reply else b"", more=True)
                await self._abort()
            case "reset":
                await self._abort()
        return True

    async def send(self, reply: Reply) -> None:
        """All of it."""
        if reply.chunks is None:
            await self._begin(reply, len(reply.body))
            await self._part(reply.body, more=False)
            return
        await self._begin(reply, None)
        async for chunk in reply.chunks:
            await self._part(chunk, more=True)
        await self._part(b"", more=False)

    async def _begin(self, reply: Reply, length: int | None) -> None:
        headers = [] if reply.status == 204 else [(b"content-type", reply.content_type.encode())]
        if length is not None and reply.status != 204:
            headers.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})

    async def _part(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _abort(self) -> None:
        abort = self._scope.get(ABORT)
        if abort is None:
            raise ConnectionResetError("the connection is closed by a fault rule")
        abort()
        await asyncio.sleep(0)  # so that the server knows, and does not look for a reply
        await asyncio.sleep(0)
