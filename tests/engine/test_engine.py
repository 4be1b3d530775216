"""Many callers, one device. The runtime here adds up token ids, and can be held, broken and counted."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine import lane
from embedstack.engine.engine import Engine
from embedstack.engine.line import Job
from embedstack.engine.loaded import Loaded
from embedstack.errors import BadRequest, DeadlineExceeded, NotReady, RuntimeFailed, TooLong, UnknownModel, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.modelspec import Output
from embedstack.runtimes import Options, open_runtime
from embedstack.types import Batch, Encode, Encoding, Pair, Score, Text, Vectors
from support.tiny import CASES, write


class Adding:
    """A runtime whose vector says which ids it saw; `gate` holds it, `broken` names ids that make it fail."""

    lanes = 1
    precision = "float32"
    device = "cpu"
    calibration = ""
    reason = "it only adds"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Semaphore(0)
        self.batches: list[list[int]] = []
        self.broken: Callable[[Batch], None] = lambda batch: None
        self.is_closed = False

    def run(self, batch: Batch, outputs: frozenset[Output]) -> Vectors:
        self.running.release()
        assert self.gate.wait(20)
        self.broken(batch)
        self.batches.append(np.diff(batch.offsets).tolist())
        sums = np.add.reduceat(batch.ids, batch.offsets[:-1]).astype(np.float32)
        return {name: np.repeat(sums[:, None], 1 if name == "score" else self.dim, axis=1) for name in outputs}

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(scope="session")
def loaded_parts(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("engine")
    return {
        name: (folder := write(CASES[name], root / name), find(str(folder), cache_dir=root / "cache").spec)
        for name in ("bert-mean", "bert-classifier")
    }


@pytest.fixture
def runtime(loaded_parts) -> Adding:
    return Adding(loaded_parts["bert-mean"][1].dim)


@pytest.fixture
def engine(loaded_parts, runtime: Adding):
    models = [
        Loaded(spec, TextInput(folder, spec), runtime, aliases=("mean",) if "mean" in name else ())
        for name, (folder, spec) in loaded_parts.items()
    ]
    made = Engine(models, batch_tokens=64)
    yield made
    runtime.gate.set()
    made.close()


def wish(*texts: str, **change: object) -> Encode:
    return Encode(**{"model": "", "items": tuple(Text(text) for text in texts), **change})  # type: ignore[arg-type]


async def until_running(runtime: Adding) -> None:
    """The lane has taken a batch and stands at the gate."""
    assert await asyncio.to_thread(runtime.running.acquire, timeout=20)


def test_rows_come_back_in_input_order(engine: Engine) -> None:
    texts = ["panda", "a panda and a bear in the city of the king", "sun", "music paper light"]

    together = asyncio.run(engine.encode(wish(*texts, normalize=False))).dense
    alone = [asyncio.run(engine.encode(wish(text, normalize=False))).dense[0] for text in texts]

    assert np.array_equal(together, alone)


def test_no_items_is_no_work(engine: Engine, runtime: Adding) -> None:
    made = asyncio.run(engine.encode(wish()))

    assert made.dense.shape == (0, made.spec.dim)
    assert runtime.batches == []


def test_an_idle_device_starts_at_once_and_what_arrives_meanwhile_runs_together(
    engine: Engine, runtime: Adding
) -> None:
    async def story() -> None:
        runtime.gate.clear()
        first = asyncio.create_task(engine.encode(wish("panda")))
        await until_running(runtime)
        others = [asyncio.create_task(engine.encode(wish(word))) for word in ("sun", "moon", "star")]
        while engine.waiting_tokens < 9:
            await asyncio.sleep(0)
        runtime.gate.set()
        await asyncio.gather(first, *others)

    asyncio.run(story())

    assert [len(batch) for batch in runtime.batches] == [1, 3]


def test_identical_texts_in_flight_are_computed_once(engine: Engine, runtime: Adding) -> None:
    async def story():
        runtime.gate.clear()
        blocker = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        same = [asyncio.create_task(engine.encode(wish("panda", "panda"))) for _ in range(5)]
        while engine.waiting_tokens < 3:
            await asyncio.sleep(0)
        runtime.gate.set()
        return await asyncio.gather(blocker, *same)

    _, *made = asyncio.run(story())

    assert [len(batch) for batch in runtime.batches] == [1, 1]
    assert all(np.array_equal(one.dense, made[0].dense) for one in made)


def test_a_caller_that_hangs_up_costs_nothing(engine: Engine, runtime: Adding) -> None:
    async def story() -> None:
        runtime.gate.clear()
        blocker = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        leaving = asyncio.create_task(engine.encode(wish("panda", "bear")))
        while engine.waiting_tokens < 6:
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert engine.waiting_tokens == 0
        runtime.gate.set()
        await blocker

    asyncio.run(story())

    assert len(runtime.batches) == 1


def test_who_shares_an_item_with_a_caller_that_hangs_up_still_gets_it(engine: Engine, runtime: Adding) -> None:
    async def story():
        runtime.gate.clear()
        blocker = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        leaving = asyncio.create_task(engine.encode(wish("panda")))
        while engine.waiting_tokens < 3:
            await asyncio.sleep(0)
        staying = asyncio.create_task(engine.encode(wish("panda", "sun")))
        while engine.waiting_tokens < 6:
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        runtime.gate.set()
        return await asyncio.gather(blocker, staying)

    _, made = asyncio.run(story())

    assert made.dense.any()


def test_a_deadline_ends_the_wait(engine: Engine, runtime: Adding) -> None:
    async def story() -> None:
        runtime.gate.clear()
        blocker = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        with pytest.raises(DeadlineExceeded):
            await engine.encode(wish("panda", deadline=time.monotonic() + 0.05))
        assert engine.waiting_tokens == 0
        runtime.gate.set()
        await blocker

    asyncio.run(story())


def test_an_error_reaches_only_the_request_that_caused_it(engine: Engine, runtime: Adding) -> None:
    async def story():
        runtime.gate.clear()
        blocker = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        runtime.broken = poisoned
        tasks = [asyncio.create_task(engine.encode(wish(text))) for text in ("sun", "king queen", "moon", "star")]
        while engine.waiting_tokens < 13:
            await asyncio.sleep(0)
        runtime.gate.set()
        return await asyncio.gather(blocker, *tasks, return_exceptions=True)

    def poisoned(batch: Batch) -> None:
        if 4 in np.diff(batch.offsets):
            raise ValueError("the device does not like 4 tokens")

    _, *made = asyncio.run(story())

    assert [isinstance(one, RuntimeFailed) for one in made] == [False, True, False, False]


def test_a_batch_that_is_too_large_for_the_device_is_split(engine: Engine, runtime: Adding) -> None:
    def small(batch: Batch) -> None:
        if len(batch) > 2:
            raise MemoryError

    runtime.broken = small

    made = asyncio.run(engine.encode(wish(*[f"panda {c}" for c in "abcdefg"])))

    assert made.dense.shape[0] == 7
    assert max(len(batch) for batch in runtime.batches) == 2


def test_a_number_that_is_not_finite_is_an_error_and_never_a_vector(
    engine: Engine, runtime: Adding, monkeypatch
) -> None:
    monkeypatch.setattr(
        runtime, "run", lambda batch, outputs: {"dense": np.full((len(batch), runtime.dim), np.nan, np.float32)}
    )

    with pytest.raises(RuntimeFailed, match="not finite"):
        asyncio.run(engine.encode(wish("panda")))


def test_the_lane_lives_on_after_an_error(engine: Engine, runtime: Adding) -> None:
    def broken(batch: Batch) -> None:
        raise ValueError("once")

    runtime.broken = broken
    with pytest.raises(RuntimeFailed):
        asyncio.run(engine.encode(wish("panda")))
    runtime.broken = lambda batch: None

    assert engine.alive
    assert asyncio.run(engine.encode(wish("panda"))).usage.items == 1


def test_interactive_overtakes_bulk(engine: Engine, runtime: Adding) -> None:
    async def story() -> None:
        runtime.gate.clear()
        blocker = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        bulk = asyncio.create_task(engine.encode(wish(*[f"panda {c}" for c in "abcdefgh" * 9], priority="bulk")))
        while not engine.waiting_tokens:
            await asyncio.sleep(0)
        quick = asyncio.create_task(engine.encode(wish("a b c d e f")))
        while engine.waiting_tokens < 8 * 4 + 8:
            await asyncio.sleep(0)
        runtime.gate.set()
        await asyncio.gather(blocker, bulk, quick)

    asyncio.run(story())

    assert runtime.batches[1][0] == 8


def test_a_whole_request_is_packed_the_same_way_whoever_else_calls(engine: Engine, runtime: Adding) -> None:
    texts = [" ".join(["panda"] * n) for n in range(1, 30)]

    async def story(noise: int) -> list[list[int]]:
        runtime.batches.clear()
        runtime.running = threading.Semaphore(0)
        runtime.gate.clear()
        blocker = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        others = [asyncio.create_task(engine.encode(wish(f"sun {c}"))) for c in "abcdefghij"[:noise]]
        job = asyncio.create_task(engine.encode(wish(*texts, whole=True)))
        while engine.waiting_tokens < sum(range(3, 32)) + 4 * noise:
            await asyncio.sleep(0)
        runtime.gate.set()
        await asyncio.gather(blocker, job, *others)
        return [batch for batch in runtime.batches if batch not in ([3], [4] * noise)]

    assert asyncio.run(story(0)) == asyncio.run(story(7))


def test_a_cached_text_does_not_run_again(loaded_parts) -> None:
    folder, spec = loaded_parts["bert-mean"]
    runtime = Adding(spec.dim)
    engine = Engine([Loaded(spec, TextInput(folder, spec), runtime)], cache_bytes=1_000_000)

    first = asyncio.run(engine.encode(wish("panda", "sun")))
    second = asyncio.run(engine.encode(wish("sun", "panda", "moon")))

    assert np.array_equal(first.dense, second.dense[[1, 0]])
    assert [len(batch) for batch in runtime.batches] == [2, 1]
    engine.close()


def test_what_waits_is_refused_when_the_engine_stops(loaded_parts) -> None:
    folder, spec = loaded_parts["bert-mean"]
    runtime = Adding(spec.dim)
    engine = Engine([Loaded(spec, TextInput(folder, spec), runtime)])

    async def story():
        runtime.gate.clear()
        running = asyncio.create_task(engine.encode(wish("music")))
        await until_running(runtime)
        waiting = asyncio.create_task(engine.encode(wish("panda")))
        while not engine.waiting_tokens:
            await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(engine.close))
        while engine.waiting_tokens:
            await asyncio.sleep(0)
        runtime.gate.set()
        await closing
        return await asyncio.gather(running, waiting, return_exceptions=True)

    running, waiting = asyncio.run(story())

    assert running.usage.items == 1
    assert isinstance(waiting, NotReady)
    assert runtime.is_closed
    with pytest.raises(NotReady):
        asyncio.run(engine.encode(wish("panda")))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": "bert-meen"}, UnknownModel, "did you mean 'bert-mean'"),
        ({"model": "bert-classifier"}, Unsupported, "is for rerank, not for embed"),
        ({"dim": 5}, Unsupported, "allowed: 32"),
        ({"outputs": frozenset({"sparse"})}, Unsupported, "no sparse output"),
        ({"items": (Text(""),)}, BadRequest, "text 0 is empty"),
        ({"items": (Text("panda " * 100),), "truncate": "refuse"}, TooLong, "the limit is 40"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(engine: Engine, change: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        asyncio.run(
            engine.encode(
                wish(*([] if "items" in change else ["panda"]), **change)
                if "items" not in change
                else Encode(model=change.pop("model", ""), **change)
            )
        )


def test_scores_are_in_input_order(engine: Engine) -> None:
    """This runtime's logit is the sum of the ids, so a longer document scores higher."""
    pairs = (Pair("sun", "moon"), Pair("sun", "moon and star and tree"), Pair("sun", "a"))

    made = asyncio.run(engine.score(Score(model="", items=pairs, raw_scores=True)))

    assert made.order == [1, 0, 2]
    assert made.scores[1] > made.scores[0] > made.scores[2]


