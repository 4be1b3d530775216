"""Bytes of a connection -> requests, as uvicorn reads them, but a head may be only so long."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 256 * 1024  # request line and headers; a browser with all its cookies sends a tenth
SENTENCE = b"the request line and the headers are over the limit of 256 KB; send less"


class ShortHeads(HttpToolsProtocol):
    """Refuses a head that does not end, and trailers that do not, before they fill the memory.

    The parser keeps all of a header until it has ended, and neither it nor uvicorn counts.
    https://github.com/encode/uvicorn/blob/0.30.0/uvicorn/protocols/http/httptools_impl.py
    """

    _unended_bytes = 0  # since the last piece of a body, or the last end of a request

    def data_received(self, data: bytes) -> None:
        """More of a request, or the next."""
        self._unended_bytes += len(data)
        super().data_received(data)
        if self._unended_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_body(self, body: bytes) -> None:
        """The body has its own limit."""
        self._unended_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next request begins anew."""
        self._unended_bytes = 0
        super().on_message_complete()

    def _refuse(self) -> None:
        """In no dialect: there is no path yet."""
        head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\nconnection: close\r\n"
        self.transport.write(head + b"content-length: %d\r\n\r\n%s" % (len(SENTENCE), SENTENCE))
        self.transport.close()
