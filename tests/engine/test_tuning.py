"""How many lanes pay is measured, and remembered for circumstances that are the same; a graph is warmed in time."""

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from embedstack import api
from embedstack.catalog import find
from embedstack.engine.tuning import Remembered, choose_lanes, warm_up
from embedstack.settings import Settings
from embedstack.types import Batch, ModelSpec, Vectors
from support.tiny import CASES, write


class Watch:
    """A clock that only moves when work is done."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds

    def __call__(self) -> float:
        return self.now


class Paced:
    """A runtime whose batches take a stated share of a watch's time."""

    precision, device, calibration, reason = "float32", "cpu", "", "it is paced"

    def __init__(self, watch: Watch, batch_s: float, lanes: int = 1) -> None:
        self.lanes, self._watch, self._batch_s = lanes, watch, batch_s
        self.lengths: list[int] = []
        self.is_open = True

    def run(self, batch: Batch, outputs: frozenset[str]) -> Vectors:
        assert self.is_open
        self._watch.pass_by(self._batch_s)
        self.lengths.append(len(batch.ids))
        return {"dense": np.zeros((len(batch), 2), np.float32)}

    def close(self) -> None:
        self.is_open = False


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = write(CASES["bert-mean"], tmp_path_factory.mktemp("m"))
    return find(str(folder), cache_dir=folder).spec


def chosen(spec: ModelSpec, batch_s: Mapping[int, float], most: int) -> tuple[int, list[Paced]]:
    """The count, and the runtimes that were opened for it."""
    watch, opened = Watch(), []

    def build(lanes: int) -> Paced:
        assert not any(runtime.is_open for runtime in opened), "two runtimes would hold the weights twice"
        opened.append(Paced(watch, batch_s[lanes], lanes))
        return opened[-1]

    runtime, lanes = choose_lanes(build, spec, most=most, budget=128, clock=watch)
    assert runtime is opened[-1]
    assert runtime.is_open
    return lanes, opened


@pytest.mark.parametrize(
    ("batch_s", "most", "lanes"),
    [
        ({1: 0.10, 2: 0.05, 4: 0.025}, 4, 4),
        ({1: 0.10, 2: 0.05, 4: 0.049}, 4, 2),
        ({1: 0.10, 2: 0.095}, 2, 1),
        ({1: 0.10, 2: 0.05}, 3, 2),
        ({1: 0.10}, 1, 1),
    ],
)
def test_lanes_are_doubled_while_that_gives_a_tenth_more(
    spec: ModelSpec, batch_s: dict[int, float], most: int, lanes: int
) -> None:
    found, opened = chosen(spec, batch_s, most)

    assert found == lanes
    assert opened[-1].lanes == lanes


def test_a_batch_that_is_long_by_itself_is_not_measured_further(spec: ModelSpec) -> None:
    lanes, opened = chosen(spec, {1: 0.6}, 8)

    assert lanes == 1
    assert len(opened) == 1


def test_warming_runs_each_length_once_shortest_first(spec: ModelSpec) -> None:
    runtime = Paced(Watch(), 0.0)

    warm = warm_up(runtime, spec, budget_s=1, clock=Watch())

    assert runtime.lengths == list(range(1, spec.max_tokens + 1))
    assert warm == spec.max_tokens


def test_warming_ends_in_time(spec: ModelSpec) -> None:
    watch = Watch()

    assert warm_up(Paced(watch, 0.4), spec, budget_s=1, clock=watch) == 3


def test_a_count_is_remembered_for_the_same_circumstances_only(tmp_path: Path) -> None:
    Remembered(tmp_path, ("model", 8)).write(4)

    assert Remembered(tmp_path, ("model", 8)).read() == 4
    assert Remembered(tmp_path, ("model", 16)).read() is None


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"lanes": 0}', b'{"lanes": "4"}', b"[4]"])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, damage: bytes) -> None:
    kept = Remembered(tmp_path, ("model",))
    kept.write(4)
    next((tmp_path / "lanes").iterdir()).write_bytes(damage)

    assert kept.read() is None


@pytest.mark.slow
def test_a_server_measures_once_and_a_script_uses_what_was_measured(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    settings = Settings(cache_dir=tmp_path / "cache", precision="float32", threads=2)
    said: list[str] = []

    api.open_engine(settings, [str(folder)], said.append, serving=True).close()
    api.open_engine(settings, [str(folder)], said.append, serving=True).close()

    assert len(list((tmp_path / "cache/lanes").iterdir())) == 1
    assert sum("measuring" in line for line in said) == 1


def test_a_script_measures_nothing(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    settings = Settings(cache_dir=tmp_path / "cache", precision="float32", threads=2)

    api.open_engine(settings, [str(folder)], lambda line: None).close()

    assert not (tmp_path / "cache/lanes").exists()