def test_usage_counts_real_tokens_and_cuts(engine: Engine) -> None:
    made = asyncio.run(engine.encode(wish("panda", "sun " * 100)))

    assert made.usage.tokens == 3 + 40
    assert made.usage.truncated == 1
    assert made.usage.dropped == 102 - 40


def test_a_thousand_callers_at_once_each_get_their_own(engine: Engine) -> None:
    words = [f"{a} {b} {c}" for a in "abcdefghij" for b in "abcdefghij" for c in "abcdefghij"]

    async def story():
        return await asyncio.gather(*(engine.encode(wish(word, normalize=False)) for word in words))

    made = asyncio.run(story())
    again = asyncio.run(engine.encode(wish(*words, normalize=False))).dense

    assert np.array_equal(np.concatenate([one.dense for one in made]), again)


def test_what_fails_after_the_run_is_an_error_and_not_a_silence(loaded_parts, monkeypatch) -> None:
    folder, spec = loaded_parts["bert-mean"]
    engine = Engine([Loaded(spec, TextInput(folder, spec), Adding(spec.dim))], cache_bytes=1000)

    def full(key: object, rows: object) -> None:
        raise MemoryError

    monkeypatch.setattr(engine._cache, "put", full)

    with pytest.raises(RuntimeFailed, match="MemoryError"):
        asyncio.run(engine.encode(wish("panda")))
    assert engine.alive
    engine.close()


