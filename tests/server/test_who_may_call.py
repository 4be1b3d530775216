"""Keys as callers see them: which paths need one, what a refusal looks like, whose request it is."""

import pytest

from embedstack.dialects import open_dialects
from embedstack.errors import ConfigError
from embedstack.server import create_app
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded

pytestmark = pytest.mark.anyio
ALICE, BOB = "alice-secret-0123456789", "bob-secret-0123456789"
KEYS = f"alice:{ALICE},bob:{BOB}"
GOOD = {"input": "a cat", "model": "hash"}
OPEN = ["/livez", "/ready", "/", "/docs", "/openapi.json", "/health", "/ping", "/metrics"]
PREFIXED = [
    dialect.prefix + page.path
    for dialect in open_dialects()
    for page in dialect.pages
    if not page.needs_key and "{" not in page.path
]
LOCKED = ["/v1/models", "/v1/models/hash", "/info", "/openai/v1/models", "/tei/info"]
POSTS = sorted({dialect.prefix + route.path for dialect in open_dialects() for route in dialect.routes})


class Recorder(HashEncoder):
    """Keeps who asked."""

    async def encode(self, request: Encode) -> Encoded:
        self.caller = request.caller
        return await super().encode(request)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", [*OPEN, *PREFIXED])
async def test_what_orchestrators_and_browsers_open_needs_no_key(serve, path):
    async with serve(api_keys=KEYS) as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", LOCKED)
async def test_other_pages_need_a_key(serve, path):
    async with serve(api_keys=KEYS) as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=bearer(BOB))).status_code == 200


@pytest.mark.slow
async def test_every_route_needs_a_key_and_asks_for_it(serve):
    async with serve(api_keys=KEYS) as client:
        replies = [await client.post(path, content=b"{") for path in (*POSTS, *(path + "/" for path in POSTS))]

    assert [reply.url.path for reply in replies if reply.status_code != 401] == []
    assert {reply.headers["www-authenticate"] for reply in replies} == {"Bearer"}


async def test_the_body_of_a_stranger_is_not_read(serve):
    async with serve(api_keys=KEYS) as client:
        reply = await client.post("/embed", content=_never())

    assert reply.status_code == 401


async def _never():
    raise AssertionError("the body was read")
    yield b""


async def test_openais_envelope_of_a_missing_key_is_the_originals(serve):
    async with serve(api_keys=KEYS) as client:
        error = (await client.post("/v1/embeddings", json=GOOD)).json()["error"]

    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert "Authorization: Bearer KEY, x-api-key or api-key" in error["message"]


async def test_the_key_says_who_calls_whatever_the_request_says(serve):
    encoder = Recorder()
    async with serve(lambda: encoder, api_keys=KEYS) as client:
        headers = {**bearer(BOB), "x-embedstack-caller": "alice"}
        await client.post("/v1/embeddings", json={**GOOD, "user": "alice"}, headers=headers)

    assert encoder.caller == "bob"


async def test_without_keys_the_header_says_who_calls(serve):
    encoder = Recorder()
    async with serve(lambda: encoder) as client:
        await client.post("/v1/embeddings", json=GOOD, headers={"x-embedstack-caller": "team"})

    assert encoder.caller == "team"


async def test_metrics_need_a_key_where_the_settings_say_so(serve):
    async with serve(api_keys=KEYS, open_metrics=False) as client:
        replies = [await client.get("/metrics"), await client.get("/metrics", headers=bearer(BOB))]

    assert [reply.status_code for reply in replies] == [401, 200]


def test_keys_that_cannot_be_read_end_the_start():
    with pytest.raises(ConfigError, match="write name:key"):
        create_app(HashEncoder, Settings(api_keys=ALICE))
