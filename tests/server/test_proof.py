"""What a server says of its own proof."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from embedstack.errors import EmbedstackError, Mismatch
from embedstack.server import create_app
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encoder

pytestmark = pytest.mark.anyio
PATIENCE_S = 20


async def ready(
    check: object, opens: Callable[[], Encoder] = HashEncoder
) -> tuple[httpx.Response, list[EmbedstackError | None]]:
    """The page after the check, and what the server was told."""
    settled, told = threading.Event(), []

    def on_settled(error: EmbedstackError | None) -> None:
        told.append(error)
        settled.set()

    app = create_app(opens, replace(Settings()), on_settled=on_settled, **({"check": check} if check else {}))
    async with app.router.lifespan_context(app):
        assert await asyncio.to_thread(settled.wait, PATIENCE_S)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            return await client.get("/ready"), told


async def test_a_server_without_a_check_says_unproven() -> None:
    reply, _ = await ready(None)

    assert reply.json() == {"status": "ready", "proof": "unproven"}


async def test_a_server_says_what_its_check_found() -> None:
    reply, _ = await ready(lambda encoder: "proven")

    assert reply.json() == {"status": "ready", "proof": "proven"}


async def test_a_check_that_fails_is_the_reason_why_it_is_not_ready() -> None:
    def check(encoder: Encoder) -> str:
        raise Mismatch("it gives another vector than its truth")

    reply, told = await ready(check)

    assert reply.status_code == 503
    assert reply.json() == {"status": "failed", "reason": "it gives another vector than its truth"}
    assert isinstance(told[0], Mismatch)


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_encoder_whose_check_fails_is_closed(is_async: bool) -> None:
    closed = []

    class Closing(HashEncoder):
        def close(self) -> None:
            closed.append(self)

    class ClosingLater(HashEncoder):
        async def close(self) -> None:
            closed.append(self)

    def check(encoder: Encoder) -> str:
        raise Mismatch("no")

    await ready(check, ClosingLater if is_async else Closing)

    assert len(closed) == 1
