"""/livez is what orchestrators restart by: 503 for a dead engine, and for nothing that a restart does not mend."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.errors import ConfigError, Overloaded
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.modelspec import Output
from embedstack.runtimes.numpy import NumpyRuntime
from embedstack.server import create_app
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Batch, Encode, Encoded, Vectors
from support import tiny

pytestmark = pytest.mark.anyio
KEY = "a-secret-of-some-length"


class Deadly(NumpyRuntime):
    """Once it is open, a batch ends the thread that it runs in."""

    is_open = False

    def run(self, batch: Batch, outputs: frozenset[Output]) -> Vectors:
        if self.is_open:
            raise SystemExit
        return super().run(batch, outputs)


class Full(HashEncoder):
    """Takes nothing more."""

    async def encode(self, request: Encode) -> Encoded:
        raise Overloaded("too many wait", retry_after_s=7)


@pytest.fixture
def open_dying(tmp_path: Path) -> Callable[[], Engine]:
    folder = tiny.write(tiny.CASES["bert-mean"], tmp_path / "dying")
    spec = replace(find(str(folder), cache_dir=tmp_path / "cache").spec, name="dying")

    def open_engine() -> Engine:
        runtime = Deadly(spec, open_weights(folder))
        runtime.is_open = True
        return Engine([Loaded(spec, TextInput(folder, spec), runtime)])

    return open_engine


async def test_an_engine_whose_thread_has_ended_is_dead(serve, open_dying, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda given: None)
    async with serve(open_dying, api_keys=f"a:{KEY}") as client:
        before = await client.get("/livez")
        asked = await client.post("/v1/embeddings", json={"input": "a"}, headers={"x-api-key": KEY})
        after = await client.get("/livez")

    assert (before.status_code, asked.status_code, after.status_code) == (200, 500, 503)
    assert after.json() == {"status": "dead", "reason": "the engine is dead; restart the server"}


async def test_a_server_that_loads_is_alive(serve):
    release = threading.Event()
    async with serve(lambda: release.wait() and HashEncoder(), wait=False) as client:
        reply = await client.get("/livez")
        release.set()

    assert (reply.status_code, reply.json()) == (200, {"status": "alive"})


async def test_a_server_that_is_overloaded_is_alive(serve):
    async with serve(Full) as client:
        refused = await client.post("/v1/embeddings", json={"input": "a"})
        reply = await client.get("/livez")

    assert (refused.status_code, reply.status_code) == (429, 200)


async def test_a_model_that_cannot_be_opened_is_no_death(serve):
    def torn() -> HashEncoder:
        raise ConfigError("the weights are torn")

    async with serve(torn) as client:
        assert (await client.get("/livez")).status_code == 200


async def test_a_server_that_drains_is_let_end_by_itself():
    encoder, settled = HashEncoder(), threading.Event()
    app = create_app(lambda: encoder, Settings(), on_settled=lambda error: settled.set())
    async with app.router.lifespan_context(app):
        await asyncio.to_thread(settled.wait, 20)
        app.state.drain()
        draining = await status_of(app)
        encoder.alive = False
        dead = await status_of(app)

    assert (draining, dead) == (200, 200)


async def status_of(app) -> int:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        return (await client.get("/livez")).status_code
