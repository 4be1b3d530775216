"""Bytes go once over one of a bounded number of connections to an endpoint, and its reply comes back, in time."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import TypeVar

import httpx

from embedstack.client.endpoint import Endpoint
from embedstack.client.running import CLOSED
from embedstack.dialects.dialect import Wire
from embedstack.errors import DeadlineExceeded, NotReady, Upstream

Clock = Callable[[], float]
Given = TypeVar("Given")

CONNECT_S = 10.0
CONNECTIONS = 100  # at once, as httpx has it; further calls wait here
SPARE = 10  # beyond them, for calls that end what others began
KEPT = 20  # of them idle, as httpx has it; with all kept its pool took 13 ms of processor for a call, so 1.9


class Connections:
    """The pool of one endpoint.

    Args:
        clock: what deadlines are on.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._http = httpx.AsyncClient(
            headers={"user-agent": f"embedstack/{version('embedstack')}", **endpoint.headers},
            limits=httpx.Limits(max_connections=CONNECTIONS + SPARE, max_keepalive_connections=KEPT),
            timeout=httpx.Timeout(None, connect=CONNECT_S),  # the whole attempt is timed instead
        )

    @asynccontextmanager
    async def one(self, deadline: float | None) -> AsyncIterator[None]:
        """One is free."""
        await self.take(deadline)
        try:
            yield
        finally:
            self.give()

    async def take(self, deadline: float | None) -> None:
        """Wait until one is free. That is not the server's silence, so only the deadline ends it."""
        left = left_s(deadline, self._clock())
        free = asyncio.ensure_future(self._free.acquire())
        try:
            await within(free, left)
        except asyncio.TimeoutError as error:
            busy = f"the deadline passed while all {CONNECTIONS} connections were busy"
            raise DeadlineExceeded(f"{busy}; allow more time or ask less at once") from error
        except asyncio.CancelledError:
            if free.done() and not free.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """It is free again."""
        self._free.release()

    async def send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], limit_s: float, query: str = ""
    ) -> Wire:
        """The reply, whatever its status.

        Raises:
            asyncio.TimeoutError: there was none within the limit.
            Upstream: the way there is broken. NotReady: this pool is closed.
        """
        if self._http.is_closed:
            raise NotReady(CLOSED)
        url = self._endpoint.at(path)
        url = url.copy_with(query=query.encode()) if query else url
        request = self._http.build_request(method, url, content=body or None, headers=headers)
        try:
            reply = await within(self._http.send(request), limit_s)
        except httpx.HTTPError as error:
            raise _lost(error) from error
        body = reply.content if reply.status_code == HTTPStatus.OK else self._endpoint.masked_bytes(reply.content)
        return Wire(reply.status_code, body, dict(reply.headers))

    async def close(self) -> None:
        """Give the connections up."""
        await self._http.aclose()


async def within(work: Awaitable[Given], limit_s: float | None) -> Given:
    """What the work gives; it goes on for nobody.

    Not `asyncio.wait_for`, which before Python 3.12 overlooks a cancellation that meets the result.

    Raises:
        asyncio.TimeoutError: nothing within the limit.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # else one that nobody hears is logged
    try:
        await asyncio.wait({task}, timeout=limit_s)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        task.cancel()


def left_s(deadline: float | None, now: float) -> float | None:
    """Seconds until the deadline, None where there is none.

    Raises:
        DeadlineExceeded: it has passed.
    """
    if deadline is None:
        return None
    if deadline <= now:
        raise DeadlineExceeded("the deadline passed before the request was sent; allow more time or send less")
    return deadline - now


def _lost(error: httpx.HTTPError) -> Upstream:
    if isinstance(error, httpx.ConnectError) and _is_of_tls(error):
        return Upstream(
            f"no TLS connection ({error}); give an http url if the server speaks no TLS, and where its certificate is "
            "of a private authority, name that authority's file in SSL_CERT_FILE"
        )
    return Upstream(f"no answer ({type(error).__name__}: {error}); is it running?", retry=True)


def _is_of_tls(error: httpx.ConnectError) -> bool:
    cause = error.__cause__  # httpcore's, whose argument is what it stands for; of that it cuts the chain
    return cause is not None and any(isinstance(of, ssl.SSLError) for of in cause.args)
