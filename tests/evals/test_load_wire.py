"""What the load generator says became of a request, against servers that answer, fall silent or hang up."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from load_wire import Wire, is_reset

ASK = b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
REPLY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nRetry-After: 3\r\n\r\n{}"
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        writer.write(REPLY)


async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.write(REPLY)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)


async def answer_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.write(REPLY[:-1])


async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def speak_another_language(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.write(b"220 ready\r\n\r\n")
    await reader.read()


def with_server(handle: Handle, act: Callable[[Wire], Awaitable[None]]) -> None:
    served: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with suppress(ConnectionError):
            await handle(reader, writer)
        with suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1")
        wire = Wire("127.0.0.1", server.sockets[0].getsockname()[1])
        await act(wire)
        wire.close()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*(task for task in served if task))

    asyncio.run(run())


def test_a_reply_comes_with_status_headers_and_body_over_one_kept_connection() -> None:
    async def act(wire: Wire) -> None:
        replies = [await wire.ask(ASK, 5.0) for _ in range(3)]

        assert [(one.fate, one.status, one.body, one.header("retry-after")) for one in replies] == [
            ("answered", 429, b"{}", "3")
        ] * 3
        assert wire.made == 1

    with_server(answer, act)


@pytest.mark.parametrize(
    ("handle", "fate"),
    [(hang_up, "lost"), (answer_half, "cut"), (fall_silent, "hung"), (speak_another_language, "broken")],
)
def test_a_request_without_a_reply_is_told_by_how_it_came(handle: Handle, fate: str) -> None:
    async def act(wire: Wire) -> None:
        assert (await wire.ask(ASK, 0.1)).fate == fate

    with_server(handle, act)


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again() -> None:
    async def act(wire: Wire) -> None:
        replies = [await wire.ask(ASK, 5.0) for _ in range(3)]

        assert {one.fate for one in replies} == {"answered"}
        assert wire.made == 3

    with_server(answer_once, act)


def test_nobody_listening_is_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert asyncio.run(Wire("127.0.0.1", port).ask(ASK, 5.0)).fate == "refused"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
@pytest.mark.parametrize("was_closed", [True, False])
def test_a_server_that_had_closed_before_the_head_came_is_told_from_one_that_hung_up(was_closed: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
        if was_closed:
            there.close()
        client.sendall(ASK)
        if not was_closed:
            there.recv(1000)
            there.close()

        assert client.recv(1000) == b""
        assert is_reset(client) is was_closed
        client.close()
