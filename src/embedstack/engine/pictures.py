"""Pictures on their way to the device: decoded in threads, a few at a time, while the device works on those before."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from embedstack.engine.reading import off_loop, together
from embedstack.errors import NotReady, TooLong
from embedstack.modelspec import Vision
from embedstack.runtimes.processor import usable_threads
from embedstack.types import Encoding, Image, Priority

if TYPE_CHECKING:  # it imports Pillow, which a process without pictures does without
    from embedstack.inputs.image import ImageInput, Needs

MB = 1 << 20
CHUNK_BYTES = 16 * MB  # of patches that a request sends on together: 27 pictures of 224 x 224, a batch or two
ROOM_BYTES = 96 * MB  # of patches that wait or run, of all requests together
BULK_SHARE = 2 / 3  # of that at most for bulk, so that it never fills all of it
MOST_PASSED = 7  # interactive requests go before a bulk request that could be served, then it is its turn
DECODING_BYTES = 1024 * MB  # of all that is being decoded: the largest picture by default, or six of 12 million pixels
MAX_EFFORT = 8_000_000_000  # of a request: 32 progressive photographs of 12 million pixels, or 25 s of one thread
CHUNK_EFFORT = 1_000_000_000  # of a chunk: nine photographs, and few that take long, so that these hold little room
AT_ONCE_HERE = 2  # chunks of one request: one on the device, one that is decoded meanwhile
INLINE_BYTES = 1 << 16  # digests and heads of so much take 10 ms at most; usual ones a tenth of one


@dataclass(frozen=True, slots=True)
class Looked:
    """What a file tells before it is decoded."""

    digest: bytes  # equal files give equal vectors, and need no decoding to be known
    needs: Needs


@dataclass(frozen=True, slots=True)
class Rooms:
    """Of one event loop."""

    patches: Room  # of those that are decoded and wait for the device
    decoding: Room


class Pictures:
    """What one engine decodes with. As many pictures are decoded at once as there are threads, if memory allows.

    Args:
        room_bytes: for those that are decoded and wait for the device, for each event loop.
        decoding_bytes: for those that are being decoded; a larger one is decoded alone.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES, decoding_bytes: int = DECODING_BYTES) -> None:
        self._room_bytes, self._decoding_bytes = room_bytes, decoding_bytes
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, Rooms] = WeakKeyDictionary()
        self._workers = usable_threads()
        self._threads: ThreadPoolExecutor | None = None
        self._changing = Lock()
        self._is_open = True

    def rooms(self) -> Rooms:
        """Of the event loop that runs."""
        with self._changing:
            bulk_bytes = int(self._room_bytes * BULK_SHARE)
            made = Rooms(Room(self._room_bytes, bulk_bytes), Room(self._decoding_bytes))
            return self._rooms.setdefault(asyncio.get_running_loop(), made)

    async def looked(self, image: ImageInput, items: Mapping[int, Image]) -> dict[int, Looked]:
        """What their files tell, each by its place in its request.

        Raises:
            BadRequest, TooLong, Unsupported: see ImageInput.
        """
        is_long = sum(len(item.data) for item in items.values()) > INLINE_BYTES
        return await off_loop(is_long, lambda: {
            place: Looked(hashlib.blake2b(item.data, digest_size=32).digest(), image.needs(item, place))
            for place, item in items.items()
        })  # fmt: skip

    async def decoded(
        self,
        image: ImageInput,
        items: Mapping[int, Image],
        looked: Mapping[int, Looked],
        priority: Priority = "interactive",
        *,
        caller: str = "",
    ) -> dict[int, Encoding]:
        """Each by its place in its request; callers take turns.

        Raises:
            BadRequest, TooLong, Unsupported: see ImageInput. NotReady: the engine is stopping.
        """
        loop, room = asyncio.get_running_loop(), self.rooms().decoding
        made: dict[int, Encoding] = {}

        async def one(place: int) -> None:
            least = room.size // self._workers  # so that no more wait for a thread
            size = max(looked[place].needs.decoding_bytes, least)
            await room.take(size, priority, caller)
            try:
                work = loop.run_in_executor(self._executor(), self._decode, image, items[place], place)
            except RuntimeError as error:
                room.give(size, priority)
                raise _stopping() from error
            work.add_done_callback(lambda _: room.give(size, priority))  # not before: a thread cannot be given up
            made[place] = await asyncio.shield(work)

        try:
            await together([one(place) for place in items])
        except BaseException:
            made.clear()  # the error knows the function above, and that knows them
            raise
        return made

    def close(self) -> None:
        """Begin nothing more."""
        with self._changing:
            self._is_open = False
            if self._threads is not None:
                self._threads.shutdown(wait=False)

    def _decode(self, image: ImageInput, item: Image, place: int) -> Encoding:
        if not self._is_open:
            raise _stopping()
        return image.encode_one(item, place)

    def _executor(self) -> ThreadPoolExecutor:
        with self._changing:
            if not self._is_open:
                raise RuntimeError("closed")
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="embedstack-pictures")
            return self._threads


