"""Models come when they are asked for, or by hand, and go by hand."""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.errors import BadRequest, ConfigError, EmbedstackError, NotReady, UnknownModel
from embedstack.inputs.image import ImageInput
from embedstack.proof.proving import Proving
from embedstack.types import Encode, Encoded, Image, Text, Tokenize
from support.shelves import (
    PATIENCE_S,
    House,
    Ones,
    Shelf,
    ask,
    in_memory,
    loaded,
    refused,
    settled,
    wait_until,
    wish,
)
from support.tiny_clip import png, write_clip

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


def test_a_proof_that_is_made_once_is_no_part_of_what_a_load_takes(house: House) -> None:
    def proving(proof: Proving) -> None:
        house.clock.now += 60.0

    house["a"].proving = proving
    pool = house.open()
    pool.load_model("a").result(PATIENCE_S)

    assert pool.states()[0].need.load_s == 0.0


def test_callers_hear_that_a_model_is_being_proven_and_how_long_that_takes(house: House) -> None:
    said: list[EmbedstackError] = []

    def proving(proof: Proving) -> None:
        proof.begin()
        said.append(refused(pool, "a"))
        house.clock.now += 30.0
        proof.step(0.25)
        said.extend([refused(pool, "a"), refused(pool, "b")])

    house["a"].proving = proving
    pool = house.open()
    pool.load_model("a").result(PATIENCE_S)

    assert [error.retry_after_s for error in said] == [10.0, 90.0, 90.0]
    assert str(said[1]) == "'a' is loaded and is being proven once; ask again in 90 s"
    assert "'b' is being loaded" in str(said[2])


def test_an_alias_reaches_its_model(house: House) -> None:
    house["b"].aliases = ("bee",)
    pool = house.open(fill=True)

    assert ask(pool, "bee").spec.name == "b"
    assert pool.spec_of("bee").name == "b"


def test_a_request_without_a_name_gets_the_first_model_whatever_is_in_memory(house: House) -> None:
    pool = house.open()
    loaded(pool, "b")

    assert "'a' is being loaded" in str(refused(pool, ""))


def test_a_request_for_nobody_loads_nothing(house: House) -> None:
    pool = house.open()

    with pytest.raises(UnknownModel):
        ask(pool, "nobody")
    settled(pool)

    assert in_memory(pool) == ""


def test_tokens_are_seen_through_the_same_door(house: House) -> None:
    pool = house.open(fill=True)

    assert asyncio.run(pool.tokens(Tokenize(model="b", items=(Text("panda"),)))).spec.name == "b"


def test_a_model_that_runs_more_batches_at_once_gets_the_lanes_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ones, "lanes", 3)
    pool = house.open()
    pool.load_model("a").result(PATIENCE_S)
    house["a"].gate.clear()

    async def story() -> int:
        asked, running = [], 0
        for word in ("panda", "moon", "sun"):
            asked.append(asyncio.create_task(pool.encode(Encode(model="a", items=(Text(word),)))))
            running += await asyncio.to_thread(house["a"].running.acquire, timeout=PATIENCE_S)
        house["a"].gate.set()
        await asyncio.gather(*asked)
        return running

    assert asyncio.run(story()) == 3


def test_an_engine_takes_a_name_once(house: House) -> None:
    engine = Engine([])
    engine.add(house["a"].open())

    with pytest.raises(BadRequest, match="'a' is loaded already"):
        engine.add(house["a"].open())

    engine.close()


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

    pool.add_model("d").result(PATIENCE_S)
    loaded(pool, "d")

    assert ask(pool, "d").spec.name == "d"


def test_a_pool_that_finds_nothing_takes_no_new_names(house: House) -> None:
    with pytest.raises(UnknownModel, match="served: a, b, c"):
        house.open().add_model("d")


def test_two_who_add_one_name_at_once_get_the_same(house: House) -> None:
    added, fetched, go_on = replace(house["a"], spec=replace(house["a"].spec, name="d")), [], threading.Event()

    def find(name: str) -> Shelf:
        fetched.append(name)
        assert go_on.wait(PATIENCE_S)
        return added

    pool = house.open(find=find)
    first, second = pool.add_model("d"), pool.add_model("d")
    go_on.set()

    assert first.result(PATIENCE_S) == second.result(PATIENCE_S) == added.spec
    assert fetched == ["d"]


def test_a_name_that_cannot_be_added_may_be_asked_for_again(house: House) -> None:
    def find(name: str) -> Shelf:
        raise ConfigError("the network is away")

    pool = house.open(find=find)

    for _ in range(2):
        with pytest.raises(ConfigError, match="the network is away"):
            pool.add_model("d").result(PATIENCE_S)


def test_a_closed_pool_finishes_the_load_under_way_and_refuses_what_waits(house: House) -> None:
    house["a"].door.clear()
    pool = house.open()
    loading, waiting = pool.load_model("a"), pool.load_model("b")
    assert house["a"].entered.wait(PATIENCE_S)
    closing = threading.Thread(target=pool.close)
    closing.start()
    wait_until(lambda: isinstance(refused(pool, "c"), NotReady) and pool.states()[2].state == "available")
    house["a"].door.set()
    closing.join(PATIENCE_S)

    assert loading.exception(PATIENCE_S) is None
    assert isinstance(waiting.exception(PATIENCE_S), NotReady)
    assert house.meter.held == {}


def test_requests_that_wait_as_the_pool_closes_are_told_to_go_elsewhere(house: House) -> None:
    pool = house.open(fill=True)
    house["a"].running.acquire(blocking=False)
    house["a"].gate.clear()

    async def story() -> tuple[Encoded | BaseException, Encoded | BaseException]:
        running = asyncio.create_task(pool.encode(wish("a")))
        assert await asyncio.to_thread(house["a"].running.acquire, timeout=PATIENCE_S)
        waiting = asyncio.create_task(pool.encode(Encode(model="a", items=(Text("moon"),))))
        leaving = pool.unload_model("a")
        await asyncio.to_thread(wait_until, lambda: pool.states()[0].state == "unloading")
        closing = asyncio.create_task(asyncio.to_thread(pool.close))
        refusal = await asyncio.wait_for(asyncio.gather(waiting, return_exceptions=True), PATIENCE_S)
        left = await asyncio.to_thread(leaving.exception, PATIENCE_S)  # before what it waits for can end
        house["a"].gate.set()
        made = await asyncio.gather(running, return_exceptions=True)
        await closing
        assert isinstance(left, NotReady)
        return made[0], refusal[0]

    made, refusal = asyncio.run(story())

    assert isinstance(made, Encoded)
    assert isinstance(refusal, NotReady)


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


def test_pictures_without_a_model_go_to_the_one_that_takes_them(house: House, tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    spec = replace(find(str(folder), cache_dir=tmp_path / "cache").spec, name="b")
    assert spec.architecture.vision
    shelf = house["b"]
    shelf.folder, shelf.origin, shelf.spec, shelf.image = folder, spec, spec, ImageInput(spec.architecture.vision)
    pool = house.open(fill=True)

    made = [asyncio.run(pool.encode(Encode(model="", items=(item,)))) for item in (Text("sun"), Image(png(31)))]

    assert [one.spec.name for one in made] == ["a", "b"]
