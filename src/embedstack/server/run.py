"""Settings and a function that opens an encoder become a running server, until a signal or a failure ends it."""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from embedstack.errors import ConfigError, EmbedstackError
from embedstack.server.app import create_app
from embedstack.server.connection import Connection
from embedstack.server.logs import log, quoted, set_up_logs
from embedstack.server.opening import Check, OpenEncoder, unproven
from embedstack.server.strangers import warn_of_strangers
from embedstack.server.tls import Tls, tls_of
from embedstack.settings import Settings

KEEP_ALIVE_S = 75  # longer than load balancers keep an idle connection (60 s), so that they close it and not we
BACKLOG = 2048
YOUNG_OBJECTS = 10_000  # before Python looks for cycles; 64 requests in flight hold some 2,500, which are none
LOOK_S = 0.05  # as often as it is seen whether there is still somebody to wait for
READ_S = 0.2  # in which those let in last are read
LINGER_S = 1.0  # clients that send a request a second or faster hear that they must close


def run(settings: Settings, open_encoder: OpenEncoder, check: Check = unproven, *, is_guarded: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, then let running requests end; 0 if all went well.

    Args:
        check: see Opening.
        is_guarded: see warn_of_strangers.
    Raises:
        ConfigError: the address cannot be listened on, or the certificate does not do.
        EmbedstackError: the encoder could not be opened, or is not what it should be.
    """
    set_up_logs(settings.log_level, settings.log_format)
    gc.set_threshold(YOUNG_OBJECTS)
    tls = tls_of(settings)
    failures: list[EmbedstackError] = []

    def settled(error: EmbedstackError | None) -> None:
        if error is None:
            print(f"listening on {url}", file=sys.stderr, flush=True)
        else:
            failures.append(error)
            server.should_exit = True

    app = create_app(open_encoder, settings, on_settled=settled, check=check)
    listener = listen(settings.host, settings.port)
    url = url_of(listener, settings.host, "https" if tls else "http")
    log.info("event=starting url=%s models=%s", url, quoted(settings.models))
    warn_of_strangers(settings, listener.getsockname()[0], is_guarded=is_guarded)
    server = Server(_config(app, settings, tls), listener, app.state.drain)
    server.run(sockets=[listener])
    log.info("event=stopped")
    if failures:
        raise failures[0]
    return 0


def _config(app: Starlette, settings: Settings, tls: Tls | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.drain_s,
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
        ssl_ciphers=None,  # Python's choice; uvicorn 0.30 would leave out all of TLS 1.2 that encrypt and sign at once
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: taken, not allowed or no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on {host} port {port} ({error}); choose another with --host, --port"
        ) from error


def url_of(listener: socket.socket, host: str, scheme: str = "http") -> str:
    """Where the socket is reached."""
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{listener.getsockname()[1]}"


class Server(uvicorn.Server):
    """Drains before it closes: a signal ends the server and not the process, and nothing that came stays unanswered.

    uvicorn closes idle connections at once, and with them requests that travel, or that it has not read yet. So for a
    moment every reply tells its client to close, and /ready tells load balancers to stay away; then nobody new is let
    in; then what is under way ends. A second signal cuts it off. uvicorn would also send itself the signal again once
    it has stopped, which would turn a clean end into an exit by signal: those that its own `handle_exit` notes.
    https://github.com/encode/uvicorn/blob/0.30.0/uvicorn/server.py

    Args:
        listener: the socket that is served.
        drain: called when the first signal comes.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._door = listener.dup()
        self._drain = drain
        self._is_draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT came."""
        self.force_exit = self._is_draining
        self._is_draining = self.should_exit = True
        self._drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn once `should_exit` is seen."""
        cutting = asyncio.ensure_future(self._cut_when_forced())
        try:
            if self._is_draining:
                await self._linger(LINGER_S)
                await self._let_in_the_last()
                await self._linger(READ_S)
            self._door.close()
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _linger(self, seconds: float) -> None:
        """As long as there is somebody to linger for."""
        end = time.monotonic() + seconds
        while self.server_state.connections and time.monotonic() < end and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)

    async def _let_in_the_last(self) -> None:
        """Stop listening; who the system has let in by then would be reset, and is taken first."""
        for server in self.servers:
            server.close()
        self._door.setblocking(False)
        came: list[socket.socket] = []
        with suppress(BlockingIOError):
            while True:
                came.append(self._door.accept()[0])
        self._door.close()  # at once: as long as it is open the system lets more in
        loop, config = asyncio.get_running_loop(), self.config
        for one in came:
            await loop.connect_accepted_socket(
                lambda: Connection(config, self.server_state, self.lifespan.state), one, ssl=config.ssl
            )

    async def _cut_when_forced(self) -> None:
        """uvicorn waits for the connections even after a second signal."""
        while not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
