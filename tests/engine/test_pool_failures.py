"""Models that cannot be loaded: what is remembered, what is tried again, what the others do meanwhile."""

import asyncio
import gc
import threading
import weakref
from dataclasses import replace

import pytest

from embedstack.engine.admission import Limits
from embedstack.engine.engine import Engine
from embedstack.engine.loader import Rules
from embedstack.engine.pool import Pool
from embedstack.errors import ConfigError, LoadFailed, Mismatch, NotReady, Overloaded, RuntimeFailed
from embedstack.proof.proving import Proving
from embedstack.types import Encode, Text
from support.shelves import PATIENCE_S, House, ask, in_memory, loaded, refused, settled, wish


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


def test_a_reason_is_one_value_of_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house["a"].broken = ConfigError('the file "a b" is\ntorn')
    pool = house.open()
    refused(pool, "a")
    settled(pool)

    assert r'state=failed reason="the file \"a b\" is\ntorn"' in caplog.text


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


def test_what_may_run_unproven_is_compared_with_nothing(house: House) -> None:
    def check(encoder: object, precision: str) -> str:
        raise Mismatch("another vector than its truth")

    house["a"].is_proven = False
    pool = house.open(check=check)
    pool.load_model("a").result(PATIENCE_S)

    assert [(state.name, state.proof) for state in pool.states() if state.state == "loaded"] == [("a", "unproven")]


def test_what_fails_its_proof_leaves_nothing_open(house: House) -> None:
    def proving(proof: Proving) -> None:
        raise Mismatch("int8 is not proven")

    house["a"].proving = proving
    pool = house.open()

    with pytest.raises(Mismatch, match="int8"):
        pool.load_model("a").result(PATIENCE_S)
    assert house.meter.held == {}


def test_a_pool_that_closes_waits_for_no_proof(house: House) -> None:
    begun = threading.Event()

    def proving(proof: Proving) -> None:
        begun.set()
        assert proof.left.wait(PATIENCE_S)
        proof.step()

    house["a"].proving = proving
    pool = house.open()
    loading = pool.load_model("a")
    assert begun.wait(PATIENCE_S)

    pool.close()

    with pytest.raises(NotReady, match="was left before it was done"):
        loading.result(0)
    assert house.meter.held == {}


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


def test_the_probe_of_a_model_is_not_refused_while_the_server_is_busy(house: House) -> None:
    engine = Engine([], limits=Limits(max_wait_s=1e-6, max_bulk_wait_s=1e-6))

    def check(encoder, precision):
        (spec,) = encoder.models()
        return "proven" if asyncio.run(encoder.encode(wish(spec.name))) else "unproven"

    pool = house.open(engine=engine, check=check)
    loaded(pool, "a")
    house["a"].running = threading.Semaphore(0)
    house["a"].gate.clear()

    async def story() -> None:
        under_way = asyncio.create_task(pool.encode(wish("a")))
        assert await asyncio.to_thread(house["a"].running.acquire, timeout=PATIENCE_S)
        waiting = asyncio.create_task(pool.encode(Encode(model="a", items=(Text("moon"),))))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await pool.encode(Encode(model="a", items=(Text("sun"),)))
        try:
            await asyncio.to_thread(pool.load_model("b").result, PATIENCE_S)
        finally:
            house["a"].gate.set()
        await asyncio.gather(under_way, waiting, return_exceptions=True)

    asyncio.run(story())

    assert in_memory(pool) == "ab"


def test_files_that_cannot_be_read_end_no_other_load(house: House) -> None:
    def stamp() -> int:
        raise OSError("the disk is away")

    house["a"].broken, house["a"].stamp = ConfigError("torn"), stamp
    pool = house.open()

    with pytest.raises(ConfigError, match="torn"):
        pool.load_model("a").result(PATIENCE_S)
    loaded(pool, "b")

    assert pool.alive
    assert [state.state for state in pool.states()] == ["failed", "loaded", "available"]


def test_a_look_round_that_fails_ends_no_load(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstack.engine.loader.LOOK_S", 0.01)
    pool = house.open(idle_unload_s=60)
    looked = threading.Event()

    def rows() -> int:
        looked.set()
        raise OSError("no /proc here")

    loaded(pool, "a")
    house.clock.now += 100
    house.meter.rows = rows
    assert looked.wait(PATIENCE_S)
    house.meter.rows = lambda: 0
    loaded(pool, "b")

    assert pool.alive


def test_nothing_of_a_model_that_failed_its_check_stays(house: House) -> None:
    seen = []

    def check(encoder, precision):
        seen.append(weakref.ref(encoder.find("", None).runtime))
        raise Mismatch("another vector than its truth")

    pool = house.open(check=check)
    failed = pool.load_model("a")

    with pytest.raises(Mismatch):
        failed.result(PATIENCE_S)
    settled(pool)
    gc.collect()

    assert house.meter.held == {}
    assert seen[0]() is None


def test_each_failure_in_a_row_doubles_the_pause(house: House) -> None:
    house["a"].broken = RuntimeFailed("the device is busy")
    pool = house.open()

    pauses = []
    for _ in range(9):
        with pytest.raises(RuntimeFailed):
            pool.load_model("a").result(PATIENCE_S)
        pauses.append(refused(pool, "a").retry_after_s)

    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
