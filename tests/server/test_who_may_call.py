"""Keys as callers see them: which paths need one, what a refusal looks like, whose request it is."""

import pytest

from embedstack.dialects import open_dialects
from embedstack.errors import ConfigError
from embedstack.server import create_app
from embedstack.server.table import places
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded

pytestmark = pytest.mark.anyio
ALICE, BOB = "alice-secret-0123456789", "bob-secret-0123456789"
KEYS = f"alice:{ALICE},bob:{BOB}"
GOOD = {"input": "a cat", "model": "hash"}
OWN = ["/", "/docs", "/livez", "/metrics", "/openapi.json", "/ready", "/tei/metrics"]
PROBES = [
    "/api/embeddings/health",
    "/health",
    "/health/ready",
    "/infinity/health",
    "/kriptik/api/embeddings/health",
    "/ml-service/health",
    "/ml-service/health/ready",
    "/model-worker/health",
    "/ping",
    "/rag-stack/health",
    "/runpod/ping",
    "/tei",
    "/tei/health",
    "/tei/ping",
]
GETS = sorted({place.path for place in places(open_dialects()) if place.method == "GET"})
POSTS = sorted({dialect.prefix + route.path for dialect in open_dialects() for route in dialect.routes})


class Recorder(HashEncoder):
    """Keeps who asked."""

    async def encode(self, request: Encode) -> Encoded:
        self.caller = request.caller
        return await super().encode(request)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", [*OWN, *PROBES])
async def test_what_orchestrators_and_browsers_open_needs_no_key(serve, path):
    async with serve(api_keys=KEYS) as client:
        assert (await client.get(path)).status_code == 200


async def test_every_other_page_needs_a_key(serve):
    locked = [path.replace("{id}", "hash") for path in GETS if path not in PROBES]
    async with serve(api_keys=KEYS) as client:
        strange = {path: (await client.get(path)).status_code for path in locked}
        known = {path: (await client.get(path, headers=bearer(BOB))).status_code for path in locked}

    assert len(locked) > 10
    assert {path for path in locked if strange[path] != 401} == set()
    assert {path for path in locked if known[path] != 200} == set()


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


async def test_metrics_need_the_admins_key_where_it_is_the_only_one(serve):
    async with serve(admin_key=BOB, open_metrics=False) as client:
        replies = [await client.get("/metrics"), await client.get("/metrics", headers=bearer(BOB))]
        routes = await client.post("/v1/embeddings", json=GOOD)

    assert [reply.status_code for reply in replies] == [401, 200]
    assert routes.status_code == 200


async def test_who_comes_without_a_key_cannot_fill_the_log(serve, caplog):
    with caplog.at_level("INFO", "embedstack.server"):
        async with serve(api_keys=KEYS, admin_key="admin-secret-0123456789") as client:
            for path in ("/v1/embeddings", "/admin/models/load"):
                for _ in range(5):
                    await client.post(path, json=GOOD)
            counted = (await client.get("/metrics")).text

    assert caplog.text.count("event=unauthorized") == 1
    assert "event=request" not in caplog.text
    for dialect, path in (("openai", "/v1/embeddings"), ("admin", "/admin/models/load")):
        assert f'embedstack_requests_total{{dialect="{dialect}",route="{path}",status="401"}} 5.0' in counted


async def test_who_may_not_do_what_an_admin_may_is_in_the_log(serve, caplog):
    with caplog.at_level("INFO", "embedstack.server"):
        async with serve(api_keys=KEYS, admin_key="admin-secret-0123456789") as client:
            await client.get("/admin/models", headers=bearer(BOB))

    assert 'event=unauthorized peer=127.0.0.1 path="/admin/models"' in caplog.text
    assert "route=/admin/models dialect=admin status=403" in caplog.text


def test_keys_that_cannot_be_read_end_the_start():
    with pytest.raises(ConfigError, match="write name:key"):
        create_app(HashEncoder, Settings(api_keys=ALICE))
