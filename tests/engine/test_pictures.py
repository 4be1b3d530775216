"""Pictures and texts through the engine: order, batches, what is known already, what is decoded when and where."""

import asyncio
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine import admission, lane, pictures, rows
from embedstack.engine.admission import Limits
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.engine.pictures import MOST_PASSED, Looked, Pictures, Room
from embedstack.errors import BadRequest, DeadlineExceeded, NotReady, Overloaded, RuntimeFailed, TooLong, Unsupported
from embedstack.inputs.image import PIXEL_EFFORT, ImageInput, Needs
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes import Options, open_runtime
from embedstack.runtimes.processor import usable_threads
from embedstack.types import Batch, Encode, Encoded, Encoding, Image, Link, Priority, Text
from support.tiny_clip import TOKENS, Sums, png, write_clip

Parts = tuple[Path, ModelSpec]


class Watched(ImageInput):
    """Remembers in which threads pictures were decoded, and how many at once; `gate` holds them."""

    def __init__(self, spec: ModelSpec) -> None:
        assert spec.architecture.vision
        super().__init__(spec.architecture.vision)
        self.threads: list[str] = []
        self.files: list[bytes] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)
        self._lock, self._now, self.most = threading.Lock(), 0, 0

    def encode_one(self, item: Image, place: int = 0) -> Encoding:
        with self._lock:
            self.threads.append(threading.current_thread().name)
            self.files.append(item.data)
            self._now += 1
            self.most = max(self.most, self._now)
        self.begun.release()
        try:
            assert self.gate.wait(20)
            return super().encode_one(item, place)
        finally:
            with self._lock:
                self._now -= 1


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    root = tmp_path_factory.mktemp("clip")
    folder = write_clip(root / "clip")
    return folder, find(str(folder), cache_dir=root / "cache").spec


@pytest.fixture
def runtime(clip: Parts) -> Sums:
    return Sums(clip[1].dim)


@pytest.fixture
def image(clip: Parts) -> Watched:
    return Watched(clip[1])


def opened(clip: Parts, runtime: Sums, image: Watched, **how: int) -> Engine:
    folder, spec = clip
    return Engine([Loaded(spec, TextInput(folder, spec), runtime, image=image)], **{"batch_tokens": 100, **how})


@pytest.fixture
def engine(clip: Parts, runtime: Sums, image: Watched) -> Iterator[Engine]:
    made = opened(clip, runtime, image, cache_bytes=1_000_000)
    yield made
    runtime.gate.set()
    image.gate.set()
    made.close()


def wish(*items: Text | Image | Link, **change: object) -> Encode:
    return Encode(**{"model": "", "items": items, "normalize": False, **change})  # type: ignore[arg-type]


def made_of(engine: Engine, *items: Text | Image | Link, **change: object) -> Encoded:
    return asyncio.run(engine.encode(wish(*items, **change)))


async def until(semaphore: threading.Semaphore) -> None:
    assert await asyncio.to_thread(semaphore.acquire, timeout=20)


# ------------------------------------------------------------------------------------------------ rows


def test_pictures_and_texts_come_back_in_their_places(clip: Parts) -> None:
    folder, spec = clip
    assert spec.architecture.vision
    runtime = open_runtime("numpy")(spec, open_weights(folder), Options())
    engine = Engine([Loaded(spec, TextInput(folder, spec), runtime, image=ImageInput(spec.architecture.vision))])
    items = [Image(png(31)), Text("a photo of a cat"), Text("two dogs"), Image(png(40)), Text("snow")]
    try:
        together = made_of(engine, *items).dense
        alone = np.concatenate([made_of(engine, item).dense for item in items])
    finally:
        engine.close()

    assert together.shape == (5, spec.dim)
    assert np.allclose(together, alone, rtol=0, atol=1e-6)


def test_batches_never_mix_pictures_and_texts(engine: Engine, runtime: Sums) -> None:
    made_of(engine, Image(png(31)), Text("cat"), Image(png(32)), Text("dog"))

    assert sorted(runtime.batches) == [("image", 2), ("text", 2)]


def test_a_batch_holds_about_its_tokens_and_at_least_one_picture(clip: Parts, runtime: Sums, image: Watched) -> None:
    for budget, sizes in ((2 * TOKENS + 5, [2, 2, 1]), (3, [1] * 5)):
        engine = opened(clip, runtime, image, batch_tokens=budget)
        runtime.batches.clear()
        made_of(engine, *(Image(png(30 + n)) for n in range(5)))
        engine.stop()

        assert [count for _, count in runtime.batches] == sizes


