"""A coroutine becomes its result, for callers without an event loop: all run on one loop in a thread of its own."""

import asyncio
import atexit
from collections.abc import Coroutine
from concurrent.futures import Future
from functools import cache
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def wait(work: Coroutine[object, object, T]) -> T:
    """Run it there, so that scripts and notebooks with a loop of their own both work."""
    running: Future[T] = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return running.result()
    except KeyboardInterrupt:
        running.cancel()
        raise


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="embedstack-loop", daemon=True)
    thread.start()

    def end() -> None:
        """A thread of ours that still ran while the interpreter ends could free a graph then; see `engine.lane`."""
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    atexit.register(end)
    return loop
