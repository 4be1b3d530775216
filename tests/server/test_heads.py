"""How long the request line and the headers of a request may be; the bodies have limits of their own."""

import contextlib
import socket
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from embedstack.server.heads import MAX_HEAD_BYTES

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
