"""What one connection may cost: the length of a head, a body after its reply, a reply that nobody reads."""

import contextlib
import socket
import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
import uvicorn

from embedstack.server.connection import MAX_HEAD_BYTES, Connection

pytestmark = pytest.mark.slow
START = b"POST /embed HTTP/1.1\r\nhost: a\r\n"
PIECE = b"a" * 65536


@pytest.fixture
def connection(live):
    """A connection to the server."""
    parts = urlsplit(live.url)
    with socket.create_connection((parts.hostname, parts.port), 10) as opened:
        yield opened


def send_without_end(connection: socket.socket, start: bytes) -> bytes:
    """What comes back when there is no end, or b"" where the connection was reset before it was read."""
    try:
        connection.sendall(start)
        for _ in range(256 * MAX_HEAD_BYTES // len(PIECE)):  # more than sockets buffer
            connection.sendall(PIECE)
    except OSError:
        pass
    else:
        raise AssertionError("it took all of it")
    try:
        return connection.recv(65536)
    except OSError:
        return b""


@pytest.mark.parametrize(
    "start",
    [
        b"POST /",
        START + b"x-long: ",
        START + b"x-",
        START + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-trailer: ",
    ],
    ids=["path", "header", "name", "trailer"],
)
def test_a_head_without_an_end_is_refused(connection, start):
    reply = send_without_end(connection, start)

    assert reply[:12] in (b"", b"HTTP/1.1 431")


def test_a_long_head_is_read(connection):
    body = b'{"inputs": "a"}'
    connection.sendall(START + b"x-long: " + PIECE + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_body_in_many_small_pieces_is_no_long_head(connection):
    body = b'{"inputs": "a"}' + b" " * MAX_HEAD_BYTES
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    connection.sendall(START + b"transfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")

    assert connection.recv(12) == b"HTTP/1.1 200"


def test_many_requests_on_one_connection_are_no_long_head(live):
    parts = urlsplit(live.url)
    with contextlib.closing(HTTPConnection(parts.hostname, parts.port, timeout=10)) as connection:
        for _ in range(10):
            connection.request("GET", "/livez", headers={"x-long": "a" * (MAX_HEAD_BYTES // 5)})
            reply = connection.getresponse()

            assert (reply.status, reply.read()) == (200, b'{"status":"alive"}')


# ------------------------------------------------------------------------------------------------ replies


@pytest.fixture
def served(monkeypatch):
    """A function that serves an app by our connections, with other limits, in a thread; it gives the address."""
    servers = []

    def serve(app, **limits):
        for name, value in limits.items():
            monkeypatch.setattr(f"embedstack.server.connection.{name}", value)
        config = uvicorn.Config(app, http=Connection, lifespan="off", log_config=None, access_log=False)
        server, listener = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        servers.append((server, thread))
        return listener.getsockname()

    yield serve
    for server, thread in servers:
        server.should_exit = True
        thread.join()


async def early(scope, receive, send):
    """Answers without reading."""
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def much(scope, receive, send):
    """Sends more than sockets buffer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(2000):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})


def ended(opened: socket.socket) -> bool:
    """Whether the other side closes, after what it still has to say."""
    with contextlib.suppress(OSError):
        while opened.recv(65536):
            pass
    return True


def test_a_body_that_goes_on_after_its_reply_ends_the_connection(served):
    address = served(early, LEFT_S=0.1)
    with socket.create_connection(address, 10) as opened:
        opened.sendall(START + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n")

        assert opened.recv(65536).startswith(b"HTTP/1.1 401")
        assert ended(opened)


def test_a_body_that_ends_after_its_reply_leaves_the_connection_open(served):
    address = served(early, LEFT_S=0.1)
    with socket.create_connection(address, 10) as opened:
        for _ in range(2):
            opened.sendall(START + b"content-length: 4\r\n\r\nab")
            assert opened.recv(65536).startswith(b"HTTP/1.1 401")
            opened.sendall(b"cd")


def test_who_does_not_read_the_reply_is_given_up(served):
    address = served(much, UNREAD_S=0.1)
    with socket.create_connection(address, 10) as opened:
        opened.sendall(START + b"content-length: 0\r\n\r\n")
        time.sleep(1.0)  # what is tested is that nobody reads

        assert ended(opened)
