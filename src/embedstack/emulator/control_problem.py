"""A refusal of REST v2 -> its reply: `application/problem+json` as RFC 9457 has it, with what was wrong in `errors`."""

from collections.abc import Mapping, Sequence

import orjson
from starlette.responses import Response

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
INVALID = "Request validation failed."
MISSING = "resource not found"
NO_MACHINE = (
    "There are no longer any instances available with the requested specifications. Please refresh and try again."
)
NO_MONEY = "insufficient balance"


class Problem(Exception):
    """A request that is refused. Sentences of the original stand in `detail` where they are known."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[str] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def reply(self) -> Response:
        """As it is sent."""
        body: dict[str, object] = {
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return Response(orjson.dumps(body), self.status, self.headers, "application/problem+json")


def invalid(*errors: str) -> Problem:
    """The body or a parameter is of the wrong shape; each error begins with its place, `$` for the whole."""
    return Problem(422, INVALID, errors)


def missing() -> Problem:
    """Nothing of this id is there, or it is somebody else's."""
    return Problem(404, MISSING)


def no_machine() -> Problem:
    """What was asked for is not free. It is a 400 like a broken rule, and only the sentence tells it apart."""
    return Problem(400, NO_MACHINE)