def test_usage_counts_the_tokens_of_pictures(engine: Engine) -> None:
    usage = made_of(engine, Image(png(31)), Text("cat")).usage

    assert (usage.items, usage.tokens) == (2, TOKENS + 3)
    assert usage.tokenize_s > 0


def test_the_limit_of_a_requests_tokens_counts_pictures_before_they_are_decoded(
    clip: Parts, runtime: Sums, image: Watched
) -> None:
    engine = opened(clip, runtime, image, max_request_tokens=2 * TOKENS)
    with pytest.raises(TooLong, match=f"{3 * TOKENS} tokens and the limit is {2 * TOKENS}"):
        made_of(engine, *(Image(png(30 + n)) for n in range(3)))
    engine.stop()

    assert image.threads == []


# ------------------------------------------------------------------------------------------------ what is known


def test_two_pictures_get_two_vectors(engine: Engine) -> None:
    first, second = made_of(engine, Image(png(31)), Image(png(32))).dense

    assert not np.array_equal(first, second)
    assert np.array_equal(made_of(engine, Image(png(32))).dense[0], second)


def test_a_picture_that_is_known_is_neither_decoded_nor_computed_again(
    engine: Engine, runtime: Sums, image: Watched
) -> None:
    first = made_of(engine, Image(png(31))).dense
    again = made_of(engine, Image(png(31)), Image(png(32))).dense

    assert np.array_equal(again[0], first[0])
    assert runtime.batches == [("image", 1), ("image", 1)]
    assert len(image.threads) == 2


def test_equal_pictures_of_one_request_are_computed_once(engine: Engine, runtime: Sums) -> None:
    made_of(engine, *[Image(png(31))] * 3)

    assert runtime.batches == [("image", 1)]


# ------------------------------------------------------------------------------------------------ where and when


def test_pictures_are_decoded_beside_the_loop_and_as_many_at_once_as_there_are_threads(
    clip: Parts, runtime: Sums, image: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "usable_threads", lambda: 3)
    engine = opened(clip, runtime, image)

    async def story() -> None:
        image.gate.clear()
        asked = asyncio.create_task(engine.encode(wish(*(Image(png(30 + n)) for n in range(12)))))
        for _ in range(3):
            await until(image.begun)
        image.gate.set()
        await asked

    asyncio.run(story())
    engine.close()
    assert all(name.startswith("embedstack-pictures") for name in image.threads)
    assert image.most == 3


