"""Bad requests through the app: each is answered with the reason, and the server stays well."""

import json
import time

import pytest

from embedstack.dialects import open_dialects
from embedstack.server.table import no_route, places

pytestmark = pytest.mark.anyio
GOOD = {"input": "a cat", "model": "hash"}
PATIENCE_S = 5.0  # such a request takes milliseconds, also on a machine with much else to do
PATIENCE_TIMES = 20

BAD = {
    "an empty list": (b'{"input":[]}', 400, "empty list"),
    "an empty string": (b'{"input":""}', 400, "is empty"),
    "an empty string among others": (b'{"input":["a",""]}', 400, "text 1 is empty"),
    "no string": (b'{"input":[{"texts":"a"}]}', 400, "got `object`"),
    "a number": (b'{"input":1.5}', 400, "got `float`"),
    "nothing": (b"", 400, "not JSON"),
    "no JSON": (b"input=a", 400, "not JSON"),
    "half a JSON": (b'{"input":"a', 400, "not JSON"),
    "no object": (b"[]", 400, "got `array`"),
    "no input": (b"{}", 400, "input"),
    "no UTF-8": (b'{"input":"\xff"}', 400, "not UTF-8"),
    "a lone surrogate": (b'{"input":"\\ud800"}', 400, "lone surrogate"),
    "10 MB of text": (b'{"input":"' + b"a" * 10_000_000 + b'"}', 400, "10000000 characters, the limit is 1000000"),
    "100,000 inputs": (b'{"input":[' + b'"a",' * 99_999 + b'"a"]}', 400, "holds 100000 items, the limit is 2048"),
    "a body over the limit": (b" " * (33 * 1024 * 1024), 413, "32 MB"),
    "deep nesting": (b'{"input":' + b"[" * 1_000_000, 400, "got `array`"),
    "an unknown model": (b'{"input":"a","model":"hashh"}', 404, "nearest is 'hash'"),
    "a model of another task": (b'{"input":"a","model":"overlap"}', 400, "'rerank'"),
    "width 0": (b'{"input":"a","dimensions":0}', 400, "dimensions"),
    "a width too large": (b'{"input":"a","dimensions":4096}', 400, "one of: 8, 16, 32"),
    "token ids": (b'{"input":[1,2,3]}', 400, "another vocabulary"),
    "an encoding unheard of": (b'{"input":"a","encoding_format":"int3"}', 400, "encoding_format"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_answered_and_the_next_request_is_served(serve, name):
    raw, status, said = BAD[name]
    async with serve(token_ids="refuse") as client:
        bad = await client.post("/v1/embeddings", content=raw)
        good = await client.post("/v1/embeddings", json=GOOD)

    assert bad.status_code == status
    assert said in bad.json()["error"]["message"]
    assert good.status_code == 200


async def test_nul_is_a_character_like_others(serve):
    async with serve() as client:
        replies = [await client.post("/embed", content=b'{"inputs":"a\\u0000b%s"}' % end) for end in (b"", b"c")]

    assert [reply.status_code for reply in replies] == [200, 200]
    assert replies[0].json() != replies[1].json()


@pytest.mark.parametrize(("path", "status"), [("/v1/embeddings", 400), ("/embed", 422), ("/embed/text", 400)])
async def test_a_body_that_is_no_json_has_the_status_of_the_dialect(serve, path, status):
    async with serve() as client:
        reply = await client.post(path, content=b"{")

    assert reply.status_code == status


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embed", "/rerank", "/embed/text"])
async def test_a_body_over_the_limit_is_a_413_in_every_dialect(serve, path):
    async with serve(max_body_mb=1) as client:
        reply = await client.post(path, content=b" " * (1024 * 1024 + 1))

    assert reply.status_code == 413
    assert "1 MB" in reply.text


async def test_token_ids_are_taken_where_the_setting_says_they_are_the_models_own(serve):
    async with serve(token_ids="model") as client:
        reply = await client.post("/v1/embeddings", json={"input": [[1, 2], [3]]})

    assert reply.json()["usage"]["prompt_tokens"] == 3


async def test_a_path_that_is_not_served_names_the_nearest(serve):
    async with serve() as client:
        reply = await client.post("/v1/embedding", json=GOOD)

    assert reply.status_code == 404
    assert "POST /v1/embeddings" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "key"), [("/tei/embeds", "error_type"), ("/model-worker/text", "message"), ("/openai/v2", "error")]
)
async def test_under_a_prefix_the_dialect_itself_says_so(serve, path, key):
    async with serve() as client:
        reply = await client.post(path)

    assert reply.status_code == 404
    assert key in reply.json()


