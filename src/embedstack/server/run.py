"""Settings and a function that opens an encoder become a running server, until a signal or a failure ends it."""

import gc
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from embedstack.errors import ConfigError, EmbedstackError
from embedstack.server.app import create_app
from embedstack.server.heads import ShortHeads
from embedstack.server.logs import log, quoted, set_up_logs
from embedstack.server.opening import Check, OpenEncoder, unproven
from embedstack.server.tls import Tls, tls_of
from embedstack.settings import Settings

KEEP_ALIVE_S = 75  # longer than load balancers keep an idle connection (60 s), so that they close it and not we
BACKLOG = 2048
YOUNG_OBJECTS = 10_000  # before Python looks for cycles; 64 requests in flight hold some 2,500, which are none
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
    listener = listen(settings.host, settings.port)
    url = url_of(listener, settings.host, "https" if tls else "http")
    log.info("event=starting url=%s models=%s", url, quoted(settings.models))
    failures: list[EmbedstackError] = []

    def settled(error: EmbedstackError | None) -> None:
        if error is None:
            print(f"listening on {url}", file=sys.stderr, flush=True)
        else:
            failures.append(error)
            server.should_exit = True

    app = create_app(open_encoder, settings, on_settled=settled, check=check)
    server = uvicorn.Server(_config(app, settings, tls))
    with _signals_end(server, app.state.drain):
        server.run(sockets=[listener])
    log.info("event=stopped")
    if failures:
        raise failures[0]
    return 0


def _config(app: Starlette, settings: Settings, tls: Tls | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=ShortHeads,
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


@contextmanager
def _signals_end(server: uvicorn.Server, drain: Callable[[], None]) -> Iterator[None]:
    """A signal ends the server and not the process: first what is open drains, then the sockets close.

    uvicorn closes idle connections at once, and a request that travels on one of them would be lost. So for a moment
    every reply tells its client to close, and /ready tells load balancers to stay away. A second signal ends that.
    uvicorn also sends itself the signal again once it has stopped, which would turn a clean end into an exit by signal.
    https://github.com/encode/uvicorn/blob/0.30.0/uvicorn/server.py
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave() -> None:
        server.should_exit = True

    def end(number: int, frame: FrameType | None) -> None:
        is_second = draining.is_set()
        draining.set()
        if is_second or not server.server_state.connections:
            leave()
            return
        drain()
        lingering = threading.Timer(LINGER_S, leave)
        lingering.daemon = True
        lingering.start()

    draining = threading.Event()
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
