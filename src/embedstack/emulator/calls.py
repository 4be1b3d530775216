"""One HTTP request as the routes see it, and what they reply; no bytes of HTTP here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from embedstack.emulator.endpoint import Endpoint
from embedstack.emulator.platform import Platform


@dataclass(slots=True, eq=False, kw_only=True)
class Call:
    """A request to a route of an endpoint.

    Args:
        rest: the parts of the path behind the route.
        is_gone: whether who asked has hung up; the call itself is the bell that rings then.
    """

    platform: Platform
    endpoint: Endpoint
    method: str
    route: str
    rest: tuple[str, ...]
    query: Mapping[str, str]
    body: bytes
    is_gone: bool = False

    @property
    def now(self) -> float:
        """The clock's time."""
        return self.platform.clock.now()

    @property
    def is_over(self) -> bool:
        """Whether there is no sense in waiting any longer: nobody listens, or the emulator ends."""
        return self.is_gone or self.endpoint.bells.is_closed

    def hang_up(self) -> None:
        """Who asked is gone."""
        self.is_gone = True
        self.endpoint.bells.ring(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back.

    Args:
        chunks: the body as it comes, instead of `body`.
        undo: to be called if it turns out that nobody is there to read it.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    chunks: AsyncIterator[bytes] | None = None
    undo: Callable[[], None] | None = None


Handler: TypeAlias = Callable[[Call], Awaitable[Reply]]

NOTHING = Reply(status=204)
WEB_PAGE = "<!DOCTYPE html><html><head><title>Error</title></head><body>an error page of a proxy</body></html>"


def json_reply(value: object, status: int = 200, undo: Callable[[], None] | None = None) -> Reply:
    """A value as JSON; `orjson.Fragment` in it goes as it is."""
    return Reply(status=status, body=orjson.dumps(value), undo=undo)


def refused(text: str) -> Reply:
    """An error as the data plane writes it."""
    return json_reply({"error": text}, 400)


def unknown_shape(platform: Platform, status: int) -> Reply:
    """An error whose body nobody outside knows."""
    return Reply(status=status, body=platform.unknowns.error_body.encode(), content_type="text/plain; charset=utf-8")


def page(status: int) -> Reply:
    """What a proxy in between would say."""
    return Reply(status=status, body=WEB_PAGE.encode(), content_type="text/html; charset=utf-8")


def milliseconds(call: Call, name: str, default: float, least: float, most: float) -> float:
    """A time of the query in seconds, at most and at least what is allowed; the default where it is no number."""
    given = call.query.get(name, "")
    value = float(given) / 1000 if given.isdecimal() else default
    return min(max(value, least), most)
