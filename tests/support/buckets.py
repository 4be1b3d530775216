"""An S3 server of others, and a door in front of it that counts what passes, refuses it, or ends a process at it."""

import contextlib
import http.client
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

PATIENCE_S = 60
BUCKET = "jobs"
KEYS = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_DEFAULT_REGION": "us-east-1"}
MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
WRITES = ("PUT", "POST", "DELETE")
HOP = ("connection", "transfer-encoding", "keep-alive", "content-length", "date", "server")
REFUSAL = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>by order of the test</Message></Error>"
CODES = {403: "AccessDenied", 404: "NoSuchBucket", 500: "InternalError", 503: "SlowDown"}

Act = Literal["pass", "before", "after"] | int
"""What becomes of a call: it passes, the runner ends before or after it reaches the server, or it gets this status."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    key: str  # below the bucket
    query: dict[str, list[str]]
    write: int  # how many writes there were with this one; 0 of what only reads

    @property
    def kind(self) -> str:
        """The name of the operation, as the bill has it."""
        if self.method == "GET" and ("list-type" in self.query or not self.key):
            return "LIST"
        return self.method


Rule = Callable[[Call], Act]


def passes(call: Call) -> Act:
    """The rule of a door that is open."""
    return "pass"


class Door:
    """What stands between a runner and the server.

    Args:
        target: host and port of the server.
        end: ends the runner; called for "before" and "after".
    """

    def __init__(self, target: str, rule: Rule = passes, end: Callable[[], None] = lambda: None) -> None:
        self.target, self.rule, self.end = target, rule, end
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._writes = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.door = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def note(self, method: str, path: str) -> Call:
        """The call, counted."""
        url = urlsplit(path)
        key = unquote(url.path).strip("/").partition("/")[2]
        with self._lock:
            self._writes += method in WRITES
            call = Call(method, key, parse_qs(url.query, True), self._writes if method in WRITES else 0)
            self.calls.append(call)
        return call

    @property
    def kinds(self) -> dict[str, int]:
        """How many of each there were."""
        return dict(Counter(call.kind for call in self.calls))

    @property
    def writes(self) -> list[Call]:
        """Those that change something."""
        return [call for call in self.calls if call.write]

    def close(self) -> None:
        """No call comes through afterwards."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    door: Door

    def handle_error(self, request: object, client_address: object) -> None:
        """Runners that end leave their calls."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *given: object) -> None:
        pass

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        door = self.server.door
        call = door.note(self.command, self.path)
        act = door.rule(call)
        if isinstance(act, int):
            self._answer(act, {"Content-Type": "application/xml"}, REFUSAL.format(code=CODES[act]).encode())
            return
        if act == "before":
            self._end()
            return
        status, headers, data = self._forwarded(body)
        if act == "after":
            self._end()
            return
        self._answer(status, headers, data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815

    def _end(self) -> None:
        self.server.door.end()
        self.close_connection = True

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.server.door.target, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body or None, dict(self.headers))
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        length = next((headers[name] for name in headers if name.lower() == "content-length"), "0")
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@dataclass(frozen=True, slots=True)
class Bucket:
    """An empty bucket of a server that keeps everything in its memory."""

    target: str
    name: str = "s3"

    def url(self, prefix: str) -> str:
        """A place below it, as `open_storage` takes it."""
        return f"s3://{BUCKET}/{prefix}"

    def variables(self, door: Door | None = None) -> dict[str, str]:
        """The environment of whoever comes to it, through a door or straight."""
        url = door.url if door else f"http://{self.target}"
        return {**KEYS, "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "NO_PROXY": "127.0.0.1"}

    def make(self) -> None:
        """The bucket itself."""
        connection = http.client.HTTPConnection(self.target, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("PUT", f"/{BUCKET}")
            assert connection.getresponse().status == 200


@contextlib.contextmanager
def moto() -> Iterator[Bucket]:
    """The server, in a process of its own, within this."""
    command = [sys.executable, "-c", MOTO]
    given = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=given
    )
    try:
        host, port = process.stdout.readline().split()
        bucket = Bucket(f"{host}:{port}")
        bucket.make()
        yield bucket
    finally:
        process.kill()
        process.communicate()