def test_pictures_that_need_much_memory_are_decoded_one_after_the_other(
    engine: Engine, image: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    need = image.needs(Image(png(30))).decoding_bytes
    monkeypatch.setattr(engine._pictures, "_workers", 4)
    monkeypatch.setattr(engine._pictures, "_decoding_bytes", need + need // 2)
    made_of(engine, *(Image(png(30 + n)) for n in range(8)))

    assert image.most == 1


def test_pictures_of_an_interactive_request_are_decoded_before_those_of_bulk(
    engine: Engine, image: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._pictures, "_workers", 1)

    async def story() -> None:
        image.gate.clear()
        bulk = wish(*(Image(png(30 + n)) for n in range(5)), priority="bulk")
        asked = [asyncio.create_task(engine.encode(bulk))]
        await until(image.begun)
        asked.append(asyncio.create_task(engine.encode(wish(Image(png(50))))))
        while engine.load().waiting_items < 6:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        image.gate.set()
        await asyncio.gather(*asked)

    asyncio.run(story())
    assert image.files.index(png(50)) == 1


def test_equal_files_of_one_request_are_decoded_once(engine: Engine, image: Watched) -> None:
    alike = made_of(engine, Image(png(31)), Image(png(32)), Image(png(31)))

    assert len(image.threads) == 2
    assert np.array_equal(alike.dense[0], alike.dense[2])
    assert alike.usage.tokens == 3 * TOKENS


def test_pictures_are_decoded_while_the_device_works_on_those_before(
    engine: Engine, runtime: Sums, image: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "CHUNK_BYTES", 1)  # each picture goes alone

    async def story() -> int:
        runtime.gate.clear()
        asked = asyncio.create_task(engine.encode(wish(*(Image(png(30 + n)) for n in range(4)))))
        await until(runtime.running)
        for _ in range(2):
            await until(image.begun)
        decoded = len(image.threads)
        runtime.gate.set()
        await asked
        return decoded

    assert asyncio.run(story()) == 2  # one on the device, one behind it, and none of the others


def test_pixels_that_wait_are_bounded_whoever_sends_them(
    engine: Engine, runtime: Sums, image: Watched, clip: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clip[1].architecture.vision
    each = pictures.size_bytes(clip[1].architecture.vision)
    monkeypatch.setattr(engine._pictures, "_room_bytes", 3 * each)

    async def story() -> int:
        runtime.gate.clear()
        asked = [asyncio.create_task(engine.encode(wish(Image(png(30 + n))))) for n in range(8)]
        for _ in range(3):
            await until(image.begun)
        await until(runtime.running)
        decoded = len(image.threads)
        runtime.gate.set()
        await asyncio.gather(*asked)
        return decoded

    assert asyncio.run(story()) == 3
    assert len(image.threads) == 8


def test_a_deadline_ends_a_request_whose_pictures_are_being_decoded(
    engine: Engine, runtime: Sums, image: Watched
) -> None:
    image.gate.clear()
    with pytest.raises(DeadlineExceeded):
        made_of(engine, Image(png(31)), deadline=time.monotonic() + 0.05)
    image.gate.set()

    assert runtime.batches == []


def test_pictures_of_a_caller_who_hung_up_are_not_begun(engine: Engine, image: Watched) -> None:
    async def story() -> None:
        image.gate.clear()
        asked = asyncio.create_task(engine.encode(wish(*(Image(png(30 + n)) for n in range(9)))))
        for _ in range(usable_threads()):
            await until(image.begun)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        image.gate.set()

    asyncio.run(story())
    made_of(engine, Image(png(50)))

    assert len(image.threads) == usable_threads() + 1


# ------------------------------------------------------------------------------------------------ refusals


def test_a_broken_picture_is_named_by_its_place_and_the_engine_goes_on(engine: Engine) -> None:
    with pytest.raises(BadRequest, match="image 2"):
        made_of(engine, Text("cat"), Image(png(31)), Image(png(32)[:60]))

    assert made_of(engine, Image(png(31))).dense.shape[0] == 1


def test_an_unknown_role_among_pictures_is_named_by_its_place(engine: Engine) -> None:
    with pytest.raises(BadRequest, match="role 'nonsense'"):
        made_of(engine, Image(png(31)), Text("cat", "nonsense"))
    with pytest.raises(BadRequest, match="text 1 is empty"):
        made_of(engine, Image(png(31)), Text(""))


def test_a_link_that_nobody_followed_is_refused(engine: Engine) -> None:
    with pytest.raises(Unsupported, match="item 1 is a link that nobody followed"):
        made_of(engine, Image(png(31)), Link("https://example.org/a.png"))


def test_images_have_dense_vectors_only(clip: Parts, runtime: Sums, image: Watched) -> None:
    spec = replace(clip[1], outputs=("dense", "sparse"))
    engine = Engine([Loaded(spec, TextInput(clip[0], spec), runtime, image=image)])
    with pytest.raises(Unsupported, match="dense vectors of images, not sparse"):
        made_of(engine, Image(png(31)), outputs=frozenset({"sparse"}))
    engine.close()


def test_an_engine_that_stops_decodes_no_more(engine: Engine, clip: Parts, image: Watched) -> None:
    engine.stop()
    with pytest.raises(NotReady, match="stopping"):
        made_of(engine, Image(png(31)))

    assert image.threads == []


def test_who_waits_for_decoding_is_told_that_the_engine_stops(engine: Engine, image: Watched) -> None:
    async def story() -> None:
        image.gate.clear()
        asked = [asyncio.create_task(engine.encode(wish(Image(png(30 + n))))) for n in range(usable_threads() + 5)]
        for _ in range(usable_threads()):
            await until(image.begun)
        await asyncio.to_thread(engine.stop)
        image.gate.set()
        for one in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(one, NotReady)

    asyncio.run(story())
    assert len(image.threads) == usable_threads()


# ------------------------------------------------------------------------------------------------ room


async def asked_in_turn(room: Room, asked: list[tuple[str, int, Priority]], callers: str = "") -> list[str]:
    """The names of those who ask one after the other while all is taken, in the order in which they are served.

    Args:
        callers: a letter for each; all are one where it is empty.
    """
    served: list[str] = []

    async def one(name: str, size: int, priority: Priority, caller: str = "") -> None:
        async with room.of(size, priority, caller):
            served.append(name)
            await asyncio.sleep(0)

    async with room.of(room.size):
        tasks = [asyncio.create_task(one(*wanted, callers[n:][:1])) for n, wanted in enumerate(asked)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return served


def test_interactive_requests_get_room_before_bulk() -> None:
    served = asyncio.run(asked_in_turn(Room(10), [("a", 10, "bulk"), ("b", 10, "bulk"), ("c", 10, "interactive")]))

    assert served == ["c", "a", "b"]


def test_bulk_gets_a_turn_among_many_interactive_requests() -> None:
    many: list[tuple[str, int, Priority]] = [(str(n), 10, "interactive") for n in range(2 * MOST_PASSED)]

    served = asyncio.run(asked_in_turn(Room(10), [("bulk", 10, "bulk"), *many]))

    assert served.index("bulk") == MOST_PASSED


def test_bulk_never_takes_all_room_from_interactive_requests() -> None:
    async def story() -> bool:
        room = Room(9, bulk_size=6)
        async with room.of(3, "bulk"), room.of(3, "bulk"):
            third = asyncio.create_task(room.take(3, "bulk"))
            await asyncio.sleep(0)
            await asyncio.wait_for(room.take(3, "interactive"), 5)
            waits = not third.done()
        await third
        return waits

    assert asyncio.run(story())


def test_bulk_that_is_larger_than_its_part_gets_it_when_no_other_bulk_is_there() -> None:
    async def story() -> None:
        room = Room(9, bulk_size=6)
        await asyncio.wait_for(room.take(20, "bulk"), 5)
        room.give(20, "bulk")
        await asyncio.wait_for(room.take(9, "interactive"), 5)

    asyncio.run(story())


def test_room_is_given_in_the_order_of_asking() -> None:
    async def story() -> list[int]:
        room, served = Room(10), []

        async def one(number: int, size: int) -> None:
            async with room.of(size):
                served.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(one(0, 6), one(1, 8), one(2, 1), one(3, 30))
        return served

    assert asyncio.run(story()) == [0, 1, 2, 3]


def test_callers_get_room_in_turn() -> None:
    asked: list[tuple[str, int, Priority]] = [(str(n), 10, "interactive") for n in range(6)]

    assert asyncio.run(asked_in_turn(Room(10), asked, "aaaabc")) == ["0", "4", "5", "1", "2", "3"]


def test_who_gives_up_waiting_for_room_leaves_it_to_the_others() -> None:
    async def story() -> None:
        room = Room(10)

        async def one(size: int) -> None:
            async with room.of(size):
                pass

        async with room.of(10):
            first, second = asyncio.create_task(one(10)), asyncio.create_task(one(3))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
        await asyncio.wait_for(second, 5)
        await asyncio.wait_for(one(10), 5)

    asyncio.run(story())


def test_each_loop_has_a_room_of_its_own() -> None:
    made = Pictures()

    async def room() -> Room:
        return made.rooms().patches

    assert asyncio.run(room()) is not asyncio.run(room())


# ------------------------------------------------------------------------------------------------ overload


def test_a_request_that_was_let_in_is_not_refused_for_the_pictures_that_follow(
    clip: Parts, runtime: Sums, image: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "CHUNK_BYTES", 1)
    monkeypatch.setattr(rows, "AT_ONCE_HERE", 12)
    folder, spec = clip
    loaded = Loaded(spec, TextInput(folder, spec), runtime, image=image)
    limits = Limits(max_wait_s=0.0, max_bulk_wait_s=1e-9, bulk_batch_s=0.0)  # a batch may wait, and no more
    engine = Engine([loaded], batch_tokens=TOKENS + 1, limits=limits)

    async def story() -> Encoded:
        runtime.gate.clear()
        asked = asyncio.create_task(engine.encode(wish(*(Image(png(30 + n)) for n in range(12)))))
        while not asked.done() and engine.waiting_tokens < 11 * TOKENS:
            await asyncio.sleep(0.001)
        with pytest.raises(Overloaded):  # another one is
            await engine.encode(wish(Image(png(98)), Image(png(99))))
        runtime.gate.set()
        return await asked

    try:
        assert asyncio.run(story()).dense.shape == (12, spec.dim)
    finally:
        runtime.gate.set()
        engine.close()


@pytest.fixture
def limited(clip: Parts, runtime: Sums, image: Watched) -> Iterator[Engine]:
    """Of which a batch may wait, and no more."""
    folder, spec = clip
    loaded = Loaded(spec, TextInput(folder, spec), runtime, image=image)
    limits = Limits(max_wait_s=0.0, max_bulk_wait_s=1e-9, bulk_batch_s=0.0)
    engine = Engine([loaded], batch_tokens=TOKENS + 1, limits=limits, cache_bytes=1_000_000)
    yield engine
    runtime.gate.set()
    image.gate.set()
    engine.close()


@pytest.mark.parametrize("priority", ["interactive", "bulk"])
def test_pictures_that_wait_to_be_decoded_count_and_refuse_others(
    priority: Priority, limited: Engine, image: Watched
) -> None:
    async def story() -> tuple[int, int]:
        image.gate.clear()
        first = asyncio.create_task(limited.encode(wish(*(Image(png(30 + n)) for n in range(8)), priority=priority)))
        await until(image.begun)
        load = limited.load()
        with pytest.raises(Overloaded) as refused:
            await limited.encode(wish(Image(png(98)), Image(png(99)), priority=priority))
        assert refused.value.retry_after_s > 0
        image.gate.set()
        await first
        return load.waiting_items, load.waiting_tokens

    assert asyncio.run(story()) == (8, 8 * TOKENS)
    assert limited.load().refused == 1


def test_what_is_refused_is_not_decoded(limited: Engine, image: Watched) -> None:
    async def story() -> None:
        image.gate.clear()
        first = asyncio.create_task(limited.encode(wish(*(Image(png(30 + n)) for n in range(3)))))
        await until(image.begun)
        with pytest.raises(Overloaded):
            await limited.encode(wish(Image(png(98)), Image(png(99))))
        image.gate.set()
        await first

    asyncio.run(story())
    assert len(image.threads) == 3


@pytest.mark.parametrize("broken", [False, True])
def test_nothing_is_counted_any_more_after_a_request(limited: Engine, broken: bool) -> None:
    items = [Image(png(31)), Image(png(32)[:60] if broken else png(32))]
    if broken:
        with pytest.raises(BadRequest):
            made_of(limited, *items)
    else:
        made_of(limited, *items)

    load = limited.load()
    assert (load.waiting_items, load.waiting_tokens) == (0, 0)
    assert limited._scheduler._backlog.total() == 0


def test_files_that_wait_are_bounded_by_their_bytes_and_the_base64_that_they_came_in(
    limited: Engine, image: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "KEPT_BYTES", 2 * (len(png(30)) + len(png(31))))

    async def story() -> None:
        image.gate.clear()
        first = asyncio.create_task(limited.encode(wish(Image(png(30)))))
        await until(image.begun)
        with pytest.raises(Overloaded, match="MB of files wait"):
            await limited.encode(wish(Image(png(31)), caller="another"))
        image.gate.set()
        await first
        await limited.encode(wish(Image(png(31))))

    asyncio.run(story())


def test_pictures_that_are_known_are_answered_however_much_waits(
    clip: Parts, runtime: Sums, image: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "KEPT_BYTES", 1)
    folder, spec = clip
    loaded = Loaded(spec, TextInput(folder, spec), runtime, image=image)
    engine = Engine([loaded], cache_bytes=1_000_000, limits=Limits(max_wait_s=0.0))

    async def story() -> None:
        await engine.encode(wish(Image(png(30))))
        image.gate.clear()
        first = asyncio.create_task(engine.encode(wish(Image(png(31)))))
        for _ in range(2):
            await until(image.begun)
        await asyncio.wait_for(engine.encode(wish(Image(png(30)))), 20)
        image.gate.set()
        await first

    try:
        asyncio.run(story())
    finally:
        image.gate.set()
        engine.close()


# ------------------------------------------------------------------------------------------------ effort


def test_a_request_whose_pictures_would_take_long_together_is_refused_before_any_is_decoded(
    limited: Engine, image: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [Image(png(30)), Image(png(31))]
    effort = sum(image.needs(item).effort for item in items)
    monkeypatch.setattr(pictures, "MAX_EFFORT", effort - 1)
    with pytest.raises(TooLong, match=rf"take {effort} steps .* the limit is {effort - 1}"):
        made_of(limited, *items)

    assert image.threads == []


def test_what_is_known_or_equal_takes_no_effort(
    limited: Engine, image: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MAX_EFFORT", image.needs(Image(png(31))).effort)
    made_of(limited, Image(png(30)))

    assert made_of(limited, Image(png(30)), Image(png(31)), Image(png(31))).usage.items == 3


def test_without_a_server_nobody_is_refused_for_the_effort_of_pictures(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MAX_EFFORT", 1)

    assert made_of(engine, Image(png(30))).usage.items == 1


def test_32_progressive_photographs_of_a_camera_are_no_great_effort() -> None:
    passes, pixels, resized = 10, 4032 * 3024, 299 * (3024 + 224)

    assert 32 * ((PIXEL_EFFORT + passes) * pixels + PIXEL_EFFORT * resized) <= pictures.MAX_EFFORT


def test_pictures_that_take_long_go_on_in_small_chunks(clip: Parts) -> None:
    vision = clip[1].architecture.vision
    assert vision
    part = pictures.CHUNK_EFFORT // 400
    efforts = (1, 1, 300, 300, 99, 1, 900, 1)
    looked = {place: Looked(b"", Needs(0, part * effort)) for place, effort in enumerate(efforts)}

    assert pictures.chunks(range(8), vision, looked) == [[0, 1, 2], [3, 4, 5], [6], [7]]


# ------------------------------------------------------------------------------------------------ what is kept


class Noted(Watched):
    """Knows which patches still live."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.made: list[weakref.ref[object]] = []

    def encode_one(self, item: Image, place: int = 0) -> Encoding:
        encoding = super().encode_one(item, place)
        assert encoding.patches is not None
        owner = encoding.patches if encoding.patches.base is None else encoding.patches.base
        self.made.append(weakref.ref(owner))
        return encoding

    def living(self) -> int:
        return sum(one() is not None for one in self.made)


def threads_of(engine: Engine) -> None:
    """Wait until those that decode have nothing in hand."""
    assert engine._pictures._threads
    engine._pictures._threads.shutdown(wait=True)


def test_pixels_end_with_their_chunk(
    clip: Parts, runtime: Sums, monkeypatch: pytest.MonkeyPatch, uncollected: None
) -> None:
    monkeypatch.setattr(pictures, "CHUNK_BYTES", 1)
    monkeypatch.setattr(pictures, "usable_threads", lambda: 1)
    image = Noted(clip[1])
    engine = opened(clip, runtime, image)
    living: list[int] = []
    runtime.broken = lambda batch: living.append(image.living())
    made_of(engine, *(Image(png(30 + n)) for n in range(20)))
    threads_of(engine)

    assert len(image.made) == 20
    assert max(living) <= pictures.AT_ONCE_HERE + 2  # one that a thread has just made, one that a lane has just run
    assert image.living() == 0
    engine.close()


@pytest.mark.parametrize("deadline_s", [None, 60.0])
def test_pixels_end_with_a_request_that_fails(
    clip: Parts, runtime: Sums, deadline_s: float | None, monkeypatch: pytest.MonkeyPatch, uncollected: None
) -> None:
    monkeypatch.setattr(pictures, "usable_threads", lambda: 1)  # the broken one comes last
    image = Noted(clip[1])
    engine = opened(clip, runtime, image)
    deadline = None if deadline_s is None else time.monotonic() + deadline_s
    with pytest.raises(BadRequest, match="image 6"):
        made_of(engine, *(Image(png(30 + n)) for n in range(6)), Image(png(40)[:60]), deadline=deadline)
    threads_of(engine)

    assert image.living() == 0
    engine.close()


def test_pixels_end_with_a_request_that_the_device_cannot_compute(
    clip: Parts, runtime: Sums, monkeypatch: pytest.MonkeyPatch, uncollected: None
) -> None:
    monkeypatch.setattr(lane.log, "disabled", True)  # who tests keeps what is logged, with the error
    image = Noted(clip[1])
    engine = opened(clip, runtime, image)

    def broken(batch: Batch) -> None:
        if batch.patches is not None:
            raise ValueError("the device is broken")

    async def story() -> None:
        with pytest.raises(RuntimeFailed):
            await engine.encode(wish(Image(png(30))))
        await engine.encode(wish(Text("cat")))  # until then the lane has the picture in hand

    runtime.broken = broken
    asyncio.run(story())
    threads_of(engine)

    assert image.living() == 0
    engine.close()
