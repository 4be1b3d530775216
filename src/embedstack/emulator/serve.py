"""Applications and listening sockets in, a server of all of them in one event loop out, until it is told to end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from embedstack.emulator.platform import Platform
from embedstack.emulator.sending import ABORT
from embedstack.errors import ConfigError

BACKLOG = 2048
KEEP_ALIVE_S = 75
LAST_WORDS_S = 5  # for requests that are under way when the end comes; long polls end at once


class Connection(HttpToolsProtocol):
    """Lets an application close the connection without an answer, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        """A request comes."""
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]


class _Server(uvicorn.Server):
    """One of several in a process, so none of them takes the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: taken, not allowed or no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on {host} port {port} ({error}); choose another port") from error
    # inherited by connections; asyncio sets it only where a socket names its protocol, and without it each reply of two
    # parts (head, body) waited 40 ms for the client's acknowledgement
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where the socket is reached from this machine."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def served(platform: Platform, apps: Mapping[Starlette, socket.socket]) -> AsyncIterator[None]:
    """Within it the applications are served; at its end all long polls end, and then they are not.

    Raises:
        ConfigError: an application could not start.
    """
    servers = {_Server(_config(app)): listener for app, listener in apps.items()}
    tasks = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers.items()]
    try:
        while not all(server.started for server in servers):  # uvicorn has no event for it
            if any(task.done() for task in tasks):
                raise ConfigError("the emulator could not be started; see the lines above")
            await asyncio.sleep(0.01)
        yield
    finally:
        platform.close()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)


def _config(app: Starlette) -> uvicorn.Config:
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
        timeout_graceful_shutdown=LAST_WORDS_S,
    )
