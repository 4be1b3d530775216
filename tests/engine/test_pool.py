"""Models come and go. Those here are a tiny tokeniser and a runtime of ones; how much memory they take is told."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine.engine import Engine, Loaded
from embedstack.engine.loader import Rules
from embedstack.engine.memory import Peak
from embedstack.engine.need import MB, Need
from embedstack.engine.pool import Pool
from embedstack.errors import (
    ConfigError,
    EmbedstackError,
    LoadFailed,
    Mismatch,
    NotReady,
    RuntimeFailed,
    UnknownModel,
)
from embedstack.inputs.text import TextInput
from embedstack.types import Batch, Encode, Encoded, ModelSpec, Output, Text, Tokenize, Vectors
from support.tiny import CASES, write

BASE = 50 * MB
PATIENCE_S = 20


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A meter that adds up what the models here say that they hold."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.extra = 0
        self.top = 0

    def now_bytes(self) -> int:
        return BASE + self.extra + sum(self.held.values())

    def give_back(self) -> None:
        """Nothing is kept here."""

    @contextlib.contextmanager
    def watch(self) -> Iterator[Peak]:
        peak = Peak(self.now_bytes())
        yield peak
        peak.top_bytes = max(self.now_bytes(), self.top)
        self.top = 0


class Ones:
    """A runtime that gives ones, when its gate is open."""

    lanes = 1
    precision = "float32"
    device = "cpu"
    calibration = ""
    reason = "it gives ones"

    def __init__(self, source: "Shelf") -> None:
        self.source = source

    def run(self, batch: Batch, outputs: frozenset[Output]) -> Vectors:
        self.source.running.release()
        assert self.source.gate.wait(PATIENCE_S)
        return {name: np.ones((len(batch), self.source.spec.dim), np.float32) for name in outputs}

    def close(self) -> None:
        self.source.meter.held.pop(self.source.spec.name, None)


@dataclass
class Shelf:
    """A source. `broken` makes it fail; `gate` holds its batches, `door` its loads."""

    folder: Path
    origin: ModelSpec
    meter: Told
    spec: ModelSpec
    size: int = 100 * MB
    peak: int = 0
    estimated: int = 0
    aliases: tuple[str, ...] = ()
    is_variant: bool = False
    precision: str = "auto"
    broken: Exception | None = None
    files: int = 1
    opened: int = 0
    noted: list[Need] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    door: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    running: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def open(self) -> Loaded:
        self.entered.set()
        assert self.door.wait(PATIENCE_S)
        if self.broken is not None:
            raise self.broken
        self.opened += 1
        self.meter.held[self.spec.name] = self.size
        self.meter.top = self.meter.now_bytes() + self.peak
        return Loaded(self.spec, TextInput(self.folder, self.spec), Ones(self), self.aliases)

    def need(self) -> Need:
        return Need(self.estimated or self.size, (self.estimated or self.size) + self.peak, 2.5)

    def note(self, need: Need) -> None:
        self.noted.append(need)

    def stamp(self) -> int:
        return self.files

    def again(self) -> "Shelf":
        return self


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelSpec]:
    root = tmp_path_factory.mktemp("pool")
    folder = write(CASES["bert-mean"], root / "tiny")
    return folder, find(str(folder), cache_dir=root / "cache").spec


@dataclass
class House:
    """Three models a, b, c, and pools over them."""

    shelves: dict[str, Shelf]
    meter: Told
    clock: Clock
    pools: list[Pool]

    def open(self, *, fill: bool = False, find: Callable[[str], Shelf] | None = None, **rules: object) -> Pool:
        given = Rules(**{"is_lazy": not fill, **rules})
        pool = Pool(list(self.shelves.values()), Engine([]), given, find=find, meter=self.meter, clock=self.clock)
        self.pools.append(pool)
        if fill:
            pool.fill()
        return pool

    def __getitem__(self, name: str) -> Shelf:
        return self.shelves[name]


@pytest.fixture
def house(tiny: tuple[Path, ModelSpec]) -> Iterator[House]:
    folder, spec = tiny
    meter = Told()
    shelves = {name: Shelf(folder, spec, meter, replace(spec, name=name)) for name in "abc"}
    for shelf in shelves.values():
        shelf.gate.set()
        shelf.door.set()
    made = House(shelves, meter, Clock(), [])
    yield made
    for shelf in shelves.values():
        shelf.gate.set()
        shelf.door.set()
    for pool in made.pools:
        pool.close()


def wish(model: str) -> Encode:
    return Encode(model=model, items=(Text("panda"),))


def ask(pool: Pool, model: str) -> Encoded:
    return asyncio.run(pool.encode(wish(model)))


def refused(pool: Pool, model: str) -> EmbedstackError:
    with pytest.raises(EmbedstackError) as told:
        ask(pool, model)
    return told.value


def in_memory(pool: Pool) -> str:
    return "".join(state.name for state in pool.states() if state.state == "loaded")


def loaded(pool: Pool, *models: str) -> None:
    """Load and use them, in this order."""
    for model in models:
        pool.load_model(model).result(PATIENCE_S)
        ask(pool, model)


def settled(pool: Pool) -> None:
    """What was asked for before is done."""
    pool.unload_model("c").result(PATIENCE_S)


# ------------------------------------------------------------------------------------------------ when they come


def test_a_full_pool_answers_each_model_under_its_own_name(house: House) -> None:
    pool = house.open(fill=True)

    assert [ask(pool, name).spec.name for name in "abc"] == ["a", "b", "c"]


def test_a_lazy_pool_loads_nothing_before_it_is_asked(house: House) -> None:
    pool = house.open()

    assert in_memory(pool) == ""
    assert [spec.name for spec in pool.models()] == ["a", "b", "c"]


def test_the_first_request_begins_the_load_and_hears_when_to_come_back(house: House) -> None:
    house["a"].door.clear()
    pool = house.open()

    error = refused(pool, "a")

    assert isinstance(error, NotReady)
    assert error.retry_after_s == 2.5
    assert "'a' is being loaded" in str(error)


def test_many_requests_begin_one_load(house: House) -> None:
    house["a"].door.clear()
    pool = house.open()

    for _ in range(5):
        refused(pool, "a")
    house["a"].door.set()
    settled(pool)
    ask(pool, "a")

    assert house["a"].opened == 1


def test_who_waits_behind_another_load_is_told_so(house: House) -> None:
    house["a"].door.clear()
    pool = house.open()

    refused(pool, "a")

    assert refused(pool, "b").retry_after_s == 5.0


def test_the_time_of_the_last_load_is_the_next_prediction(house: House) -> None:
    house["a"].door.clear()
    pool = house.open()
    refused(pool, "a")
    assert house["a"].entered.wait(PATIENCE_S)
    house.clock.now += 7.0
    house["a"].door.set()
    settled(pool)
    pool.unload_model("a").result(PATIENCE_S)

    assert refused(pool, "a").retry_after_s == 7.0


def test_an_alias_reaches_its_model(house: House) -> None:
    house["b"].aliases = ("bee",)
    pool = house.open(fill=True)

    assert ask(pool, "bee").spec.name == "b"
    assert pool.spec_of("bee").name == "b"


def test_a_request_without_a_name_gets_the_first_model_whatever_is_in_memory(house: House) -> None:
    pool = house.open()
    loaded(pool, "b")

    assert "'a' is being loaded" in str(refused(pool, ""))


def test_a_request_for_another_task_loads_nothing(house: House) -> None:
    pool = house.open()

    with pytest.raises(UnknownModel):
        ask(pool, "nobody")
    settled(pool)

    assert in_memory(pool) == ""


def test_tokens_are_seen_through_the_same_door(house: House) -> None:
    pool = house.open(fill=True)

    assert asyncio.run(pool.tokens(Tokenize(model="b", items=(Text("panda"),)))).spec.name == "b"


# ------------------------------------------------------------------------------------------------ when they fail


def test_what_can_never_be_loaded_is_remembered_and_not_tried_again(house: House) -> None:
    house["a"].broken = ConfigError("the weights are torn")
    pool = house.open()
    refused(pool, "a")
    settled(pool)
    house["a"].broken = None

    error = refused(pool, "a")
    settled(pool)

    assert isinstance(error, LoadFailed)
    assert "the weights are torn" in str(error)
    assert house["a"].opened == 0


def test_files_that_changed_are_tried_again(house: House) -> None:
    house["a"].broken = ConfigError("the weights are torn")
    pool = house.open()
    refused(pool, "a")
    settled(pool)
    house["a"].broken, house["a"].files = None, 2

    assert isinstance(refused(pool, "a"), NotReady)
    settled(pool)

    assert in_memory(pool) == "a"


def test_an_admin_may_always_try_again(house: House) -> None:
    house["a"].broken = ConfigError("the weights are torn")
    pool = house.open()
    with pytest.raises(ConfigError):
        pool.load_model("a").result(PATIENCE_S)
    house["a"].broken = None

    pool.load_model("a").result(PATIENCE_S)

    assert ask(pool, "a").spec.name == "a"


def test_what_may_pass_is_tried_again_after_a_pause(house: House) -> None:
    house["a"].broken = RuntimeFailed("the device is busy")
    pool = house.open()
    refused(pool, "a")
    settled(pool)
    house["a"].broken = None

    soon = refused(pool, "a")
    house.clock.now += 6.0
    later = refused(pool, "a")

    assert isinstance(soon, NotReady)
    assert "the device is busy" in str(soon)
    assert "is being loaded" in str(later)


def test_a_failure_nobody_foresaw_does_not_stop_other_loads(house: House) -> None:
    house["a"].broken = ZeroDivisionError("what")
    pool = house.open()
    refused(pool, "a")

    loaded(pool, "b")

    assert in_memory(pool) == "b"
    assert pool.alive


def test_one_failure_leaves_the_others_and_is_told(house: House) -> None:
    house["b"].broken = ConfigError("torn")
    pool = house.open(fill=True)

    assert in_memory(pool) == "ac"
    assert [(state.state, state.reason) for state in pool.states()][1] == ("failed", "torn")


def test_where_nothing_can_be_loaded_the_first_failure_is_raised(house: House) -> None:
    for shelf in house.shelves.values():
        shelf.broken = Mismatch(f"{shelf.spec.name} is torn")

    with pytest.raises(Mismatch, match="a is torn"):
        house.open(fill=True)


def test_a_model_that_is_not_what_its_truth_says_is_not_served(house: House) -> None:
    def check(encoder: object, precision: str) -> str:
        raise Mismatch("another vector than its truth")

    pool = Pool([house["a"]], Engine([]), Rules(is_lazy=True), check=check, meter=house.meter)
    house.pools.append(pool)

    with pytest.raises(Mismatch):
        pool.load_model("a").result(PATIENCE_S)

    assert house.meter.held == {}
    assert isinstance(refused(pool, "a"), LoadFailed)


def test_the_check_sees_the_model_under_its_own_name(house: House) -> None:
    seen = []

    def check(encoder, precision):
        (spec,) = encoder.models()
        seen.append((spec.name, asyncio.run(encoder.encode(wish(spec.name))).usage.items))
        return "proven"

    pool = Pool([house["a"]], Engine([]), Rules(is_lazy=True), check=check, meter=house.meter)
    house.pools.append(pool)
    pool.load_model("a").result(PATIENCE_S)

    assert seen == [("tiny", 1)]
    assert pool.proof == "proven"


def test_files_of_another_space_are_refused_under_a_name_that_has_answered(house: House) -> None:
    pool = house.open()
    loaded(pool, "a")
    pool.unload_model("a").result(PATIENCE_S)
    house["a"].again = lambda: replace(house["a"], spec=replace(house["a"].spec, weights="others"))

    refused(pool, "a")
    settled(pool)

    assert "have changed" in str(refused(pool, "a"))


def test_an_admin_takes_new_files(house: House) -> None:
    pool = house.open()
    loaded(pool, "a")
    pool.unload_model("a").result(PATIENCE_S)
    house["a"].again = lambda: replace(house["a"], spec=replace(house["a"].spec, weights="others"))

    pool.load_model("a").result(PATIENCE_S)

    assert ask(pool, "a").spec.weights == "others"


# ------------------------------------------------------------------------------------------------ the ceiling


def test_the_least_recently_used_makes_room(house: House) -> None:
    pool = house.open(ceiling_bytes=BASE + 250 * MB)
    loaded(pool, "a", "b")
    house.clock.now += 1
    ask(pool, "a")

    loaded(pool, "c")

    assert in_memory(pool) == "ac"


def test_a_pool_that_is_filled_leaves_out_what_has_no_room(house: House) -> None:
    pool = house.open(fill=True, ceiling_bytes=BASE + 250 * MB)

    assert in_memory(pool) == "ab"
    assert [state.state for state in pool.states()] == ["loaded", "loaded", "available"]


def test_what_cannot_fit_alone_is_refused_and_nobody_goes_for_it(house: House) -> None:
    house["c"].size = 300 * MB
    pool = house.open(ceiling_bytes=BASE + 250 * MB)
    loaded(pool, "a", "b")

    with pytest.raises(LoadFailed, match=r"'c' needs 300 MB.*the ceiling is 300 MB"):
        pool.load_model("c").result(PATIENCE_S)

    assert in_memory(pool) == "ab"
    assert isinstance(refused(pool, "c"), LoadFailed)


def test_the_peak_of_a_load_counts(house: House) -> None:
    house["c"].peak = 120 * MB
    pool = house.open(ceiling_bytes=BASE + 250 * MB)
    loaded(pool, "a")

    loaded(pool, "c")

    assert in_memory(pool) == "c"


def test_what_was_measured_replaces_the_estimate_and_is_noted(house: House) -> None:
    house["a"].estimated, house["a"].peak = 180 * MB, 30 * MB
    pool = house.open(ceiling_bytes=BASE + 250 * MB)

    loaded(pool, "a")

    need = pool.states()[0].need
    assert (need.held_bytes, need.peak_bytes, need.is_measured) == (100 * MB, 130 * MB, True)
    assert house["a"].noted == [need]


def test_a_model_that_turns_out_too_large_does_not_stay(house: House) -> None:
    house["a"].estimated, house["a"].size = 10 * MB, 300 * MB
    pool = house.open(ceiling_bytes=BASE + 250 * MB)

    with pytest.raises(LoadFailed, match=r"needs 300 MB while it is loaded \(was measured\)"):
        pool.load_model("a").result(PATIENCE_S)

    assert house.meter.held == {}


def test_a_model_that_turns_out_larger_drives_others_out(house: House) -> None:
    house["c"].estimated, house["c"].size = 10 * MB, 200 * MB
    pool = house.open(ceiling_bytes=BASE + 250 * MB)
    loaded(pool, "a")

    loaded(pool, "c")

    assert in_memory(pool) == "c"


def test_a_model_that_was_just_loaded_is_used_once_before_it_makes_room(house: House) -> None:
    pool = house.open(ceiling_bytes=BASE + 150 * MB)
    pool.load_model("a").result(PATIENCE_S)

    coming = pool.load_model("b")
    was_done = coming.done()
    made = ask(pool, "a")
    coming.result(PATIENCE_S)

    assert (was_done, made.spec.name, in_memory(pool)) == (False, "a", "b")


def test_a_busy_model_finishes_before_it_makes_room(house: House) -> None:
    pool = house.open(ceiling_bytes=BASE + 150 * MB)
    loaded(pool, "a")
    house["a"].running.acquire()
    house["a"].gate.clear()

    async def story() -> tuple[Encoded, bool]:
        under_way = asyncio.create_task(pool.encode(wish("a")))
        assert await asyncio.to_thread(house["a"].running.acquire, timeout=PATIENCE_S)
        coming = pool.load_model("b")
        while pool.states()[0].state != "unloading":
            await asyncio.sleep(0)
        was_done = coming.done()
        house["a"].gate.set()
        made = await under_way
        await asyncio.wrap_future(coming)
        return made, was_done

    made, was_done = asyncio.run(story())

    assert made.spec.name == "a"
    assert not was_done
    assert in_memory(pool) == "b"


def test_new_requests_for_a_model_that_goes_are_told_to_come_back(house: House) -> None:
    pool = house.open(fill=True)
    house["a"].running.acquire(blocking=False)
    house["a"].gate.clear()

    async def story() -> Exception:
        under_way = asyncio.create_task(pool.encode(wish("a")))
        assert await asyncio.to_thread(house["a"].running.acquire, timeout=PATIENCE_S)
        pool.unload_model("a")
        while pool.states()[0].state != "unloading":
            await asyncio.sleep(0)
        with pytest.raises(NotReady) as told:
            await pool.encode(wish("a"))
        house["a"].gate.set()
        await under_way
        return told.value

    assert "is being unloaded" in str(asyncio.run(story()))


def test_memory_that_grows_over_the_ceiling_drives_a_model_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstack.engine.loader.LOOK_S", 0.01)
    pool = house.open(ceiling_bytes=BASE + 250 * MB)
    loaded(pool, "a", "b")

    house.meter.extra = 60 * MB

    wait_until(lambda: in_memory(pool) == "b")


def test_a_model_that_nobody_uses_goes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstack.engine.loader.LOOK_S", 0.01)
    pool = house.open(fill=True, idle_unload_s=60)
    house.clock.now += 50
    ask(pool, "b")

    house.clock.now += 20

    wait_until(lambda: in_memory(pool) == "b")


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_so():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never became so")


# ------------------------------------------------------------------------------------------------ by hand


def test_an_unloaded_model_is_still_served_and_comes_back(house: House) -> None:
    pool = house.open(fill=True)

    pool.unload_model("a").result(PATIENCE_S)

    assert house.meter.held.keys() == {"b", "c"}
    assert isinstance(refused(pool, "a"), NotReady)
    settled(pool)
    assert ask(pool, "a").spec.name == "a"


def test_a_forgotten_model_is_unknown(house: House) -> None:
    pool = house.open(fill=True)

    pool.forget_model("b").result(PATIENCE_S)

    assert isinstance(refused(pool, "b"), UnknownModel)
    assert [spec.name for spec in pool.models()] == ["a", "c"]
    assert house.meter.held.keys() == {"a", "c"}


def test_a_model_may_be_added(house: House) -> None:
    added = replace(house["a"], spec=replace(house["a"].spec, name="d"))
    pool = house.open(fill=True, find=lambda name: added)

    pool.add_model("d")
    loaded(pool, "d")

    assert ask(pool, "d").spec.name == "d"


def test_a_pool_that_finds_nothing_takes_no_new_names(house: House) -> None:
    with pytest.raises(UnknownModel, match="served: a, b, c"):
        house.open().add_model("d")


def test_a_closed_pool_refuses_what_waits_and_gives_all_back(house: House) -> None:
    pool = house.open(fill=True)
    house["a"].door.clear()
    pool.unload_model("a").result(PATIENCE_S)
    loading, waiting = pool.load_model("a"), pool.load_model("b")
    closing = threading.Thread(target=pool.close)
    closing.start()
    house["a"].door.set()
    closing.join(PATIENCE_S)

    assert loading.exception(PATIENCE_S) is None
    assert waiting.done()
    assert house.meter.held == {}
    with pytest.raises(NotReady):
        pool.load_model("a")


def test_a_waiter_who_gives_up_does_not_stop_the_load(house: House) -> None:
    house["a"].door.clear()
    pool = house.open()
    doing: Future[None] = pool.load_model("a")

    assert not doing.cancel()

    house["a"].door.set()
    doing.result(PATIENCE_S)
    assert in_memory(pool) == "a"


def test_states_say_who_is_busy_and_who_is_idle(house: House) -> None:
    pool = house.open(fill=True)
    ask(pool, "a")
    house.clock.now += 3

    first, second, _ = pool.states()

    assert (first.idle_s, first.in_flight, first.state) == (3.0, 0, "loaded")
    assert second.idle_s is None
