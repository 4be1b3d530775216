"""Bytes of a connection -> requests, as uvicorn reads them, with limits to what one connection may cost."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 256 * 1024  # request line and headers; a browser with all its cookies sends a tenth
SENTENCE = b"the request line and the headers are over the limit of 256 KB; send less"
LEFT_S = 5.0  # for the rest of a body that was answered before its end: clients that send on hear the reply
LEFT_BYTES = 64 * 1024 * 1024
UNREAD_S = 60.0  # that a client may leave a reply in the buffers


class Connection(HttpToolsProtocol):
    """Refuses a head that does not end, and ends a connection whose body goes on after the reply or who never reads.

    The parser keeps all of a header until it has ended; neither it nor uvicorn counts, or minds the time.
    https://github.com/encode/uvicorn/blob/0.30.0/uvicorn/protocols/http/httptools_impl.py
    """

    _unended_bytes = 0  # since the last piece of a body, or the last end of a request
    _left_bytes = 0  # of a body after its reply
    _is_whole = True  # whether the last request has come to its end
    _leaving: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """More of a request, or the next."""
        self._unended_bytes += len(data)
        super().data_received(data)
        if self._unended_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        """A request comes."""
        self._is_whole = False
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """The body has its own limit, until it is answered."""
        self._unended_bytes = 0
        if self._leaving is not None:
            self._left_bytes += len(body)
            if self._left_bytes > LEFT_BYTES:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next request begins anew."""
        self._unended_bytes = self._left_bytes = 0
        self._is_whole = True
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Read what is left of a body, but not for long."""
        if not self._is_whole and not self.transport.is_closing():
            self._leaving = self.loop.call_later(LEFT_S, self.transport.close)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads slowly, or not at all."""
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read."""
        if self._unread is not None:
            self._unread.cancel()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer may outlive the connection."""
        for timer in (self._leaving, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _refuse(self) -> None:
        """In no dialect: there is no path yet."""
        head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\nconnection: close\r\n"
        self.transport.write(head + b"content-length: %d\r\n\r\n%s" % (len(SENTENCE), SENTENCE))
        self.transport.close()