def _stopping() -> NotReady:
    return NotReady("the engine is stopping; send the request to another replica")


Waiting = tuple[int, "asyncio.Future[None]"]  # so many bytes are wanted, and who is told


class Turns:
    """Who waits: callers in turn, each in the order of asking."""

    def __init__(self) -> None:
        self._of: dict[str, deque[Waiting]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def join(self, caller: str, one: Waiting) -> None:
        """Behind what the caller has waiting already."""
        self._of.setdefault(caller, deque()).append(one)

    def first(self) -> Waiting:
        """Whose turn it is."""
        return next(iter(self._of.values()))[0]

    def serve(self) -> Waiting:
        """The first one goes; what its caller has more comes after one of everybody else."""
        caller, waiting = next(iter(self._of.items()))
        one = waiting.popleft()
        del self._of[caller]
        if waiting:
            self._of[caller] = waiting
        return one

    def leave(self, caller: str, one: Waiting) -> bool:
        """Wait no longer; whether it still did."""
        waiting = self._of.get(caller, deque())
        if one not in waiting:
            return False
        waiting.remove(one)
        if not waiting:
            del self._of[caller]
        return True


class Room:
    """So many bytes, of one event loop: interactive requests before bulk, of each kind the callers in turn.

    Args:
        bulk_size: of it at most for bulk, which waits long for the device and must not keep others from it.
    """

    def __init__(self, size: int, bulk_size: int | None = None) -> None:
        self.size = self._free = size
        self._bulk_size = self._bulk_free = size if bulk_size is None else bulk_size
        self._waiting: dict[Priority, Turns] = {"interactive": Turns(), "bulk": Turns()}
        self._passed = 0  # interactive requests that were served while bulk waited

    @asynccontextmanager
    async def of(self, size: int, priority: Priority = "interactive", caller: str = "") -> AsyncIterator[None]:
        """Held within the block; what is larger than all of it takes all of it."""
        await self.take(size, priority, caller)
        try:
            yield
        finally:
            self.give(size, priority)

    async def take(self, size: int, priority: Priority, caller: str = "") -> None:
        """Wait for it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[priority].join(caller, (size, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was its turn just then
                self.give(size, priority)
            elif self._waiting[priority].leave(caller, (size, turn)):
                self._serve()
            raise

    def give(self, size: int, priority: Priority) -> None:
        """Back, as much as was asked for."""
        self._change(min(size, self.size), priority)
        self._serve()

    def _change(self, size: int, priority: Priority) -> None:
        self._free += size
        if priority == "bulk":
            self._bulk_free += size

    def _serve(self) -> None:
        while (priority := self._next()) and min(self._waiting[priority].first()[0], self.size) <= self._free:
            size, turn = self._waiting[priority].serve()
            self._passed = self._passed + 1 if priority == "interactive" and self._waiting["bulk"] else 0
            if not turn.cancelled():
                self._change(-min(size, self.size), priority)
                turn.set_result(None)

    def _next(self) -> Priority | None:
        """Whose turn it is, whether there is room or not."""
        interactive, bulk = self._waiting["interactive"], self._waiting["bulk"]
        bulk_fits = bool(bulk) and (
            min(bulk.first()[0], self.size) <= self._bulk_free or self._bulk_free == self._bulk_size
        )
        if interactive and not (bulk_fits and self._passed >= MOST_PASSED):
            return "interactive"
        return "bulk" if bulk_fits else None


def check_effort(effort: int) -> None:
    """Refuse a request whose pictures would keep others from decoding for minutes.

    Args:
        effort: of those that must be decoded, together; see `Needs`.
    Raises:
        TooLong: over `MAX_EFFORT`.
    """
    if effort > MAX_EFFORT:
        raise TooLong(
            f"the pictures of the request take {effort} steps to decode and resize, the limit is {MAX_EFFORT}; "
            "send several requests"
        )


def chunks(places: Sequence[int], vision: Vision, looked: Mapping[int, Looked]) -> list[list[int]]:
    """The pictures that are decoded and sent on together, in order."""
    most = max(1, CHUNK_BYTES // size_bytes(vision))
    made: list[list[int]] = []
    effort = 0
    for place in places:
        effort += looked[place].needs.effort
        if not made or len(made[-1]) == most or effort > CHUNK_EFFORT:
            made.append([])
            effort = looked[place].needs.effort
        made[-1].append(place)
    return made


def size_bytes(vision: Vision) -> int:
    """Of one picture's patches."""
    return 4 * vision.tokens * vision.patch_width
