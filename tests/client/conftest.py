"""Two servers on the loopback: ours around the fake encoder, and one that sends what it is told to."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from replicas import foreign

from support.serving import serving, several


@pytest.fixture
def serve():
    """A context manager: the URL of our server around the given encoder, with the settings given by keyword."""
    return serving


@pytest.fixture
def dead() -> str:
    """A URL where nobody listens."""
    return "http://127.0.0.1:9"


@pytest.fixture
def up(serve):
    """A function: encoders of our own -> the URLs of their servers."""
    with several() as started:
        yield lambda *encoders: [started(serve(lambda one=one: one)) for one in encoders]


@pytest.fixture
def strangers():
    """The same for servers that say nothing of who they are."""
    with several() as started:
        yield lambda *encoders: [started(foreign(one)) for one in encoders]


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    """The URL of our server for the module."""
    with serving() as url:
        yield url


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, object]


@dataclass
class Told:
    """A server that sends the replies in turn, the last one for ever; None hangs up instead."""

    replies: list[tuple[int, dict[str, str], bytes] | None]
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def next(self) -> tuple[int, dict[str, str], bytes] | None:
        """What is sent now."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def handler_of(told: Told) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            told.seen.append(Seen(self.command, self.path, headers, json.loads(raw or b"{}")))
            reply = told.next()
            if reply is None:
                self.close_connection = True
                return
            self.send_response(reply[0])
            for name, value in {**reply[1], "content-length": str(len(reply[2]))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply[2])

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def tell() -> Iterator[Callable[..., Told]]:
    """A function: replies, each a JSON value, (status, JSON value), (status, headers, bytes) or None -> a server."""
    running: list[ThreadingHTTPServer] = []

    def start(*replies: object) -> Told:
        told = Told([as_reply(reply) for reply in replies])
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(told))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(server)
        told.url = f"http://127.0.0.1:{server.server_port}"
        return told

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def as_reply(reply: object) -> tuple[int, dict[str, str], bytes] | None:
    if reply is None or (isinstance(reply, tuple) and len(reply) == 3):
        return reply
    status, value = reply if isinstance(reply, tuple) else (200, reply)
    return (
        status,
        {"content-type": "application/json"},
        value if isinstance(value, bytes) else json.dumps(value).encode(),
    )