async def test_a_wrong_method_names_the_right_one(serve):
    async with serve() as client:
        reply = await client.get("/embed")

    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert reply.json()["error_type"] == "Validation"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/embeddings/"), ("GET", "/v1/models/"), ("GET", "/openai/v1/models/hash/"), ("GET", "/ready//")],
)
async def test_a_slash_at_the_end_changes_nothing_and_sends_nobody_elsewhere(serve, method, path):
    async with serve() as client:
        plain, slashed = [
            await client.request(method, url, json=GOOD, follow_redirects=False) for url in (path.rstrip("/"), path)
        ]

    assert (slashed.status_code, slashed.json()) == (200, plain.json())


LONG = "m" * 1_000_000
LONG_BODIES = {
    "openai model": ("/v1/embeddings", {"input": "a", "model": LONG}, 400, "`$.model`"),
    "openai input_type": ("/v1/embeddings", {"input": "a", "input_type": LONG}, 400, "`$.input_type`"),
    "openai user": ("/v1/embeddings", {"input": "a", "user": LONG}, 400, "`$.user`"),
    "openai encoding": ("/v1/embeddings", {"input": "a", "encoding_format": LONG}, 400, "`$.encoding_format`"),
    "openai unknown field": ("/v1/embeddings", {"input": "a", LONG: 1}, 400, "unknown field"),
    "openai width": ("/v1/embeddings", b'{"input":"a","dimensions":' + b"1" * 1_000_000 + b"}", 400, "dimensions"),
    "openai no JSON": ("/v1/embeddings", LONG.encode(), 400, "not JSON"),
    "tei embed model": ("/embed", {"inputs": "a", "model": LONG}, 422, "`$.model`"),
    "tei prompt_name": ("/embed", {"inputs": "a", "prompt_name": LONG}, 422, "`$.prompt_name`"),
    "tei side": ("/embed", {"inputs": "a", "truncation_direction": LONG}, 422, "`$.truncation_direction`"),
    "tei rerank model": ("/rerank", {"query": "a", "texts": ["a"], "model": LONG}, 422, "`$.model`"),
    "model worker model": ("/embed/text", {"texts": ["a"], "model": LONG}, 400, "`$.model`"),
}


@pytest.mark.parametrize("name", LONG_BODIES)
async def test_a_long_value_is_refused_by_its_field_at_once_and_not_echoed(serve, name):
    path, body, status, said = LONG_BODIES[name]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with serve() as client:
        short_s, _ = await timed(client.post(path, content=b"{}"))
        took_s, reply = await timed(client.post(path, content=raw))

    assert reply.status_code == status
    assert said in reply.text
    assert len(reply.content) < 1000
    assert took_s < max(PATIENCE_S, PATIENCE_TIMES * short_s)


async def timed(asking):
    began = time.perf_counter()
    reply = await asking
    return time.perf_counter() - began, reply


@pytest.mark.parametrize("name", ["x-embedstack-timeout-s", "x-embedstack-priority", "x-embedstack-caller"])
async def test_a_long_header_is_refused_by_name_and_not_echoed(serve, name):
    async with serve() as client:
        reply = await client.post("/v1/embeddings", json=GOOD, headers={name: "1" * 1_000_000})

    assert reply.status_code == 400
    assert name in reply.text
    assert len(reply.content) < 1000


def test_a_long_path_is_compared_at_once_and_not_echoed():
    table = places(open_dialects())
    began = time.perf_counter()
    no_route("GET", "/" + LONG[:300], table)
    short_s = time.perf_counter() - began
    message = no_route("GET", "/" + LONG, table).message
    took_s = time.perf_counter() - began - short_s

    assert len(message) < 1000
    assert took_s < max(PATIENCE_S, PATIENCE_TIMES * short_s)