def test_a_runtime_that_loses_rows_is_refused(engine: Engine, runtime: Adding, monkeypatch) -> None:
    monkeypatch.setattr(runtime, "run", lambda batch, outputs: {"dense": np.ones((1, runtime.dim), np.float32)})

    made = asyncio.run(engine.encode(wish("panda")))
    with pytest.raises(RuntimeFailed, match="1 dense rows for 2"):
        lane._rows(lane.Group(runtime, made.spec, frozenset({"dense"}), "it"), [job(2), job(3)])


def job(length: int) -> Job:
    return Job(Encoding(np.ones(length, np.int32)), None, [])


def test_a_lane_that_dies_leaves_nobody_waiting(engine: Engine, runtime: Adding, monkeypatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda given: None)

    def deadly(batch: Batch) -> None:
        raise SystemExit

    runtime.broken = deadly

    with pytest.raises(RuntimeFailed, match="the engine has died"):
        asyncio.run(engine.encode(wish("panda")))
    for thread in engine._lanes:
        thread.join(20)
    assert not engine.alive
    with pytest.raises(NotReady):
        asyncio.run(engine.encode(wish("panda")))


def test_each_caller_gets_an_error_of_its_own(engine: Engine, runtime: Adding) -> None:
    def broken(batch: Batch) -> None:
        raise ValueError("no")

    async def story():
        runtime.gate.clear()
        tasks = [asyncio.create_task(engine.encode(wish("panda"))) for _ in range(2)]
        await until_running(runtime)
        runtime.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    runtime.broken = broken
    first, second = asyncio.run(story())

    assert first is not second
    assert isinstance(first.__cause__, ValueError)


