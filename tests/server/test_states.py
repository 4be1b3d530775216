"""The server while its encoder loads, fails, dies, breaks; and callers who leave."""

import asyncio
import json
import logging
import threading

import pytest

from embedstack.errors import ConfigError, Overloaded, RuntimeFailed
from embedstack.server import create_app
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded

pytestmark = pytest.mark.anyio
GOOD = {"input": "a cat", "model": "hash"}


class Held(HashEncoder):
    """Begins and never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.dropped = asyncio.Event(), asyncio.Event()

    async def encode(self, request: Encode) -> Encoded:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.dropped.set()
        raise AssertionError


class Broken(HashEncoder):
    """Raises what it is given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def encode(self, request: Encode) -> Encoded:
        raise self.error


async def test_while_loading_pages_answer_and_requests_are_told_what_is_going_on(serve):
    release = threading.Event()
    async with serve(lambda: release.wait() and HashEncoder(), wait=False, models="big-model") as client:
        status = {path: (await client.get(path)).status_code for path in ("/livez", "/ready", "/health", "/metrics")}
        reply = await client.post("/v1/embeddings", json=GOOD)
        release.set()

    assert status == {"/livez": 200, "/ready": 503, "/health": 503, "/metrics": 200}
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "2"
    assert "loading big-model" in reply.json()["error"]["message"]


def failing(error: Exception):
    def open_encoder():
        raise error

    return open_encoder


async def test_an_encoder_that_cannot_open_is_told_by_health_and_to_requests(serve):
    async with serve(failing(ConfigError("the weights are torn"))) as client:
        health, reply = await client.get("/health"), await client.post("/v1/embeddings", json=GOOD)

    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert "the weights are torn" in health.json()["reason"]
    assert reply.status_code == 503
    assert "the weights are torn" in reply.text


async def test_an_opening_that_fails_unexpectedly_is_named_by_its_type(serve):
    async with serve(failing(ZeroDivisionError("by zero"))) as client:
        health = await client.get("/health")

    assert "ZeroDivisionError" in health.json()["reason"]


async def test_a_dead_engine_is_a_503_everywhere(serve):
    encoder = HashEncoder()
    async with serve(lambda: encoder) as client:
        encoder.alive = False
        codes = [(await client.get(path)).status_code for path in ("/health", "/ready", "/v1/models", "/livez")]
        reply = await client.post("/v1/embeddings", json=GOOD)

    assert codes == [503] * 4
    assert reply.status_code == 503


async def test_the_encoder_is_closed_when_the_app_stops(serve):
    encoder = HashEncoder()
    async with serve(lambda: encoder):
        assert encoder.alive

    assert not encoder.alive


async def test_a_caller_who_hangs_up_cancels_the_work():
    encoder = Held()
    app = create_app(lambda: encoder, Settings())
    body = iter([{"type": "http.request", "body": json.dumps(GOOD).encode()}])

    async def receive():
        message = next(body, None)
        if message is None:
            await encoder.began.wait()
            return {"type": "http.disconnect"}
        return message

    sent = []

    async def send(message):
        sent.append(message)

    async with app.router.lifespan_context(app):
        while (await call(app, "GET", "/ready"))[0]["status"] != 200:
            pass
        await app(scope_of("POST", "/v1/embeddings"), receive, send)

    assert encoder.dropped.is_set()
    assert sent[0]["status"] == 499


def scope_of(method, path):
    return {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "root_path": ""}


async def call(app, method, path):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    await asyncio.sleep(0)
    await app(scope_of(method, path), receive, send)
    return sent


async def test_an_unexpected_error_is_told_by_its_number_and_no_text_is_logged(serve, caplog):
    secret = "what nobody may read"
    async with serve(lambda: Broken(ValueError(secret))) as client:
        reply = await client.post("/v1/embeddings", json={"input": secret}, headers={"x-request-id": "r-1"})

    assert reply.status_code == 500
    assert reply.json()["error"]["message"] == "internal error; see the log with request id r-1"
    assert secret not in caplog.text
    assert any("event=bug id=r-1" in line and "ValueError at test_states.py" in line for line in formatted(caplog))


def formatted(caplog):
    return [record.getMessage() for record in caplog.records]


async def test_a_failure_of_the_device_reaches_the_caller(serve):
    async with serve(lambda: Broken(RuntimeFailed("the device is out of memory"))) as client:
        reply = await client.post("/v1/embeddings", json=GOOD)

    assert (reply.status_code, reply.json()["error"]["message"]) == (500, "the device is out of memory")


async def test_an_overloaded_engine_says_when_to_come_back(serve):
    async with serve(lambda: Broken(Overloaded("too many wait", retry_after_s=7))) as client:
        reply = await client.post("/v1/embeddings", json=GOOD)

    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")


async def test_an_engine_that_drops_a_request_by_itself_is_a_503(serve):
    async with serve(lambda: Broken(asyncio.CancelledError())) as client:
        reply = await client.post("/v1/embeddings", json=GOOD)

    assert reply.status_code == 503


async def test_requests_are_logged_without_their_content(serve, caplog):
    with caplog.at_level(logging.DEBUG, "embedstack.server"):
        async with serve() as client:
            await client.post("/v1/embeddings", json={"input": "the content"}, headers={"x-request-id": "abc"})
            await client.post("/v1/embeddings", json={"input": "the content", "model": "the content"})

    lines = formatted(caplog)
    assert any("event=request id=abc method=POST route=/v1/embeddings dialect=openai status=200" in li for li in lines)
    assert "the content" not in caplog.text


async def test_an_id_of_odd_characters_is_quoted(serve, caplog):
    with caplog.at_level(logging.DEBUG, "embedstack.server"):
        async with serve() as client:
            await client.post("/v1/embeddings", json=GOOD, headers={"x-request-id": '"status=500'})

    assert r'event=request id="\"status=500" method=POST' in caplog.text
