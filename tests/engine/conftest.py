"""A house of three models that come and go."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.catalog import find
from embedstack.modelspec import ModelSpec
from support.shelves import Clock, House, Shelf, Told
from support.tiny import CASES, write


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelSpec]:
    root = tmp_path_factory.mktemp("pool")
    folder = write(CASES["bert-mean"], root / "tiny")
    return folder, find(str(folder), cache_dir=root / "cache").spec


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
