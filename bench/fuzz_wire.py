"""Requests as bytes -> replies, over one connection that is opened again when the server has closed it."""

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

PATIENCE_S = 30.0  # for one reply; what takes over 10 s is a fault, and its true time is worth knowing


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; status 0 is a connection that was closed without a reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float


class Line:
    """A connection to one server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self._address = (parts.hostname or "", parts.port or 80)
        self._socket: socket.socket | None = None

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, request: bytes, *, is_last: bool = False, is_all: bool = False) -> Reply:
        """Send and wait.

        Args:
            is_last: use another connection for the next.
            is_all: tell the server that nothing more will come on this one.
        """
        fresh = self._socket is None
        began = time.perf_counter()
        reply = self._asked(request, is_all, began)
        if not reply.status and not fresh and reply.took_s < 1:  # the server had closed an idle connection, as it may
            reply = self._asked(request, is_all, time.perf_counter())
        if is_last or is_all:
            self.close()
        return reply

    def _asked(self, request: bytes, is_all: bool, began: float) -> Reply:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, PATIENCE_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._send(self._socket, request, is_all)
            response = HTTPResponse(self._socket)
            response.begin()
            body = response.read()
        except (HTTPException, OSError):
            self.close()
            return Reply(0, {}, b"", time.perf_counter() - began)
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.close()
        return Reply(response.status, headers, body, time.perf_counter() - began)

    @staticmethod
    def _send(connection: socket.socket, request: bytes, is_all: bool) -> None:
        try:
            connection.sendall(request)
            if is_all:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            return  # it may have answered before it had read all

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
