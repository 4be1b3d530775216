"""A model that a collection needs and nobody serves: what is said, and when it is fetched."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.catalog import find as located
from embedstack.engine.pool import Pool
from embedstack.errors import EmbedstackError, LoadFailed, NotReady, UnknownModel
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity
from embedstack.server.bringing import Bringing
from embedstack.settings import Settings
from support.served_collections import origin
from support.shelves import PATIENCE_S, Clock, House, Shelf, Told, wait_until
from support.tiny import CASES, write

LAZY = Settings(lazy=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelSpec]:
    root = tmp_path_factory.mktemp("bringing")
    folder = write(CASES["bert-mean"], root / "tiny")
    return folder, located(str(folder), cache_dir=root / "cache").spec


@pytest.fixture
def house(tiny: tuple[Path, ModelSpec]) -> Iterator[House]:
    folder, spec = tiny
    meter = Told()
    made = House({"a": Shelf(folder, spec, meter, replace(spec, name="a"))}, meter, Clock(), [])
    yield made
    for pool in made.pools:
        pool.close()


def wanted(house: House) -> tuple[Shelf, Identity]:
    """A model that is not served, and whose vectors a collection says that it has."""
    shelf = replace(house["a"], spec=replace(house["a"].spec, name="d", weights="0" * 64))
    return shelf, origin(shelf.spec).identity


def bringing(settings: Settings, pool: Pool | None) -> Bringing:
    return Bringing(settings, lambda: pool)


def failed(bring: Bringing, identity: Identity) -> str:
    """What it says once fetching has failed; before that it says to come back."""
    told: list[EmbedstackError] = []

    def has_failed() -> bool:
        told.append(bring(identity))
        return isinstance(told[-1], LoadFailed)

    wait_until(has_failed)
    return told[-1].message


def test_a_lazy_server_fetches_it_once_and_says_to_come_back(house: House) -> None:
    shelf, identity = wanted(house)
    asked, go_on = [], threading.Event()

    def find(name: str) -> Shelf:
        asked.append(name)
        assert go_on.wait(PATIENCE_S)
        return shelf

    pool = house.open(find=find)
    bring = bringing(LAZY, pool)
    told = [bring(identity) for _ in range(3)]
    go_on.set()
    wait_until(lambda: pool.spec_of("d") is not None)

    assert asked == ["d"]
    assert {type(error) for error in told} == {NotReady}
    assert "'d', which is being fetched; ask again" in told[0].message


def test_why_it_cannot_be_fetched_is_said_and_it_is_tried_again(house: House) -> None:
    _, identity = wanted(house)
    asked = []

    def find(name: str) -> Shelf:
        asked.append(name)
        raise UnknownModel("it is not in the catalog")

    pool = house.open(find=find)
    bring = bringing(LAZY, pool)
    told = failed(bring, identity)

    assert told == "the collection's vectors are of 'd', which cannot be served: it is not in the catalog"
    assert isinstance(bring(identity), NotReady)
    wait_until(lambda: asked == ["d", "d"])


def test_an_error_that_nobody_foresaw_is_told_by_its_type_alone(house: House) -> None:
    _, identity = wanted(house)

    def find(name: str) -> Shelf:
        raise OSError("/a/folder/of/ours")

    pool = house.open(find=find)

    assert failed(bringing(LAZY, pool), identity).endswith("'d', which cannot be served: OSError")


NOT_FETCHED: dict[str, tuple[Settings, bool, str]] = {
    "all are loaded at the start": (Settings(), True, "start the server with it: --models$"),
    "an admin may load it": (Settings(admin_key="k"), True, "--models, or load it with POST /admin/models/load$"),
    "models do not come and go": (Settings(lazy=True, admin_key="k"), False, "--models$"),
}


@pytest.mark.parametrize("name", NOT_FETCHED)
def test_elsewhere_it_is_said_what_to_serve(house: House, name: str) -> None:
    settings, has_pool, said = NOT_FETCHED[name]
    _, identity = wanted(house)

    def find(name: str) -> Shelf:
        raise AssertionError

    error = bringing(settings, house.open(find=find) if has_pool else None)(identity)

    assert isinstance(error, NotReady)
    with pytest.raises(NotReady, match=rf"of 'd' \(space {identity.space[:12]}…\), which is not served here; .*{said}"):
        raise error
