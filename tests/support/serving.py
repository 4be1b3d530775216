"""An encoder becomes a server of ours on the loopback, in a thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import uvicorn
from starlette.types import ASGIApp

from embedstack.server import create_app
from embedstack.server.run import listen
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encoder

PATIENCE_S = 20


def as_it_is(app: ASGIApp) -> ASGIApp:
    return app


class Prompt(uvicorn.Server):
    """Looks often whether it is to stop: tests start hundreds of them."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(0.01)


@contextmanager
def serving(
    open_encoder: Callable[[], Encoder] = HashEncoder,
    wrap: Callable[[ASGIApp], ASGIApp] = as_it_is,
    **changes: object,
) -> Iterator[str]:
    """The URL of our server, with settings by keyword; `wrap` stands between it and those who ask."""
    settled = threading.Event()
    app = create_app(open_encoder, replace(Settings(), **changes), on_settled=lambda error: settled.set())
    listener = listen("127.0.0.1", 0)
    server = Prompt(uvicorn.Config(wrap(app), log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert settled.wait(PATIENCE_S)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()


@contextmanager
def several() -> Iterator[Callable[[AbstractContextManager[str]], str]]:
    """A function: a server that is to run -> its URL. All of them are stopped at once, as each takes its time."""
    running: list[AbstractContextManager[str]] = []

    def started(server: AbstractContextManager[str]) -> str:
        url = server.__enter__()
        running.append(server)
        return url

    try:
        yield started
    finally:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda server: server.__exit__(None, None, None), running))
