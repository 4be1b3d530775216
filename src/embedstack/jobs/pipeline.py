"""What keeps a runner's parts moving side by side: threads that are waited for, work beside other work, watches."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

T = TypeVar("T")
WRITERS = 2  # one shard is written while the one before is uploaded


class Threads:
    """One thread that reads and cuts, in the order of the input, and some that write.

    They are not the event loop's own: those tokenise for the engine, which must not wait behind an upload.
    """

    def __init__(self) -> None:
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="embedstack-job-read")
        self._writing = ThreadPoolExecutor(WRITERS, thread_name_prefix="embedstack-job-write")
        self._asking = ThreadPoolExecutor(WRITERS, thread_name_prefix="embedstack-job-ask")
        self._pools = (self._reading, self._writing, self._asking)

    async def read(self, work: Callable[[], T]) -> T:
        """One at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    async def write(self, work: Callable[[], T]) -> T:
        """Some at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._writing, work)

    async def ask(self, work: Callable[[], T]) -> T:
        """Small questions to the storage, which do not wait behind an upload."""
        return await asyncio.get_running_loop().run_in_executor(self._asking, work)

    async def close(self) -> None:
        """Nothing new begins, and what runs is waited for: nothing is written once a runner has ended."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools:
            await asyncio.to_thread(partial(pool.shutdown, wait=True))


async def beside(main: Coroutine[object, object, T], aside: Coroutine[object, object, None]) -> T:
    """What the first gives. The second has no end of its own; what it raises ends the first."""
    working, other = asyncio.ensure_future(main), asyncio.ensure_future(aside)
    try:
        await asyncio.wait((working, other), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            other.result()
        return await working
    finally:
        for task in (working, other):
            task.cancel()
        await asyncio.gather(working, other, return_exceptions=True)


@dataclass(slots=True)
class Watch:
    """Where the time of one shard goes. The wall clock is for reports alone."""

    began_at: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    store_s: float = 0.0
    made: tuple[float, float] = (0.0, 0.0)  # from when to when its vectors were, by the wall clock

    def start(self) -> None:
        """It begins only now."""
        self.began_at, self.began = time.time(), time.monotonic()

    def encoded(self, from_s: float, to_s: float) -> None:
        """Its vectors were made then, by the monotonic clock."""
        shift_s = self.began_at - self.began
        self.made = from_s + shift_s, to_s + shift_s

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Within it the storage is asked."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.store_s += time.monotonic() - began
