"""Connections of a client: how many, how long they are waited for, and which are not tried again."""

import asyncio
import re
import threading
import time

import pytest
from asking import ask, no_pause, wish
from platform_stub import Time, skip

from embedstack.client import Client, connections
from embedstack.client.connections import CONNECTIONS, Connections, within
from embedstack.client.endpoint import Endpoint
from embedstack.client.patience import MOST_PATIENCE_S
from embedstack.errors import ConfigError, DeadlineExceeded, NotReady, Upstream
from embedstack.testing.fake import HashEncoder


@pytest.mark.slow
def test_a_wait_for_a_free_connection_is_not_the_servers_silence(serve, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS", 2)

    class Slow(HashEncoder):
        async def encode(self, request):
            await asyncio.sleep(1)
            return await super().encode(request)

    async def run(url: str) -> list[object]:
        async with Client(url, timeout_s=5, retries=0) as client:
            calls = (client.encode(wish("a")) for _ in range(12))  # the last ones wait for as long as the timeout
            return await asyncio.gather(*calls, return_exceptions=True)

    with serve(Slow) as url:
        answers = asyncio.run(run(url))

    assert [answer for answer in answers if isinstance(answer, BaseException)] == []


@pytest.mark.slow
def test_a_deadline_ends_the_wait_for_a_free_connection(serve):
    class Endless(HashEncoder):
        async def encode(self, request):
            await asyncio.Event().wait()

    async def run(url: str) -> None:
        async with Client(url) as client:
            others = [asyncio.ensure_future(client.encode(wish("a"))) for _ in range(100)]
            last = asyncio.ensure_future(client.encode(wish("a", deadline=time.monotonic() + 0.5)))
            try:
                with pytest.raises(DeadlineExceeded, match="all 100 connections were busy"):
                    await last
            finally:
                for other in others:
                    other.cancel()
                await asyncio.gather(*others, return_exceptions=True)

    with serve(Endless) as url:
        asyncio.run(run(url))


@pytest.mark.parametrize("steps", [0, 1])
def test_a_cancellation_that_meets_the_reply_is_one(steps):
    async def run() -> None:
        reply = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(within(reply, 60))
        await asyncio.sleep(0)
        reply.set_result("rain")
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_a_cancellation_that_meets_a_free_connection_leaves_it_free():
    async def run() -> None:
        connections = Connections(Endpoint("http://127.0.0.1:9"), time.monotonic)
        for _ in range(CONNECTIONS):
            await connections.take(None)
        waiting = asyncio.ensure_future(connections.take(None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        connections.give()
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        await connections.take(time.monotonic() + 20)
        await connections.close()

    asyncio.run(run())


def test_what_nobody_waits_for_any_longer_is_cancelled():
    async def run() -> bool:
        reply = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(within(reply, 60))
        await asyncio.sleep(0)
        await skip(60)
        with pytest.raises(asyncio.TimeoutError):
            await waiting
        return reply.cancelled()

    assert asyncio.run(run())


def test_closing_ends_what_runs_and_says_so_to_who_waits(serve):
    came = threading.Event()

    class Endless(HashEncoder):
        async def encode(self, request):
            came.set()
            await asyncio.Event().wait()

    async def run(url: str) -> None:
        client = Client(url)
        call = asyncio.ensure_future(client.encode(wish("a")))
        await asyncio.to_thread(came.wait)
        await client.aclose()
        await call

    with serve(Endless) as url, pytest.raises(NotReady, match="this client is closed"):
        asyncio.run(run(url))


@pytest.mark.parametrize("estimate", [20.5, 61])
def test_a_model_that_is_loading_is_asked_again_when_it_says_that_it_is_there(tell, estimate):
    loading = (503, {"error": "Model m is currently loading", "estimated_time": estimate})
    time = Time()

    async def run() -> None:
        url = tell(loading, [[1.0, 0.0]]).url
        async with Client(url, dialect="huggingface", pause=time.pause, clock=time) as client:
            await client.encode(wish("a", role="none"))

    if estimate > MOST_PATIENCE_S:
        with pytest.raises(NotReady):
            asyncio.run(run())
    else:
        asyncio.run(run())

    assert time.pauses == [estimate][: estimate <= MOST_PATIENCE_S]


@pytest.mark.parametrize(
    "reply",
    [{"error": "broken\nTraceback (most recent call last):\n a text"}, b"Traceback (most recent call last):\n a text"],
)
def test_a_traceback_of_a_server_is_not_repeated(tell, reply):
    with pytest.raises(Upstream, match="500 Internal Server Error") as caught:
        ask(tell((500, reply)).url, wish("a"))

    assert "a text" not in caught.value.message


def test_what_speaks_no_tls_is_not_asked_again_for_it():
    met = []

    async def run() -> None:
        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            met.append(await reader.read(1))
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(meet, "127.0.0.1", 0)
        async with server, Client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", pause=no_pause) as client:
            await client.encode(wish("a"))

    with pytest.raises(Upstream, match=r"no TLS connection .* http url .* SSL_CERT_FILE") as caught:
        asyncio.run(run())

    assert not caught.value.retry
    assert len(met) == 1


def test_a_closed_client_says_so():
    async def run() -> None:
        client = Client("http://127.0.0.1:9")
        await client.aclose()
        await client.encode(wish())

    with pytest.raises(NotReady, match="this client is closed; make another"):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("option", "limit"),
    [
        ({"retries": -1}, "below 0"),
        ({"max_items": 0}, "below 1"),
        ({"timeout_s": 0}, "not above 0"),
        ({"timeout_s": -1.5}, "not above 0"),
        ({"timeout_s": float("nan")}, "not above 0"),
    ],
    ids=str,
)
def test_a_number_out_of_its_range_is_refused_with_its_limit(option, limit):
    ((name, value),) = option.items()
    with pytest.raises(ConfigError, match=re.escape(f"{name}={value!r} is {limit}")):
        Client("http://host", **option)
