"""Requests go to RunPod's control plane and replies come back, sent again where that is safe; refusals are errors."""

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import httpx
import msgspec

from embedstack.errors import (
    BadRequest,
    ConfigError,
    EmbedstackError,
    Forbidden,
    NotReady,
    Overloaded,
    Unauthorized,
    Upstream,
)

Pause = Callable[[float], Awaitable[None]]
Query = Mapping[str, str]

RETRIES = 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 16.0
MOST_PATIENCE_S = 90.0  # for a full minute window, after which the server takes requests again
NO_MACHINE = "no longer any instances available"  # of the sentence that a 400 for want of a machine has
CONSOLE = "https://console.runpod.io"
SHOWN_CHARS = 300  # of what a server says

log = logging.getLogger("embedstack.compute")


class Undecided(Upstream):
    """No sound reply came, so what was asked for may have been done or not."""


class NoMachine(Overloaded):
    """Nothing that was asked for is free. Another GPU or place may be, so the same is not asked again."""

    retry = False


class Missing(BadRequest):
    """There is nothing of this id, or not any more."""


class Problem(msgspec.Struct, frozen=True):
    """What a refusal says (RFC 9457)."""

    title: str = ""
    detail: str = ""
    errors: tuple[str, ...] = ()
    error: str = ""  # in its place, where an older part of the platform answers

    @property
    def sentence(self) -> str:
        """In one line."""
        said = self.detail or self.error or self.title
        return "; ".join([said, *self.errors]) if said else "; ".join(self.errors)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Failed:
    error: EmbedstackError
    was_refused: bool  # so that nothing was done, and sending it again does nothing twice


class Calls:
    """One pool of connections to one control plane.

    Args:
        timeout_s: for one attempt.
        retries: attempts after the first.
        pause: waits between attempts.
    Raises:
        ConfigError: no key, one that no header takes, or a URL that is none; the message holds no key.
    """

    def __init__(
        self, key: str, url: str, *, timeout_s: float, retries: int = RETRIES, pause: Pause = asyncio.sleep
    ) -> None:
        if not re.fullmatch(r"[!-~]+", key):
            raise ConfigError(
                f"the RunPod key is empty or holds a character that no header takes; make one at {CONSOLE} and copy it"
            )
        if not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#@\s]*)?/v2/?", url):  # elsewhere all is 404, as what is gone
            shown = "(not shown)" if "@" in url else repr(url)  # a password may stand in it
            raise ConfigError(f"url {shown} is not of the form https://host/v2; give the base of a control plane")
        self.url = url.rstrip("/")
        self.retries = retries
        self._key = key
        self._pause = pause
        self._http = httpx.AsyncClient(
            headers={
                "authorization": f"Bearer {key}",
                "user-agent": f"embedstack/{version('embedstack')}",  # the edge refuses those of HTTP libraries
                "accept": "application/json, application/problem+json",
            },
            timeout=timeout_s,
        )

    def __repr__(self) -> str:
        return f"Calls(url={self.url!r})"

    async def get(self, path: str, query: Query | None = None) -> Reply:
        """What is read changes nothing, so it is asked for again."""
        return await self._answered("GET", path, b"", query or {}, may_repeat=True)

    async def delete(self, path: str) -> Reply:
        """Whoever deletes twice has deleted."""
        return await self._answered("DELETE", path, b"", {}, may_repeat=True)

    async def patch(self, path: str, body: bytes) -> Reply:
        """It names what shall be, so twice is as once."""
        return await self._answered("PATCH", path, body, {}, may_repeat=True)

    async def post(self, path: str, body: bytes) -> Reply:
        """Sent again only where it was refused or never arrived.

        Raises:
            Undecided: whether it was done is not known.
        """
        return await self._answered("POST", path, body, {}, may_repeat=False)

    async def pause(self, attempt: int, told_s: float = 0.0) -> None:
        """Wait before the next attempt."""
        await self._pause(max(told_s, _backoff_s(attempt)))

    async def close(self) -> None:
        """Give the connections up."""
        await self._http.aclose()

    async def _answered(self, method: str, path: str, body: bytes, query: Query, *, may_repeat: bool) -> Reply:
        attempt = 0
        while True:
            reply = await self._once(method, path, body, query)
            if isinstance(reply, Reply):
                return reply
            told_s = reply.error.retry_after_s if isinstance(reply.error, Overloaded) else 0.0
            is_safe = reply.error.retry and (may_repeat or reply.was_refused)
            if not is_safe or attempt >= self.retries or told_s > MOST_PATIENCE_S:
                raise reply.error
            log.info("event=retry method=%s path=%s cause=%s", method, path, type(reply.error).__name__)
            await self.pause(attempt, told_s)
            attempt += 1

    async def _once(self, method: str, path: str, body: bytes, query: Query) -> "Reply | _Failed":
        if self._http.is_closed:
            raise NotReady("this client is closed; make another")
        headers = {"content-type": "application/json"} if body else {}
        request = self._http.build_request(
            method, self.url + path, params=dict(query), content=body or None, headers=headers
        )
        try:
            sent = await self._http.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return _Failed(self._lost(error, Upstream), was_refused=True)
        except httpx.HTTPError as error:
            return _Failed(self._lost(error, Undecided), was_refused=False)
        reply = Reply(sent.status_code, sent.content, dict(sent.headers))
        if 200 <= reply.status < 300:
            return reply
        refused = self._refusal(method, path, reply)
        return _Failed(refused, was_refused=not isinstance(refused, Undecided))

    def _lost(self, error: httpx.HTTPError, kind: type[Upstream]) -> Upstream:
        lost = kind(f"no answer of {self.url} ({type(error).__name__}: {error}); is it reachable?", retry=True)
        lost.__cause__ = error
        return lost

    def _refusal(self, method: str, path: str, reply: Reply) -> EmbedstackError:
        said = _said(reply).replace(self._key, "***")
        return refusal(f"{method} {self.url}{path}", reply, said)


