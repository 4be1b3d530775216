"""An engine that is asked for more than it can do, with real lanes. The runtime adds up ids, within its memory."""

import asyncio
import logging
import threading
from collections.abc import Callable

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine.admission import Limits
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.errors import Overloaded, TooLong
from embedstack.inputs.text import TextInput
from embedstack.modelspec import Output
from embedstack.types import Batch, Encode, Text, Vectors
from embedstack.watching import BatchRun
from support.tiny import CASES, write


class Narrow:
    """A device with room for so many tokens; `gate` holds it."""

    lanes = 1
    precision = "float32"
    device = "cpu"
    calibration = ""
    reason = "it only adds"

    def __init__(self, dim: int, room: int = 10_000) -> None:
        self.dim, self.room = dim, room
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Semaphore(0)
        self.tried: list[int] = []

    def run(self, batch: Batch, outputs: frozenset[Output]) -> Vectors:
        self.running.release()
        assert self.gate.wait(20)
        self.tried.append(len(batch.ids))
        if len(batch.ids) > self.room:
            raise MemoryError("bad allocation")
        sums = np.add.reduceat(batch.ids, batch.offsets[:-1]).astype(np.float32)
        return {name: np.repeat(sums[:, None], self.dim, axis=1) for name in outputs}

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("overload")
    folder = write(CASES["bert-mean"], root / "bert-mean")
    return folder, find(str(folder), cache_dir=root / "cache").spec


@pytest.fixture
def open_narrow(model):
    made: list[tuple[Engine, Narrow]] = []

    def opened(room: int = 10_000, **how: object) -> tuple[Engine, Narrow]:
        folder, spec = model
        runtime = Narrow(spec.dim, room)
        engine = Engine([Loaded(spec, TextInput(folder, spec), runtime)], batch_tokens=64, **how)
        made.append((engine, runtime))
        return engine, runtime

    yield opened
    for engine, runtime in made:
        runtime.gate.set()
        engine.close()


Open = Callable[..., tuple[Engine, Narrow]]


def wish(*texts: str, **change: object) -> Encode:
    return Encode(**{"model": "", "items": tuple(Text(text) for text in texts), **change})  # type: ignore[arg-type]


MANY = [f"panda {a} {b}" for a in "abcdefghij" for b in "abcdefghij"]  # 5 tokens each


async def until_running(runtime: Narrow) -> None:
    assert await asyncio.to_thread(runtime.running.acquire, timeout=20)


def test_after_running_out_of_memory_batches_are_smaller_and_everyone_is_answered(open_narrow: Open, caplog) -> None:
    engine, runtime = open_narrow(room=20)
    with caplog.at_level(logging.WARNING, "embedstack"):
        first = asyncio.run(engine.encode(wish(*MANY, normalize=False)))
        learned, runtime.tried = runtime.tried, []
        second = asyncio.run(engine.encode(wish(*MANY, normalize=False)))

    assert np.array_equal(first.dense, second.dense)
    assert max(learned) > 20 >= max(runtime.tried)
    assert [record.getMessage().split()[0] for record in caplog.records].count("event=out_of_memory") == 1
    assert engine._scheduler.counts().out_of_memory >= 1


def test_another_failure_leaves_batches_as_they_are(open_narrow: Open, monkeypatch) -> None:
    engine, runtime = open_narrow()
    sums = runtime.run

    def once(batch: Batch, outputs: frozenset[Output]) -> Vectors:
        monkeypatch.setattr(runtime, "run", sums)
        raise ValueError("a hiccup")

    monkeypatch.setattr(runtime, "run", once)
    asyncio.run(engine.encode(wish(*MANY)))

    assert max(runtime.tried) > 32
    assert engine._scheduler.counts().out_of_memory == 0


def test_too_much_at_once_is_refused_and_the_rest_is_answered(open_narrow: Open) -> None:
    engine, runtime = open_narrow(limits=Limits(max_wait_s=0.02))

    async def story() -> list[object]:
        runtime.gate.clear()
        first = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        tasks = [asyncio.create_task(engine.encode(wish(text))) for text in MANY]
        while sum(task.done() for task in tasks) + engine.load().waiting_items < len(tasks):
            await asyncio.sleep(0)
        runtime.gate.set()
        return await asyncio.gather(first, *tasks, return_exceptions=True)

    made = asyncio.run(story())

    refused = [one for one in made if isinstance(one, Overloaded)]
    assert 0 < len(refused) < len(MANY)
    assert all(one.retry_after_s > 0 for one in refused)
    assert len(made) - len(refused) == sum(hasattr(one, "dense") for one in made)
    assert engine._scheduler.counts().refused == len(refused)
    assert engine.waiting_tokens == 0


def test_a_script_is_never_refused(open_narrow: Open) -> None:
    engine, _ = open_narrow()

    async def story() -> list[object]:
        return await asyncio.gather(*(engine.encode(wish(text)) for text in MANY * 5))

    assert len(asyncio.run(story())) == 500


def test_a_request_over_the_limit_of_tokens_hears_both_numbers(open_narrow: Open) -> None:
    engine, runtime = open_narrow(max_request_tokens=12)

    asyncio.run(engine.encode(wish("panda a b", "sun b c")))
    with pytest.raises(TooLong, match="the request has 15 tokens and the limit is 12"):
        asyncio.run(engine.encode(wish(*MANY[:3])))

    assert sum(runtime.tried) == 10


def test_those_who_watch_see_each_batch(open_narrow: Open) -> None:
    engine, _runtime = open_narrow()
    seen: list[BatchRun] = []
    told = threading.Semaphore(0)
    engine.on_batch.append(seen.append)
    engine.on_batch.append(lambda run: told.release())

    made = asyncio.run(engine.encode(wish("panda a b c", "sun", priority="bulk")))
    assert told.acquire(timeout=20)

    (run,) = seen
    assert (run.model, run.lane, run.priority, run.is_whole) == (made.spec.name, 0, "bulk", True)
    assert (run.items, run.tokens, run.padded) == (2, 9, 12)
    assert min(run.wait_s, run.predicted_s, run.run_s) >= 0


def test_one_who_watches_and_fails_does_no_harm(open_narrow: Open, caplog) -> None:
    engine, _ = open_narrow()

    def broken(run: BatchRun) -> None:
        raise ValueError("no disk")

    engine.on_batch.append(broken)
    asyncio.run(engine.encode(wish("panda")))
    asyncio.run(engine.encode(wish("panda")))

    assert engine.alive


def test_how_busy_it_is_can_be_seen(open_narrow: Open) -> None:
    engine, runtime = open_narrow(limits=Limits(max_wait_s=0.0))

    async def story() -> None:
        runtime.gate.clear()
        first = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        others = [asyncio.create_task(engine.encode(wish(text))) for text in MANY[:4]]
        while engine.waiting_tokens < 20:
            await asyncio.sleep(0)
        load = engine.load()
        assert (load.waiting_items, load.waiting_tokens, load.running_items) == (4, 20, 1)
        assert (load.batches, load.batch_items, load.batch_tokens) == (1, 1, 64)
        assert load.limit_tokens >= 64
        runtime.gate.set()
        await asyncio.gather(first, *others)

    asyncio.run(story())
