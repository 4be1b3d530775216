"""Bytes go to an endpoint and its reply comes back, tried again where that is safe, within the caller's deadline."""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import quote

import httpx

from embedstack.client.endpoint import Endpoint
from embedstack.dialects.dialect import Dialect, Wire
from embedstack.dialects.failure import retry_after_s
from embedstack.errors import ConfigError, DeadlineExceeded, EmbedstackError, NotReady, Upstream
from embedstack.types import Encode, Score

Pause = Callable[[float], Awaitable[None]]

CONNECT_S = 10.0
CONNECTIONS = 100  # at once, as httpx has it; further calls wait here
KEPT = 20  # of them idle, as httpx has it; with all kept its pool took 13 ms of processor for a call, so 1.9
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0  # as OpenAI's own client, openai-python src/openai/_constants.py
MOST_PATIENCE_S = 60.0  # a server that wants more time than this is not waited for, as there
MAX_CALLER_CHARS = 256  # of the header, at embedstack's server

log = logging.getLogger("embedstack.client")


class Calls:
    """One pool of connections to one endpoint. Vectors and scores change nothing there, so a lost call may be repeated.

    Args:
        timeout_s: for one attempt.
        retries: attempts after the first.
        pause: waits between attempts.
    Raises:
        ConfigError: a number is out of its range.
    """

    def __init__(self, endpoint: Endpoint, dialect: Dialect, *, timeout_s: float, retries: int, pause: Pause) -> None:
        if not timeout_s > 0:  # so that NaN is refused too
            raise ConfigError(f"timeout_s={timeout_s!r} is not above 0; it is the seconds that one attempt may take")
        if retries < 0:
            raise ConfigError(f"retries={retries!r} is below 0; give 0 for a single attempt")
        self._endpoint = endpoint
        self._dialect = dialect
        self._timeout_s = timeout_s
        self._retries = retries
        self._pause = pause
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._http = httpx.AsyncClient(
            headers={"user-agent": f"embedstack/{version('embedstack')}", **endpoint.headers},
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=KEPT),
            timeout=httpx.Timeout(None, connect=CONNECT_S),  # the whole attempt is timed instead
        )

    async def get(self, path: str, request: Encode | Score) -> Wire:
        """As `post`, without a body."""
        return await self._sent("GET", path, b"", request)

    async def post(self, path: str, body: bytes, request: Encode | Score) -> Wire:
        """The reply of status 200.

        Raises:
            EmbedstackError: what the server or the network said at last, in our words.
        """
        return await self._sent("POST", path, body, request)

    async def _sent(self, method: str, path: str, body: bytes, request: Encode | Score) -> Wire:
        attempt = 0
        while True:
            reply = await self._heard(method, path, body, request)
            if isinstance(reply, Wire):
                return reply
            wait_s = max(reply.told_s, _backoff_s(attempt))
            if attempt >= self._retries or not _may_repeat(reply.error, wait_s, request.deadline):
                raise reply.error
            cause = type(reply.error).__name__
            log.info("event=retry host=%s cause=%s wait_s=%.2f", self._endpoint.host, cause, wait_s)
            await self._pause(wait_s)
            attempt += 1

    async def _heard(self, method: str, path: str, body: bytes, request: Encode | Score) -> "Wire | _Failed":
        try:
            async with self._connection(request.deadline):
                wire = await self._once(method, path, body, request)
        except Upstream as error:
            return _Failed(error)
        return wire if wire.status == 200 else _Failed(self._dialect.hear_failure(wire), retry_after_s(wire))

    @asynccontextmanager
    async def _connection(self, deadline: float | None) -> AsyncIterator[None]:
        """One is free. To wait for it is not the server's silence, so only the deadline ends that."""
        left_s = _left_s(deadline)
        try:
            await asyncio.wait_for(self._free.acquire(), left_s)
        except asyncio.TimeoutError as error:
            busy = f"the deadline passed while all {CONNECTIONS} connections were busy"
            raise DeadlineExceeded(f"{busy}; allow more time or ask less at once") from error
        try:
            yield
        finally:
            self._free.release()

    async def _once(self, method: str, path: str, body: bytes, request: Encode | Score) -> Wire:
        if self._http.is_closed:
            raise NotReady("this client is closed; make another")
        limit_s = _limit_s(self._timeout_s, request.deadline)
        sent = self._http.build_request(
            method, self._endpoint.at(path), content=body or None, headers=_terms(request, limit_s, bool(body))
        )
        try:
            reply = await asyncio.wait_for(self._http.send(sent), limit_s)
        except asyncio.TimeoutError as error:
            if request.deadline is not None and limit_s < self._timeout_s:
                raise DeadlineExceeded(f"no answer within the {limit_s:.3g} s until the deadline") from error
            raise _Silent(f"no answer within {limit_s:g} s; raise timeout_s or send less", retry=True) from error
        except httpx.HTTPError as error:
            raise _lost(error) from error
        return Wire(reply.status_code, reply.content, dict(reply.headers))

    async def close(self) -> None:
        """Give the connections up."""
        await self._http.aclose()


@dataclass(frozen=True, slots=True)
class _Failed:
    error: EmbedstackError
    told_s: float = 0.0  # how long the server wants not to be asked


class _Silent(Upstream):
    """No answer in time. Not repeated here: the server may still be at work, and would only have more of it."""


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


def _may_repeat(error: EmbedstackError, wait_s: float, deadline: float | None) -> bool:
    if isinstance(error, DeadlineExceeded | _Silent) or wait_s > MOST_PATIENCE_S:
        return False
    return error.retry and (deadline is None or time.monotonic() + wait_s < deadline)


def _backoff_s(attempt: int) -> float:
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**attempt)
    return longest * random.uniform(0.75, 1.0)  # noqa: S311 spreads callers, guards nothing


def _limit_s(timeout_s: float, deadline: float | None) -> float:
    left_s = _left_s(deadline)
    return timeout_s if left_s is None else min(timeout_s, left_s)


def _left_s(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise DeadlineExceeded("the deadline passed before the request was sent; allow more time or send less")
    return left_s


def _terms(request: Encode | Score, limit_s: float, has_body: bool) -> dict[str, str]:
    """What embedstack's server reads of headers, and other servers overlook."""
    terms = {"content-type": "application/json"} if has_body else {}
    if request.deadline is not None:
        terms["x-embedstack-timeout-s"] = f"{limit_s:.3f}"
    if request.priority != "interactive":
        terms["x-embedstack-priority"] = request.priority
    if request.caller:
        terms["x-embedstack-caller"] = quote(request.caller, safe="/:@+ ")[:MAX_CALLER_CHARS].strip()
    return terms