def refusal(where: str, reply: Reply, said: str) -> EmbedstackError:
    """A reply that is none of success, as the error that says what to do."""
    what = f"{where} answered {reply.status}: {said}"
    match reply.status:
        case 401:
            return Unauthorized(f"{what}; the key is wrong or expired: make one at {CONSOLE}")
        case 402:
            return Forbidden(f"{what}; the account has not the money for this: add credit at {CONSOLE}")
        case 403:
            return Forbidden(f"{what}; the key may not do this: give it the right at {CONSOLE}")
        case 404:
            return Missing(f"{what}; check the id, it may be gone")
        case 409:
            return BadRequest(f"{what}; look at its status and actions first")
        case 410:
            return ConfigError(f"{what}; this API has ended: give the url https://api.runpod.io/v2")
        case 429:
            return Overloaded(f"{what}; ask less often", retry_after_s=_seconds(reply))
        case 400 if NO_MACHINE in said:
            return NoMachine(f"{what}; ask for another GPU or data centre, or later")
        case status if 400 <= status < 500:
            return BadRequest(f"{what}; mend the request")
        case status if status >= 500:
            return Undecided(f"{what}; it failed there, try again later", retry=True)
    return Upstream(f"{what}; this is no answer of RunPod's control plane, check the url")


def _said(reply: Reply) -> str:
    """What the body says, whoever wrote it: the platform, or an edge before it."""
    try:
        said = msgspec.json.decode(reply.body, type=Problem).sentence
    except msgspec.MsgspecError:
        said = ""
    said = said or reply.body.decode("utf-8", "replace")
    return " ".join(said.split())[:SHOWN_CHARS] or "nothing"


def _seconds(reply: Reply) -> float:
    told = reply.headers.get("retry-after", "")
    return float(told) if re.fullmatch(r"\d{1,9}", told) else FIRST_PAUSE_S


def _backoff_s(attempt: int) -> float:
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**attempt)
    return longest * random.uniform(0.75, 1.0)  # noqa: S311 spreads callers, guards nothing