def test_a_whole_request_is_packed_the_same_way_with_a_cache(loaded_parts) -> None:
    folder, spec = loaded_parts["bert-mean"]
    runtime = Adding(spec.dim)
    engine = Engine([Loaded(spec, TextInput(folder, spec), runtime)], batch_tokens=32, cache_bytes=1_000_000)
    texts = [" ".join(["panda"] * n) for n in range(1, 12)]

    asyncio.run(engine.encode(wish(*texts, whole=True)))
    first, runtime.batches = runtime.batches, []
    asyncio.run(engine.encode(wish(*texts, whole=True)))

    assert runtime.batches == first
    engine.close()


def test_a_deadline_that_has_passed_costs_nothing(engine: Engine, runtime: Adding) -> None:
    with pytest.raises(DeadlineExceeded):
        asyncio.run(engine.encode(wish("panda", deadline=time.monotonic() - 1)))

    assert runtime.batches == []


def test_no_output_is_no_request(engine: Engine) -> None:
    with pytest.raises(BadRequest, match="no output"):
        asyncio.run(engine.encode(wish("panda", outputs=frozenset())))


def test_a_fingerprint_that_is_remembered_is_the_specs(engine: Engine) -> None:
    loaded = engine.find("", "embed")
    changes = ({}, {"max_tokens": 4}, {"max_tokens": 4, "truncate": "left"}, {"normalize": False})

    made = [asyncio.run(engine.encode(wish("panda", **change))).fingerprint for change in changes]

    assert made == [
        loaded.spec.fingerprint(loaded.runtime.precision, calibration=loaded.runtime.calibration, **change)
        for change in changes
    ]


def test_a_request_that_cuts_otherwise_has_another_fingerprint(engine: Engine) -> None:
    changes = ({}, {"max_tokens": 5}, {"truncate": "left"}, {"normalize": False})

    made = [asyncio.run(engine.encode(wish("panda", **change))).fingerprint for change in changes]
    same = asyncio.run(engine.encode(wish("panda", max_tokens=4000))).fingerprint

    assert len(set(made)) == 4
    assert same == made[0]


def test_an_engine_that_nobody_holds_ends_its_lanes(loaded_parts) -> None:
    folder, spec = loaded_parts["bert-mean"]
    engine = Engine([Loaded(spec, TextInput(folder, spec), Adding(spec.dim))])
    lanes = engine._lanes

    del engine
    gc.collect()

    for thread in lanes:
        thread.join(20)
    assert not any(thread.is_alive() for thread in lanes)


def test_closing_twice_does_no_harm(loaded_parts) -> None:
    folder, spec = loaded_parts["bert-mean"]
    runtime = open_runtime("openvino")(spec, open_weights(folder), Options(precision="float32", threads=1))
    engine = Engine([Loaded(spec, TextInput(folder, spec), runtime)])

    engine.close()
    engine.close()


def test_two_models_of_one_name_are_refused(loaded_parts) -> None:
    folder, spec = loaded_parts["bert-mean"]
    model = Loaded(spec, TextInput(folder, spec), Adding(spec.dim))

    with pytest.raises(BadRequest, match="the same name"):
        Engine([model, model])


def test_vectors_become_arrays_of_any_kind(engine: Engine) -> None:
    made = asyncio.run(engine.encode(wish("panda")))

    assert np.asarray(made, dtype=np.float64).dtype == np.float64
    assert np.asarray(made) is made.dense or np.shares_memory(np.asarray(made), made.dense)
    assert not np.shares_memory(np.array(made), made.dense)


def test_a_long_request_is_tokenised_in_groups_that_keep_their_numbers(engine: Engine) -> None:
    texts = ["panda " * 50_000] * 6 + [""]

    with pytest.raises(BadRequest, match="text 6 is empty"):
        asyncio.run(engine.encode(wish(*texts)))
