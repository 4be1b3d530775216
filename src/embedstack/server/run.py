"""Settings and a function that opens an encoder become a running server, until a signal or a failure ends it."""

import asyncio
import gc
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from embedstack.errors import ConfigError, EmbedstackError
from embedstack.server.app import create_app
from embedstack.server.connection import Connection
from embedstack.server.logs import log, quoted, set_up_logs
from embedstack.server.opening import Check, OpenEncoder, unproven
from embedstack.server.tls import Tls, tls_of
from embedstack.settings import Settings

KEEP_ALIVE_S = 75  # longer than load balancers keep an idle connection (60 s), so that they close it and not we
BACKLOG = 2048
YOUNG_OBJECTS = 10_000  # before Python looks for cycles; 64 requests in flight hold some 2,500, which are none
LOOK_S = 0.1  # as often as uvicorn looks
LINGER_S = 1.0  # clients that send a request a second or faster hear that they must close


def run(settings: Settings, open_encoder: OpenEncoder, check: Check = unproven) -> int:
    """Serve until SIGTERM or SIGINT, then let running requests end; 0 if all went well.

    Args:
        check: see Opening.
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
    server = Server(_config(app, settings, tls), app.state.drain)
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
    """Drains before it closes: a signal ends the server and not the process.

    uvicorn closes idle connections at once, and a request that travels on one of them would be lost. So for a moment
    every reply tells its client to close, and /ready tells load balancers to stay away. A second signal ends at once
    whatever still runs. uvicorn would also send itself the signal again once it has stopped, which would turn a clean
    end into an exit by signal: it does so for the signals that its own `handle_exit` notes.
    https://github.com/encode/uvicorn/blob/0.30.0/uvicorn/server.py
    """

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain
        self._is_draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT came."""
        if self._is_draining:
            self.should_exit = self.force_exit = True
            return
        self._is_draining = True
        self._drain()
        if not self.server_state.connections:
            self.should_exit = True
            return
        lingering = threading.Timer(LINGER_S, self._leave)
        lingering.daemon = True
        lingering.start()

    def _leave(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close, at once if a second signal comes: uvicorn would wait for the connections even then."""
        watching = asyncio.ensure_future(self._cut_when_forced())
        try:
            await super().shutdown(sockets)
        finally:
            watching.cancel()

    async def _cut_when_forced(self) -> None:
        while not self.force_exit:
            await asyncio.sleep(LOOK_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
