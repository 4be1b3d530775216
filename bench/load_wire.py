"""Requests as bytes -> replies as they came, or exactly what became of them: HTTP/1.1 over many kept connections.

Written by hand because a generator must cost little beside the server that it loads, and because it must tell a
request that the server took and never answered from one that was sent to a connection which the server had closed.
"""

import asyncio
import select
import socket
import time
from dataclasses import dataclass
from typing import Literal

Fate = Literal["answered", "refused", "raced", "lost", "cut", "hung", "broken"]
"""answered: a whole reply; refused: no connection could be made; raced: the server had closed before the head came.

lost: the head reached an open connection, which was then closed without a reply; cut: the reply ended in the middle;
hung: no reply in time; broken: it is no HTTP.
"""
TCP_CLOSED = 7  # TCP_CLOSE of Linux's include/net/tcp_states.h: a reset came after the server's end of stream
MAX_HEAD_BYTES = 16384


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request. Times are on time.perf_counter's clock."""

    fate: Fate
    sent: float
    ended: float
    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    detail: str = ""

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport
        self._ended: asyncio.Future[Reply] | None = None
        self._received = bytearray()
        self._head: tuple[int, tuple[tuple[str, str], ...], int, int] | None = None
        self._sent, self._count = 0.0, 0
        self._was_closed_first = False

    # ------------------------------------------------------------------ called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.is_open = True
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            self._read()
        except (ValueError, IndexError) as error:
            self._end("broken", detail=str(error))
            self.close()

    def eof_received(self) -> bool:
        self._was_closed_first = is_reset(self._transport.get_extra_info("socket"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        fate: Fate = "cut" if self._received else "raced" if exc is None and self._was_closed_first else "lost"
        how = type(exc).__name__ if exc else "end of stream"
        self._end(fate, detail=f"{how}, {'first' if self._count == 1 else 'later'} request of its connection")

    # ------------------------------------------------------------------

    def is_usable(self) -> bool:
        """Whether the server still holds it: on an idle connection anything that can be read is the server's end."""
        return self.is_open and not self._transport.is_closing() and not can_be_read(self._transport)

    async def ask(self, raw: bytes, patience_s: float) -> Reply:
        """Send and wait."""
        loop = asyncio.get_running_loop()
        self._received.clear()
        self._head, self._ended = None, loop.create_future()
        self._sent, self._count = time.perf_counter(), self._count + 1
        self._transport.write(raw)
        timer = loop.call_later(patience_s, self._give_up)
        try:
            return await self._ended
        finally:
            timer.cancel()

    def close(self) -> None:
        self.is_open = False
        self._transport.abort()

    def _give_up(self) -> None:
        self._end("hung", detail="no reply in time")
        self.close()

    def _read(self) -> None:
        if self._head is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                if len(self._received) > MAX_HEAD_BYTES:
                    raise ValueError("the head has no end")
                return
            first, *lines = self._received[:end].decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
            length = int(dict(headers).get("content-length", "no length"))
            self._head = int(first.split(" ")[1]), headers, end + 4, end + 4 + length
        status, headers, start, stop = self._head
        if len(self._received) >= stop:
            body = bytes(self._received[start:stop])
            if ("connection", "close") in headers:
                self.is_open = False
                self._transport.close()
            self._received.clear()
            self._end("answered", status=status, body=body, headers=headers)

    def _end(
        self,
        fate: Fate,
        *,
        status: int = 0,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        detail: str = "",
    ) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(Reply(fate, self._sent, time.perf_counter(), status, body, headers, detail))


class Wire:
    """Connections to one server, kept as long as it keeps them."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[Connection] = []
        self.made = 0
        self.found_closed = 0  # idle ones, before anything was sent

    async def ask(self, raw: bytes, patience_s: float) -> Reply:
        """Send over an idle connection that the server still holds, else over a new one."""
        began = time.perf_counter()
        connection = self._idle_one()
        if connection is None:
            try:
                connection = await self._new()
            except OSError as error:
                return Reply("refused", began, time.perf_counter(), detail=type(error).__name__)
        reply = await connection.ask(raw, patience_s)
        if connection.is_open:
            self._idle.append(connection)
        return reply

    def close(self) -> None:
        """All idle ones."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _idle_one(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            self.found_closed += 1
            connection.close()
        return None

    async def _new(self) -> Connection:
        self.made += 1
        loop, own = asyncio.get_running_loop(), socket.socket()
        own.setblocking(False)
        try:
            await loop.sock_connect(own, (self._host, self._port))
            _, connection = await loop.create_connection(Connection, sock=own)
        except OSError:
            own.close()  # asyncio before Python 3.12 would leave it open
            raise
        return connection


def can_be_read(transport: asyncio.BaseTransport) -> bool:
    """Whether something has come that nobody has read."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def is_reset(connection: socket.socket) -> bool:
    """Whether the other side's end of stream was followed by a reset: it had closed before our bytes came.

    Where Linux does not tell, no: a request is then counted as lost, never the other way round.
    """
    if not hasattr(socket, "TCP_INFO"):
        return False
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSED
