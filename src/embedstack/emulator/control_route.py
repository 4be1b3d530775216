"""A request of REST v2 as its handlers see it, and their replies; lists in pages."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import orjson
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedstack.emulator.control_bodies import read
from embedstack.emulator.control_problem import Problem
from embedstack.emulator.schema import MOST_BYTES

Body = TypeVar("Body", bound=Struct)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request.

    Args:
        ids: the parts of the path that name something.
    """

    query: Mapping[str, str]
    headers: Mapping[str, str]
    ids: Mapping[str, str]
    raw: bytes

    @property
    def id(self) -> str:
        """What the path names first."""
        return self.ids["id"]

    def body(self, kind: type[Body]) -> Body:
        """What was sent.

        Raises:
            Problem: it is of another shape.
        """
        return read(self.raw, kind)


Handler = Callable[[Ask], Response]


def at(path: str, **handlers: Handler) -> Route:
    """The route of a path, with a handler for each method."""

    async def endpoint(request: Request) -> Response:
        handler = handlers["GET" if request.method == "HEAD" else request.method]
        try:
            return handler(Ask(request.query_params, request.headers, request.path_params, await _body_of(request)))
        except Problem as problem:
            return problem.reply()

    return Route(path, endpoint, methods=list(handlers))


async def _body_of(request: Request) -> bytes:
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise Problem(400, f"the body is over {MOST_BYTES} bytes")
    return body


def reply(value: object, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def nothing() -> Response:
    """What was asked for is done, and there is nothing to tell: 204 has no body."""
    return Response(status_code=204)


def listed(key: str, items: Sequence[object], ask: Ask, page_size: int | None) -> Response:
    """A list under its key, with where the next page begins. The document has no pages; this form was seen in 2026."""
    cursor = ask.query.get("cursor", "0")
    start = int(cursor) if re.fullmatch(r"[0-9]{1,9}", cursor) else 0
    end = len(items) if page_size is None else start + page_size
    has_next = end < len(items)
    pagination = {"nextCursor": str(end) if has_next else None, "hasNextPage": has_next}
    return reply({key: list(items[start:end]), "pagination": pagination})
