"""Models under a memory ceiling: who makes room, who is refused, who finishes first."""

import asyncio

import pytest

from embedstack.engine.engine import Engine
from embedstack.engine.need import MB
from embedstack.errors import LoadFailed, NotReady, RuntimeFailed
from embedstack.types import Encoded
from support.shelves import BASE, PATIENCE_S, House, ask, in_memory, loaded, refused, wait_until, wish


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

    with pytest.raises(LoadFailed, match=r"'c' needs 300 MB.*the ceiling of 300 MB leaves 285 MB"):
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
        await asyncio.to_thread(wait_until, lambda: pool.states()[0].state == "unloading")
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
        await asyncio.to_thread(wait_until, lambda: pool.states()[0].state == "unloading")
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


def test_a_model_too_busy_to_go_stays_and_the_newcomer_hears_when_to_come_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedstack.engine.loader.UNLOAD_S", 0.01)
    pool = house.open(ceiling_bytes=BASE + 150 * MB)
    loaded(pool, "a")
    house["a"].running.acquire()
    house["a"].gate.clear()

    async def story() -> BaseException | None:
        under_way = asyncio.create_task(pool.encode(wish("a")))
        assert await asyncio.to_thread(house["a"].running.acquire, timeout=PATIENCE_S)
        told = await asyncio.to_thread(pool.load_model("b").exception, PATIENCE_S)
        house["a"].gate.set()
        await under_way
        return told

    told = asyncio.run(story())

    assert isinstance(told, NotReady)
    assert told.retry_after_s
    assert in_memory(pool) == "a"


def test_finished_rows_go_before_a_model_does(house: House) -> None:
    engine = Engine([], cache_bytes=MB)
    pool = house.open(engine=engine, ceiling_bytes=BASE + 250 * MB)
    loaded(pool, "a")
    house.meter.rows = lambda: 60 * MB * bool(engine.load().cache_entries)

    loaded(pool, "b")

    assert in_memory(pool) == "ab"


def test_what_still_fits_alone_is_tried_again_when_others_hold_too_much(house: House) -> None:
    house["a"].size, house["a"].estimated = 200 * MB, 10 * MB
    pool = house.open(ceiling_bytes=BASE + 250 * MB)
    house.meter.extra = 80 * MB

    with pytest.raises(RuntimeFailed, match="the process 130 MB for itself"):
        pool.load_model("a").result(PATIENCE_S)

    house.meter.extra = 0
    loaded(pool, "a")
    assert in_memory(pool) == "a"


def test_a_process_that_holds_too_much_by_itself_is_believed_the_second_time(house: House) -> None:
    house.meter.extra = 150 * MB
    pool = house.open(ceiling_bytes=BASE + 200 * MB)

    failures = []
    for _ in range(2):
        failures.append(type(pool.load_model("a").exception(PATIENCE_S)))

    assert failures == [RuntimeFailed, LoadFailed]


def test_a_measurement_below_what_the_weights_alone_take_is_not_believed(house: House) -> None:
    house["a"].size, house["a"].estimated, house["a"].least = 5 * MB, 100 * MB, 40 * MB
    pool = house.open()

    loaded(pool, "a")

    assert pool.states()[0].need.held_bytes == 40 * MB
