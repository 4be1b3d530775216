"""Requests for pictures that are wrong, slow or refused: what is asked of others for them, and what is held."""

import base64
import gc
import socket
import threading
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from embedstack.errors import BadRequest
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded
from support.pictures import picture, saved

pytestmark = pytest.mark.anyio
LINK = "http://a.example/cat.png"


class Seeing(HashEncoder):
    """Takes pictures, by name."""

    def __init__(self) -> None:
        super().__init__((replace(hash_spec(), inputs=("text", "image")),))


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that were looked up; no lookup ends before the test does."""
    asked: list[str] = []
    over = threading.Event()

    def stuck(host: str, *args: object, **how: object) -> list[object]:
        asked.append(host)
        over.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    yield asked
    over.set()


async def test_a_model_that_is_not_served_is_told_before_a_link_is_followed(serve, lookups):
    async with serve(Seeing, image_links=True) as client:
        reply = await client.post(
            "/infinity/embeddings", json={"input": [LINK], "modality": "image", "model": "nonesuch"}
        )

    assert "nonesuch" in reply.text
    assert 400 <= reply.status_code < 500
    assert lookups == []


async def test_the_deadline_of_a_request_holds_while_links_are_followed(serve, lookups):
    async with serve(Seeing, image_links=True) as client:
        reply = await client.post(
            "/infinity/embeddings",
            json={"input": [LINK], "modality": "image", "model": "hash"},
            headers={"x-embedstack-timeout-s": "0.5"},
        )

    assert reply.status_code == 504
    assert lookups == ["a.example"]


# ------------------------------------------------------------------------------------------------ what is held


class Refusing(Seeing):
    """Knows whether its error still lives."""

    def __init__(self) -> None:
        super().__init__()
        self.error: weakref.ref[BadRequest] | None = None

    async def encode(self, request: Encode) -> Encoded:
        raise self.noted(BadRequest("no"))

    def noted(self, error: BadRequest) -> BadRequest:
        self.error = weakref.ref(error)
        return error


async def test_nothing_of_a_request_that_failed_is_held_by_its_error(serve):
    encoder = Refusing()
    async with serve(lambda: encoder) as client:
        gc.collect()
        gc.disable()
        try:
            reply = await client.post("/v1/embeddings", json={"input": "a cat", "model": "hash"})
            held = encoder.error() if encoder.error else "nothing was asked"
        finally:
            gc.enable()

    assert reply.status_code == 400
    assert held is None


class Weighing(Seeing):
    """Says how many bytes were held while it worked."""

    held_bytes = 0

    async def encode(self, request: Encode) -> Encoded:
        self.held_bytes, _ = tracemalloc.get_traced_memory()
        raise BadRequest("weighed")


async def test_a_body_is_not_held_beside_what_was_read_of_it(serve):
    encoder, data = Weighing(), saved(picture("RGB", 70, 50), "PNG").ljust(3_000_000, b"\0")
    body = b'{"input": ["%s"], "modality": "image", "model": "hash"}' % base64.b64encode(data)

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:10]
        yield body[10:]

    async with serve(lambda: encoder) as client:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            await client.post("/infinity/embeddings", content=pieces())
        finally:
            tracemalloc.stop()

    assert encoder.held_bytes - before < 1.1 * (len(data) + len(body))
