"""Pictures on their way to the device: decoded in threads, a few at a time, while the device works on those before."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from embedstack.engine.reading import off_loop
from embedstack.errors import NotReady
from embedstack.runtimes.processor import usable_threads
from embedstack.types import Encoding, Image, Vision

if TYPE_CHECKING:  # it imports Pillow, which a process without pictures does without
    from embedstack.inputs.image import ImageInput

MB = 1 << 20
CHUNK_BYTES = 16 * MB  # of patches that a request sends on together: 27 pictures of 224 x 224, a batch or two
ROOM_BYTES = 96 * MB  # of patches that wait or run, of all requests together
AT_ONCE_HERE = 2  # chunks of one request: one on the device, one that is decoded meanwhile
INLINE_BYTES = MB  # a digest of so much takes a millisecond


class Pictures:
    """What one engine decodes with. As many pictures are decoded at once as there are threads to use.

    Args:
        room_bytes: for those that are decoded and wait for the device, for each event loop.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self._room_bytes = room_bytes
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, Room] = WeakKeyDictionary()
        self._threads: ThreadPoolExecutor | None = None
        self._changing = Lock()
        self._is_open = True

    def room(self) -> Room:
        """Of the event loop that runs."""
        with self._changing:
            return self._rooms.setdefault(asyncio.get_running_loop(), Room(self._room_bytes))

    async def decoded(self, image: ImageInput, items: Mapping[int, Image]) -> dict[int, Encoding]:
        """Each by its place in its request.

        Raises:
            BadRequest, TooLong, Unsupported: see ImageInput. NotReady: the engine is stopping.
        """
        loop = asyncio.get_running_loop()
        try:
            threads = self._workers()
            work = [loop.run_in_executor(threads, image.encode_one, item, place) for place, item in items.items()]
        except RuntimeError as error:
            raise NotReady("the engine is stopping; send the request to another replica") from error
        try:
            return dict(zip(items, await asyncio.gather(*work), strict=True))
        finally:
            for one in work:
                one.cancel()  # those that nobody waits for any more are not begun
            await asyncio.gather(*work, return_exceptions=True)

    def close(self) -> None:
        """Begin nothing more."""
        with self._changing:
            self._is_open = False
            if self._threads is not None:
                self._threads.shutdown(wait=False, cancel_futures=True)

    def _workers(self) -> ThreadPoolExecutor:
        with self._changing:
            if not self._is_open:
                raise RuntimeError("closed")
            if self._threads is None:
                self._threads = ThreadPoolExecutor(usable_threads(), thread_name_prefix="embedstack-pictures")
            return self._threads


class Room:
    """So many bytes; who comes first is served first. Of one event loop."""

    def __init__(self, size_bytes: int) -> None:
        self._size = self._free = size_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def of(self, size_bytes: int) -> AsyncIterator[None]:
        """Held within the block; what is larger than all of it takes all of it."""
        size = min(size_bytes, self._size)
        await self._taken(size)
        try:
            yield
        finally:
            self._give(size)

    async def _taken(self, size: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was its turn just then
                self._give(size)
            self._serve()
            raise

    def _give(self, size: int) -> None:
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and (self._waiting[0][1].cancelled() or self._waiting[0][0] <= self._free):
            size, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= size
                turn.set_result(None)


def chunks(places: Sequence[int], vision: Vision) -> list[Sequence[int]]:
    """The pictures that are decoded and sent on together, in order."""
    count = max(1, CHUNK_BYTES // size_bytes(vision))
    return [places[start : start + count] for start in range(0, len(places), count)]


def size_bytes(vision: Vision) -> int:
    """Of one picture's patches."""
    return 4 * vision.tokens * vision.patch_width


async def digests(items: Sequence[Image]) -> list[bytes]:
    """Of their files: equal files give equal vectors, and need no decoding to be known."""
    is_long = sum(len(item.data) for item in items) > INLINE_BYTES
    return await off_loop(is_long, lambda: [hashlib.blake2b(item.data, digest_size=32).digest() for item in items])
