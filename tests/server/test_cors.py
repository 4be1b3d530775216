"""Web pages that call from a browser."""

import httpx
import pytest

from embedstack.errors import ConfigError, Overloaded
from embedstack.server.cors import cors
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded

pytestmark = pytest.mark.anyio
PAGE, OTHER = "https://app.example", "https://evil.example"
ALLOWED = "access-control-allow-origin"
GOOD = {"input": "a cat", "model": "hash"}
HEADERS = "authorization,content-type,x-api-key,x-request-id,x-embedstack-priority,x-stainless-lang,x-stainless-os"


class Full(HashEncoder):
    """Takes nothing more."""

    async def encode(self, request: Encode) -> Encoded:
        await super().encode(request)
        raise Overloaded("too much is waiting", 3.0)


def preflight(origin: str = PAGE, method: str = "POST") -> dict[str, str]:
    asked = {"access-control-request-method": method, "access-control-request-headers": HEADERS}
    return {"origin": origin, **asked}


async def test_a_preflight_with_the_headers_of_clients_passes(serve):
    async with serve(cors_origins=PAGE) as client:
        reply = await client.options("/v1/embeddings", headers=preflight())

    assert reply.status_code == 200
    assert reply.headers[ALLOWED] == PAGE
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert reply.headers["access-control-allow-headers"] == HEADERS
    assert "Origin" in reply.headers["vary"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/ready"), ("POST", "/embed"), ("DELETE", "/admin/models/a")])
async def test_every_method_that_a_route_has_passes_its_preflight(serve, method, path):
    async with serve(cors_origins=PAGE) as client:
        reply = await client.options(path, headers=preflight(method=method))

    assert reply.status_code == 200
    assert method in reply.headers["access-control-allow-methods"]


async def test_a_preflight_passes_for_one_of_several_pages(serve):
    async with serve(cors_origins=f"https://first.example, {PAGE}") as client:
        reply = await client.options("/embed", headers=preflight())

    assert reply.headers[ALLOWED] == PAGE


async def test_a_preflight_of_another_page_does_not_pass(serve):
    async with serve(cors_origins=PAGE) as client:
        reply = await client.options("/v1/embeddings", headers=preflight(OTHER))

    assert reply.status_code == 400
    assert ALLOWED not in reply.headers


async def test_a_preflight_needs_no_key(serve):
    async with serve(cors_origins=PAGE, api_keys="a:a-secret-of-some-length") as client:
        reply = await client.options("/v1/embeddings", headers=preflight())

    assert reply.status_code == 200


async def test_without_origins_no_page_may_call(serve):
    async with serve() as client:
        reply = await client.options("/v1/embeddings", headers=preflight())
        answer = await client.post("/v1/embeddings", json=GOOD, headers={"origin": PAGE})

    assert reply.status_code == 405
    assert ALLOWED not in reply.headers
    assert ALLOWED not in answer.headers


async def test_a_page_may_read_the_reply_and_its_headers(serve):
    async with serve(cors_origins=PAGE) as client:
        reply = await client.post("/v1/embeddings", json=GOOD, headers={"origin": PAGE})

    assert reply.status_code == 200
    assert reply.headers[ALLOWED] == PAGE
    assert reply.headers["access-control-expose-headers"] == "*"
    assert reply.headers["vary"] == "Origin"


async def test_another_page_may_not_read_the_reply(serve):
    async with serve(cors_origins=PAGE) as client:
        reply = await client.post("/v1/embeddings", json=GOOD, headers={"origin": OTHER})

    assert ALLOWED not in reply.headers


async def test_a_star_is_for_all_pages_and_carries_no_cookies(serve):
    async with serve(cors_origins="*") as client:
        reply = await client.post("/v1/embeddings", json=GOOD, headers={"origin": OTHER, "cookie": "a=b"})

    assert reply.headers[ALLOWED] == "*"
    assert "access-control-allow-credentials" not in reply.headers


async def status_and_origin(client: httpx.AsyncClient, path: str = "/v1/embeddings", **sent) -> tuple[int, str | None]:
    reply = await client.post(path, headers={"origin": PAGE, **sent.pop("headers", {})}, **sent)
    return reply.status_code, reply.headers.get(ALLOWED)


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (400, {"content": b"{"}),
        (404, {"json": {**GOOD, "model": "nothing"}}),
        (404, {"path": "/nowhere"}),
        (405, {"path": "/metrics"}),
        (413, {"content": b" " * 1_100_000}),
        (415, {"content": b"", "headers": {"content-encoding": "gzip"}}),
        (429, {"json": GOOD}),
    ],
)
async def test_a_page_may_read_a_refusal(serve, status, sent):
    async with serve(Full, cors_origins=PAGE, max_body_mb=1) as client:
        assert await status_and_origin(client, **sent) == (status, PAGE)


async def test_a_page_may_read_that_a_key_is_missing(serve):
    async with serve(cors_origins=PAGE, api_keys="a:a-secret-of-some-length") as client:
        assert await status_and_origin(client, json=GOOD) == (401, PAGE)


@pytest.mark.parametrize(
    "origins",
    ["app.example", "https://app.example/", "https://app.example/page", "https://App.example", "null", "https://*.a.b"],
)
def test_what_no_browser_sends_is_refused(origins):
    with pytest.raises(ConfigError, match=r"example: https://app\.example"):
        cors(Settings(cors_origins=origins))


@pytest.mark.parametrize("origins", ["http://localhost:3000", "http://[::1]:8080", "https://a.b,https://c.d", "*", ""])
def test_what_browsers_send_is_taken(origins):
    assert len(cors(Settings(cors_origins=origins))) == (1 if origins else 0)
