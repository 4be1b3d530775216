"""The check against an OpenAPI document: what it finds, and that RunPod's own document and our handlers agree."""

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response

from embedstack.emulator.schema import Checked, Document
from embedstack.errors import ConfigError
from support.controlling import BALANCED, CPU_ENDPOINT, CPU_POD, ENDPOINT, POD, Control

SMALL = {
    "openapi": "3.1.0",
    "paths": {
        "/things": {
            "get": {
                "parameters": [
                    {"name": "count", "in": "query", "schema": {"type": "integer", "minimum": 1}},
                    {"name": "kinds", "in": "query", "schema": {"type": "array", "items": {"enum": ["a", "b"]}}},
                    {"name": "all", "in": "query", "required": True, "schema": {"type": "boolean"}},
                ],
                "responses": {"200": {"content": {"application/json": {"schema": {"type": "array"}}}}},
            },
            "post": {
                "requestBody": {"$ref": "#/components/requestBodies/Thing"},
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "422": {"content": {"application/problem+json": {"schema": {"type": "object"}}}},
                },
            },
        },
        "/things/{id}": {"delete": {"responses": {"204": {"description": "gone"}}}},
        "/things/best": {"get": {"responses": {"default": {"content": {"text/plain": {}}}}}},
    },
    "components": {
        "requestBodies": {
            "Thing": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
            }
        },
        "schemas": {
            "Thing": {
                "allOf": [{"type": "object", "properties": {"name": {"type": "string"}}}],
                "properties": {"at": {"type": "string", "format": "date-time"}},
                "required": ["name"],
                "unevaluatedProperties": False,
            }
        },
    },
}


def asked(query: str) -> list[str]:
    document = Document(SMALL)
    return document.request_faults(document.find("GET", "/things"), query, b"")


def posted(body: bytes) -> list[str]:
    document = Document(SMALL)
    return document.request_faults(document.find("POST", "/things"), "", body)


def replied(method: str, path: str, status: int, content_type: str, body: bytes) -> list[str]:
    document = Document(SMALL)
    return document.reply_faults(document.find(method, path), status, content_type, body)


# ------------------------------------------------------------------------------------------------ finding


def test_a_path_without_variables_goes_before_one_with_them() -> None:
    document = Document(SMALL)

    assert document.find("GET", "/things/best").path == "/things/best"
    assert document.find("DELETE", "/things/x").path == "/things/{id}"
    assert document.find("GET", "/things/x/y") is None


# ------------------------------------------------------------------------------------------------ requests


@pytest.mark.parametrize("query", ["all=true", "all=false&count=2&kinds=a,b", "all=true&colour=red"])
def test_a_query_that_is_allowed_has_no_faults(query: str) -> None:
    assert asked(query) == []


@pytest.mark.parametrize("query", ["", "all=yes", "all=true&count=0", "all=true&count=x", "all=true&kinds=a,c"])
def test_a_query_that_is_not_allowed_is_found(query: str) -> None:
    assert asked(query)


@pytest.mark.parametrize("body", [b'{"name": "a"}', b'{"name": "a", "at": "2026-06-01T12:00:00Z"}'])
def test_a_body_that_is_allowed_has_no_faults(body: bytes) -> None:
    assert posted(body) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{}", b'{"name": 1}', b'{"name": "a", "x": 1}', b'{"name": "a", "at": "today"}', b'{"name": NaN}'],
)
def test_a_body_that_is_not_allowed_is_found(body: bytes) -> None:
    assert posted(body)


# ------------------------------------------------------------------------------------------------ replies


@pytest.mark.parametrize(
    ("method", "path", "status", "content_type", "body"),
    [
        ("POST", "/things", 201, "application/json; charset=utf-8", b'{"name": "a"}'),
        ("DELETE", "/things/a", 204, "", b""),
        ("GET", "/things/best", 500, "text/plain", b"no json"),
    ],
)
def test_a_reply_that_is_allowed_has_no_faults(
    method: str, path: str, status: int, content_type: str, body: bytes
) -> None:
    assert replied(method, path, status, content_type, body) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "content_type", "body", "words"),
    [
        ("POST", "/things", 200, "application/json", b'{"name": "a"}', "status 200 is not documented"),
        ("POST", "/things", 201, "application/json", b'{"name": 1}', r"$.name"),
        ("POST", "/things", 201, "application/json", b"", "no JSON"),
        ("POST", "/things", 422, "application/json", b"{}", "content type 'application/json' is not"),
        ("DELETE", "/things/a", 204, "", b"{}", "has no body, and 2 bytes came"),
    ],
)
def test_a_reply_that_is_not_allowed_is_found(
    method: str, path: str, status: int, content_type: str, body: bytes, words: str
) -> None:
    assert any(words in fault for fault in replied(method, path, status, content_type, body))


# ------------------------------------------------------------------------------------------------ around an application


def through(reply: Response, body: bytes = b'{"name": "a"}') -> tuple[httpx.Response, list[str]]:
    faults: list[str] = []
    app = Checked(reply, Document(SMALL), faults)

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.post("/things", content=body)

    return asyncio.run(run()), faults


def test_what_is_allowed_passes_as_it_is() -> None:
    reply, faults = through(Response('{"name": "a"}', 201, media_type="application/json"))

    assert (reply.status_code, reply.json(), faults) == (201, {"name": "a"}, [])


def test_a_wrong_reply_becomes_an_error_that_says_why() -> None:
    reply, faults = through(Response('{"name": 1}', 201, media_type="application/json"))

    assert reply.status_code == 500
    assert any("$.name" in fault for fault in reply.json()["errors"])
    assert len(faults) == len(reply.json()["errors"])


