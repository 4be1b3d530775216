"""The headers that callers may send and that replies have, as an OpenAPI description shows them."""

from collections.abc import Mapping

from embedstack.dialects.wire import MAX_NAME_CHARS
from embedstack.server.guard import MAX_TIMEOUT_S

Json = dict[str, object]

TEXT: Json = {"type": "string"}
COUNT: Json = {"type": "integer", "minimum": 0}
COUNTS: Json = {"type": "string", "pattern": "^[0-9]+(, [0-9]+)*$"}  # of several answers in one reply, each one's
ASK: Mapping[str, tuple[str, Json]] = {
    "x-request-id": ("an id for the log and the reply; one of up to 128 visible ASCII characters is kept", TEXT),
    "x-embedstack-timeout-s": (
        "seconds after which the answer is of no use",
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_S},
    ),
    "x-embedstack-priority": ("which line it waits in", {"enum": ["interactive", "bulk"]}),
    "x-embedstack-caller": (
        "whose request this is, for fair shares",
        {"type": "string", "maxLength": MAX_NAME_CHARS},
    ),
}
KEYS: Json = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
}
HEADERS: Json = {
    "x-request-id": {
        "description": "the request's id, the caller's own where it sent a sound one",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
        "required": True,
    },
    "x-embedstack-model": {"description": "the model that answered", "schema": TEXT},
    "x-embedstack-space": {"description": "equal exactly where vectors may be compared", "schema": TEXT},
    "x-embedstack-fingerprint": {"description": "equal where vectors agree within the stated fidelity", "schema": TEXT},
    "x-embedstack-truncated": {"description": "how many items lost tokens", "schema": COUNTS},
    "x-embedstack-dropped-tokens": {"description": "how many tokens were cut away", "schema": COUNTS},
    "server-timing": {"description": "milliseconds of each stage", "schema": {"type": "string"}},
    "retry-after": {"description": "seconds until it is worth trying again", "schema": COUNT},
    "www-authenticate": {"description": "how to send a key", "schema": TEXT, "required": True},
}
"""Of replies. Those of an answer are not there where no model was needed for it."""

OF_STATUS: Mapping[int, str] = {401: "www-authenticate", 429: "retry-after", 503: "retry-after"}


def parameter(name: str, text: str, schema: Json, where: str) -> Json:
    """One parameter of an operation."""
    return {"name": name, "in": where, "required": where == "path", "description": text, "schema": schema}


def asked_headers() -> list[Json]:
    """Those that a request may have, as parameters."""
    return [parameter(name, *about, "header") for name, about in ASK.items()]


def of_every_reply() -> Json:
    """What all replies have."""
    return _named("x-request-id")


def of_answer() -> Json:
    """What a reply with an answer has."""
    return _named(*(name for name in HEADERS if name.startswith("x-")))


def of_failure(status: int) -> Json:
    """What an error has."""
    return _named("x-request-id", *([OF_STATUS[status]] if status in OF_STATUS else []))


def _named(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
