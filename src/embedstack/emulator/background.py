"""The data plane on a port of this process, in a thread of its own: for tests, which call it as they would RunPod."""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from embedstack.emulator.app import data_app
from embedstack.emulator.platform import Platform
from embedstack.emulator.serve import listen, served, url_of

Got = TypeVar("Got")


class Emulated:
    """An emulator that runs.

    Args:
        url: of the data plane, up to and with `/v2`; what the SDK's `endpoint_url_base` wants.
    """

    def __init__(self, platform: Platform, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.platform = platform
        self.url = url
        self._loop = loop

    def do(self, call: Callable[[], Got]) -> Got:
        """Call something of the platform where it lives; nothing else may touch it."""
        done: Future[Got] = Future()

        def run() -> None:
            try:
                done.set_result(call())
            except Exception as error:  # raised again where it was called from
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result()


@contextmanager
def emulated(platform: Platform, keys: Collection[str] = ("local",)) -> Iterator[Emulated]:
    """Serve the platform on a free port of 127.0.0.1 while it is entered; the clock must be the machine's."""
    listener = listen("127.0.0.1", 0)
    ready: Future[asyncio.AbstractEventLoop] = Future()
    over = threading.Event()

    async def run() -> None:
        async with served(platform, {data_app(platform, keys): listener}):
            ready.set_result(asyncio.get_running_loop())
            await asyncio.to_thread(over.wait)

    def body() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=body, name="emulator", daemon=True)
    thread.start()
    try:
        yield Emulated(platform, f"{url_of(listener)}/v2", ready.result())
    finally:
        over.set()
        thread.join()
