"""A request or a reply, and an OpenAPI 3.1 document whose path is given -> what of it the document does not allow.

It shares nothing with the handlers: they were written from the document by hand, and this reads the document itself.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedstack.errors import ConfigError

Json: TypeAlias = Any
"""A value of JSON: its type is what a schema tells, and nobody before."""

METHODS = ("get", "put", "post", "delete", "patch")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
NOT_CHECKED = "embedstack.not_checked"  # in the scope: a fault rule makes a reply that no document could allow
MOST_BYTES = 4 << 20  # of a body: ours, as the original names none
MOST_SAID = 5  # faults of one message
SHOWN_CHARS = 200

log = logging.getLogger("embedstack.emulator")


class Validator(Protocol):
    """As jsonschema makes them."""

    def iter_errors(self, instance: Json) -> Iterator[Any]:
        """What is wrong."""
        ...


@dataclass(frozen=True, slots=True)
class Operation:
    """A path and a method of the document."""

    path: str
    method: str
    told: Mapping[str, Json]  # what the document says of it
    shared: tuple[Json, ...] = ()  # parameters of all methods of the path
    pattern: re.Pattern[str] = field(default=re.compile(""), repr=False)


class Document:
    """A document that was read.

    Raises:
        ConfigError: it is not of OpenAPI 3.1, or `jsonschema` is not installed.
    """

    def __init__(self, told: Mapping[str, Json]) -> None:
        if not str(told.get("openapi", "")).startswith("3.1"):
            raise ConfigError("the document is not of OpenAPI 3.1; give the one of RunPod's REST v2")
        self._told = told
        self._validators: dict[str, Validator] = {}
        self._make = _maker()

    @classmethod
    def read(cls, path: Path) -> "Document":
        """The document of a file.

        Raises:
            ConfigError: there is none, or it is no such document.
        """
        try:
            return cls(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigError(f"the OpenAPI document {str(path)!r} cannot be read ({error}); check its path") from error

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """All of them; those of a path without variables first."""
        found = [
            Operation(path, method, told, tuple(item.get("parameters", ())), _pattern(path))
            for path, item in self._told["paths"].items()
            for method, told in item.items()
            if method in METHODS
        ]
        return tuple(sorted(found, key=lambda operation: operation.path.count("{")))

    def find(self, method: str, path: str) -> Operation | None:
        """The operation that a request means."""
        wanted = "get" if method == "HEAD" else method.lower()
        return next((one for one in self.operations if one.method == wanted and one.pattern.fullmatch(path)), None)

    # ------------------------------------------------------------------------------------------------ faults

    def request_faults(self, operation: Operation, query: str, body: bytes) -> list[str]:
        """What of a request the document does not allow; parameters that it does not know are allowed."""
        return [*self._query_faults(operation, query), *self._body_faults(operation, body)]

    def reply_faults(self, operation: Operation, status: int, content_type: str, body: bytes) -> list[str]:
        """What of a reply the document does not allow."""
        replies = operation.told["responses"]
        told = self._resolved(replies.get(str(status), replies.get("default")))
        if told is None:
            return [f"status {status} is not documented"]
        content = told.get("content")
        if not content:
            return [f"status {status} has no body, and {len(body)} bytes came"] if body else []
        kind = content_type.partition(";")[0].strip()
        if kind not in content:
            return [f"content type {kind!r} is not {' or '.join(content)}"]
        if not kind.endswith("json"):
            return []
        return self._value_faults(content[kind].get("schema", {}), body)

    def _query_faults(self, operation: Operation, query: str) -> Iterator[str]:
        given = dict(parse_qsl(query, keep_blank_values=True))
        for parameter in map(self._resolved, (*operation.shared, *operation.told.get("parameters", ()))):
            if parameter["in"] != "query":
                continue
            name = parameter["name"]
            if name in given:
                value = self._typed(given[name], parameter["schema"])
                yield from (f"{name}: {fault}" for fault in self._faults(parameter["schema"], value))
            elif parameter.get("required"):
                yield f"{name}: is required"

    def _body_faults(self, operation: Operation, body: bytes) -> list[str]:
        told = self._resolved(operation.told.get("requestBody"))
        if told is None:
            return []
        if not body:
            return ["a body is required"] if told.get("required") else []
        return self._value_faults(told["content"]["application/json"]["schema"], body)

    def _value_faults(self, schema: Json, body: bytes) -> list[str]:
        try:
            value = json.loads(body, parse_constant=_refuse)
        except ValueError as error:
            return [f"no JSON ({error})"]
        return self._faults(schema, value)

    def _faults(self, schema: Json, value: Json) -> list[str]:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            self._validators[key] = self._make({**schema, "components": self._told.get("components", {})})
        errors = sorted(self._validators[key].iter_errors(value), key=lambda error: error.json_path)
        return [f"{error.json_path}: {error.message[:SHOWN_CHARS]}" for error in errors[:MOST_SAID]]

    def _typed(self, text: str, schema: Json) -> Json:
        """The value that the text of a query stands for."""
        told = self._resolved(schema)
        match told.get("type"):
            case "array":
                return [self._typed(part, told["items"]) for part in text.split(",")]
            case "integer" if re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
                return int(text)
            case "boolean" if text in ("true", "false"):
                return text == "true"
        return text

    def _resolved(self, told: Json) -> Json:
        """What a reference means."""
        while told is not None and "$ref" in told:
            steps = told["$ref"].removeprefix("#/").split("/")
            told = self._told
            for step in steps:
                told = told[step]
        return told


def _maker() -> Any:
    """Schemas to validators of JSON Schema 2020-12."""
    try:
        from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise ConfigError("checking against a document needs jsonschema; pip install jsonschema") from error
    formats = FormatChecker(())
    formats.checks("date-time")(lambda value: not isinstance(value, str) or bool(RFC_3339.fullmatch(value)))
    return lambda schema: Draft202012Validator(schema, format_checker=formats)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", path)
    return re.compile("[^/]+".join(map(re.escape, parts)))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no value of JSON")


# ------------------------------------------------------------------------------------------------ middleware


class Checked:
    """An ASGI application around another: what it takes and what it replies must be what the document allows.

    A request that the document does not allow must be refused, and every reply must have its documented shape; else a
    500 goes out that says what is wrong.

    Args:
        faults: everything that was wrong is added to it.
    """

    def __init__(self, app: ASGIApp, document: Document, faults: list[str] | None = None) -> None:
        self._app, self._document = app, document
        self._faults = faults if faults is not None else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        operation = self._document.find(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if operation is None:
            await self._app(scope, receive, send)
            return
        body, taken = await body_of(receive), _Caught(scope, send)
        if body is None:
            return
        await self._app(scope, again(body, receive), taken)
        if scope.get(NOT_CHECKED):
            return
        query = scope["query_string"].decode("latin-1")
        sent_faults = self._document.request_faults(operation, query, body)
        faults = self._document.reply_faults(operation, taken.status, taken.content_type, bytes(taken.body))
        if sent_faults and taken.status < 400:
            faults.append(f"status {taken.status} to a request that the document does not allow: {sent_faults[0]}")
        for fault in faults:
            log.error("event=not_documented method=%s path=%s fault=%r", scope["method"], scope["path"], fault)
            self._faults.append(f"{scope['method']} {scope['path']}: {fault}")
        await taken.send(faults)


async def body_of(receive: Receive) -> bytes | None:
    """All of a request's body, also where the application would not read it; None if its client hung up before.

    Of one that is too large there is as much as shows that.
    """
    body, is_whole = bytearray(), False
    while not is_whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if len(body) <= MOST_BYTES:
            body += message.get("body", b"")
        is_whole = not message.get("more_body", False)
    return bytes(body)


def again(body: bytes, receive: Receive) -> Receive:
    """The body for the application, and after it what comes from the server."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message


class _Caught:
    """A reply that is kept until it was looked at, or goes out where it need not be."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self.start: Message = {}
        self.body = bytearray()

    async def __call__(self, message: Message) -> None:
        if self._scope.get(NOT_CHECKED):
            await self._send(message)
        elif message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")

    @property
    def status(self) -> int:
        return int(self.start["status"])

    @property
    def content_type(self) -> str:
        headers = {name.lower(): value for name, value in self.start["headers"]}
        return str(headers.get(b"content-type", b"").decode("latin-1"))

    async def send(self, faults: list[str]) -> None:
        """It goes out, or what is wrong with it does."""
        if faults:
            told = {"title": "Not As Documented", "status": 500, "detail": faults[0], "errors": faults}
            body = json.dumps(told).encode()
            headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
            await self._send({"type": "http.response.start", "status": 500, "headers": headers})
            await self._send({"type": "http.response.body", "body": body})
        else:
            await self._send(self.start)
            await self._send({"type": "http.response.body", "body": bytes(self.body)})
