"""Bytes go to an endpoint and its reply comes back, tried again where that is safe, within the caller's deadline."""

import asyncio
from typing import Protocol
from urllib.parse import quote

from embedstack.client.connections import Connections, left_s
from embedstack.client.endpoint import Endpoint
from embedstack.client.patience import Failed, Patience, Silent
from embedstack.dialects.dialect import Dialect, Wire
from embedstack.dialects.failure import retry_after_s
from embedstack.errors import DeadlineExceeded, Upstream
from embedstack.types import Encode, Score

MAX_CALLER_CHARS = 256  # of the header, at embedstack's server


class Carrier(Protocol):
    """Takes the bodies of a dialect to its endpoint, in calls or in jobs."""

    @property
    def max_bytes(self) -> int | None:
        """The most in one body, and in one reply, None where nobody says."""
        ...

    async def get(self, path: str, request: Encode | Score) -> Wire: ...

    async def post(self, path: str, body: bytes, request: Encode | Score) -> Wire: ...

    async def peek(self, path: str, limit_s: float) -> Wire: ...

    async def close(self) -> None: ...


class Calls:
    """Calls of one endpoint. Vectors and scores change nothing there, so a lost call may be repeated."""

    max_bytes: int | None = None

    def __init__(self, endpoint: Endpoint, dialect: Dialect, patience: Patience) -> None:
        self._dialect = dialect
        self._patience = patience
        self._connections = Connections(endpoint, patience.clock)

    async def get(self, path: str, request: Encode | Score) -> Wire:
        """As `post`, without a body."""
        return await self._patience.answered(lambda: self._heard("GET", path, b"", request), request.deadline)

    async def post(self, path: str, body: bytes, request: Encode | Score) -> Wire:
        """The reply of status 200.

        Raises:
            EmbedstackError: what the server or the network said at last, in our words.
        """
        return await self._patience.answered(lambda: self._heard("POST", path, body, request), request.deadline)

    async def peek(self, path: str, limit_s: float) -> Wire:
        """A page as it is, whatever its status, asked for once."""
        return await peeked(self._connections, path, limit_s)

    async def _heard(self, method: str, path: str, body: bytes, request: Encode | Score) -> Wire | Failed:
        try:
            async with self._connections.one(request.deadline):
                wire = await self._once(method, path, body, request)
        except Upstream as error:
            return Failed(error)
        return wire if wire.status == 200 else Failed(self._dialect.hear_failure(wire), retry_after_s(wire))

    async def _once(self, method: str, path: str, body: bytes, request: Encode | Score) -> Wire:
        timeout_s, left = self._patience.timeout_s, left_s(request.deadline, self._patience.clock())
        limit_s = timeout_s if left is None else min(timeout_s, left)
        try:
            return await self._connections.send(method, path, body, terms(request, limit_s, bool(body)), limit_s)
        except asyncio.TimeoutError as error:
            if limit_s < timeout_s:
                raise DeadlineExceeded(f"no answer within the {limit_s:.3g} s until the deadline") from error
            raise Silent(f"no answer within {limit_s:g} s; raise timeout_s or send less", retry=True) from error

    async def close(self) -> None:
        """Give the connections up."""
        await self._connections.close()


async def peeked(connections: Connections, path: str, limit_s: float) -> Wire:
    """A page as it is, asked for once.

    Raises:
        Upstream: nobody answers in time. NotReady: the connections are closed.
    """
    try:
        return await connections.send("GET", path, b"", {}, limit_s)
    except asyncio.TimeoutError as error:
        raise Silent(f"no answer within {limit_s:g} s", retry=True) from error


def terms(request: Encode | Score, limit_s: float, has_body: bool) -> dict[str, str]:
    """What embedstack's server reads of headers, and other servers overlook."""
    said = {"content-type": "application/json"} if has_body else {}
    if request.deadline is not None:
        said["x-embedstack-timeout-s"] = f"{limit_s:.3f}"
    if request.priority != "interactive":
        said["x-embedstack-priority"] = request.priority
    if request.caller:
        said["x-embedstack-caller"] = quote(request.caller, safe="/:@+ ")[:MAX_CALLER_CHARS].strip()
    return said