def test_an_application_must_refuse_what_the_document_does() -> None:
    _, faults = through(Response("{}", 201, media_type="application/json"), b'{"x": 1}')

    assert any("a request that the document does not allow" in fault for fault in faults)


# ------------------------------------------------------------------------------------------------ files


def test_a_file_that_is_no_document_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"openapi": "3.0.0"}')
    (tmp_path / "c.json").write_text("[]")

    for name in ("a.json", "b.json", "c.json", "none.json"):
        with pytest.raises(ConfigError):
            Document.read(tmp_path / name)


# ------------------------------------------------------------------------------------------------ RunPod's document


def examples(told: object) -> Iterator[object]:
    """The values of named examples."""
    for one in told.get("examples", {}).values() if isinstance(told, dict) else ():
        yield one["value"]


@pytest.mark.slow
def test_the_examples_of_the_document_are_as_it_says_itself(runpod_openapi: Path) -> None:
    document = Document.read(runpod_openapi)
    wrong = []
    for operation in document.operations:
        for status, reply in operation.told["responses"].items():
            for kind, content in (document._resolved(reply).get("content") or {}).items():
                if kind.endswith("json"):
                    code = 500 if status == "default" else int(status)
                    for value in examples(content):
                        faults = document.reply_faults(operation, code, kind, json.dumps(value).encode())
                        wrong += [(operation.path, operation.method, status, fault) for fault in faults]

    assert wrong == []


def places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Every place in a body."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def put(body: object, path: tuple[object, ...], change: str) -> object:
    """The body with one place spoiled."""
    if not path:
        return {**body, "bogus": 1} if change == "add" else []
    body = copy.deepcopy(body)
    holder = body
    for key in path[:-1]:
        holder = holder[key]
    match change:
        case "drop":
            del holder[path[-1]]
        case "null":
            holder[path[-1]] = None
        case "object":
            holder[path[-1]] = {"bogus": 1}
        case "number":
            holder[path[-1]] = -1
        case "zero":
            holder[path[-1]] = 0
        case "large":
            holder[path[-1]] = 1_000_000
        case "half":
            holder[path[-1]] = 0.5
        case "text":
            holder[path[-1]] = ""
        case "list":
            holder[path[-1]] = []
        case "add" if isinstance(holder[path[-1]], dict):
            holder[path[-1]]["bogus"] = 1
    return body


FULL_ENDPOINT = {
    **ENDPOINT,
    "gpu": {
        "pools": ["ADA_48_PRO"],
        "excludedTypes": ["NVIDIA L40"],
        "count": 2,
        "allowedCudaVersions": ["12.8"],
    },
    "args": "",
    "disk": 20,
    "env": {"A": "1"},
    "ports": ["8000/http"],
    "registry": None,
    "networkVolumes": [],
    "flashboot": "OFF",
}
FULL_POD = {
    **POD,
    "mounts": {"persistent": {"size": 20, "path": "/workspace"}},
    "env": {"A": "1"},
    "ports": ["22/tcp"],
    "cloud": "SECURE",
    "dataCenterIds": ["US-KS-2"],
    "startSsh": True,
    "globalNetworking": False,
}
TEMPLATE = {"name": "t", "image": "a/b:1", "mounts": {"persistent": {"size": 20, "path": "/w"}}, "category": "CPU"}
BODIES = [
    ("POST", "/serverless", FULL_ENDPOINT),
    ("POST", "/serverless", CPU_ENDPOINT),
    ("POST", "/serverless", BALANCED),
    ("PATCH", "/serverless/ID", {key: value for key, value in FULL_ENDPOINT.items() if key != "type"}),
    ("POST", "/pods", FULL_POD),
    ("POST", "/pods", CPU_POD),
    ("PATCH", "/pods/ID", {"name": "a", "locked": True, "env": {}, "mounts": FULL_POD["mounts"]}),
    ("POST", "/pods/ID/action", {"action": "stop"}),
    ("POST", "/templates", TEMPLATE),
    ("PATCH", "/templates/ID", TEMPLATE),
    ("POST", "/network-volumes", {"name": "v", "size": 50, "dataCenter": "US-KS-2", "type": "STANDARD"}),
    ("PATCH", "/network-volumes/ID", {"name": "v", "size": 50}),
    ("POST", "/registries", {"name": "r", "username": "u", "password": "p"}),
]
CHANGES = ("drop", "null", "object", "number", "zero", "large", "half", "text", "list", "add")
FIRST = {"serverless": ENDPOINT, "pods": {**POD, "mounts": FULL_POD["mounts"]}, "templates": TEMPLATE}
FIRST["network-volumes"] = {"name": "v", "size": 50, "dataCenter": "US-KS-2"}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "body"), BODIES, ids=lambda one: one if isinstance(one, str) else "")
def test_handlers_and_document_refuse_the_same_bodies(
    runpod_openapi: Path, method: str, path: str, body: dict[str, object]
) -> None:
    document = Document.read(runpod_openapi)
    apart = []
    for place in places(body):
        for change in CHANGES:
            control = Control()
            here = path
            if "ID" in path:
                kind = path.split("/")[1]
                here = path.replace("ID", str(control.good("POST", f"/{kind}", FIRST[kind])["id"]))
            spoiled = put(body, place, change)
            raw = json.dumps(spoiled).encode()
            faults = document.request_faults(document.find(method, f"/v2{here}"), "", raw)
            status = control.ask(method, here, spoiled).status_code
            if bool(faults) != (status == 422):
                apart.append((place, change, status, faults))

    assert apart == []
