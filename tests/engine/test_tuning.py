"""How many lanes pay is measured, and remembered for circumstances that are the same; a graph is warmed in time."""

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from embedstack import api
from embedstack.catalog import find
from embedstack.engine.tuning import Chosen, Remembered, choose_lanes, run_all_sizes, warm_up
from embedstack.errors import ConfigError, RuntimeFailed
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes import RUNTIMES, Options
from embedstack.runtimes.numpy import NumpyRuntime
from embedstack.settings import Settings
from embedstack.types import Batch, Vectors
from support.tiny import CASES, write
from support.tiny_clip import TOKENS, write_clip


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


Pace = float | ConfigError | RuntimeFailed
"""Seconds of a batch, or what opening or running it raises."""


class Paced:
    """A runtime whose batches take a stated share of a watch's time, or fail."""

    precision, device, calibration, reason = "float32", "cpu", "", "it is paced"

    def __init__(self, watch: Watch, batch_s: Pace, lanes: int = 1) -> None:
        if isinstance(batch_s, ConfigError):
            raise batch_s
        self.lanes, self._watch, self._batch_s = lanes, watch, batch_s
        self.lengths: list[int] = []
        self.is_open = True

    def run(self, batch: Batch, outputs: frozenset[str]) -> Vectors:
        assert self.is_open
        if isinstance(self._batch_s, RuntimeFailed):
            raise self._batch_s
        self._watch.pass_by(self._batch_s)
        self.lengths.append(len(batch.ids))
        return {"dense": np.zeros((len(batch), 2), np.float32)}

    def close(self) -> None:
        self.is_open = False


class OneLane(NumpyRuntime):
    """A runtime that has no memory for a second lane."""

    def __init__(self, spec: ModelSpec, weights: Weights, options: Options) -> None:
        if options.lanes > 1:
            raise RuntimeFailed("out of memory")
        super().__init__(spec, weights, options)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = write(CASES["bert-mean"], tmp_path_factory.mktemp("m"))
    return find(str(folder), cache_dir=folder).spec


def chosen(
    spec: ModelSpec, batch_s: Mapping[int, Pace], most: int, opened: list[Paced] | None = None
) -> tuple[Chosen, list[Paced]]:
    """What was chosen, and the runtimes that were opened for it."""
    watch, opened = Watch(), [] if opened is None else opened

    def build(lanes: int) -> Paced:
        assert not any(runtime.is_open for runtime in opened), "two runtimes would hold the weights twice"
        opened.append(Paced(watch, batch_s[lanes], lanes))
        return opened[-1]

    made = choose_lanes(build, spec, most=most, budget=128, clock=watch)
    assert made.runtime is opened[-1]
    assert opened[-1].is_open
    return made, opened


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
    made, opened = chosen(spec, batch_s, most)

    assert (made.lanes, made.failure) == (lanes, "")
    assert opened[-1].lanes == lanes


def test_a_batch_that_is_long_by_itself_is_not_measured_further(spec: ModelSpec) -> None:
    made, opened = chosen(spec, {1: 0.6}, 8)

    assert made.lanes == 1
    assert len(opened) == 1


@pytest.mark.parametrize("error", [ConfigError("no memory for it"), RuntimeFailed("no memory for it")])
def test_a_count_that_fails_leaves_the_one_before(spec: ModelSpec, error: ConfigError | RuntimeFailed) -> None:
    made, opened = chosen(spec, {1: 0.10, 2: 0.05, 4: error}, 8)

    assert (made.lanes, opened[-1].lanes) == (2, 2)
    assert made.failure == "4 batches at once failed: no memory for it"


def test_one_lane_that_fails_is_closed_and_raised(spec: ModelSpec) -> None:
    opened: list[Paced] = []

    with pytest.raises(RuntimeFailed, match="no memory"):
        chosen(spec, {1: RuntimeFailed("no memory")}, 2, opened)

    assert [runtime.is_open for runtime in opened] == [False]


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

    assert Remembered(tmp_path, ("model", 8)).read(8) == 4
    assert Remembered(tmp_path, ("model", 16)).read(8) is None


def test_the_largest_count_is_remembered_too(tmp_path: Path) -> None:
    kept = Remembered(tmp_path, ("model",))
    kept.write(8)

    assert kept.read(most=8) == 8


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"lanes": 0}', b'{"lanes": "4"}', b"[4]", b'{"lanes": 9}'])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, damage: bytes) -> None:
    kept = Remembered(tmp_path, ("model",))
    kept.write(4)
    next((tmp_path / "lanes").iterdir()).write_bytes(damage)

    assert kept.read(most=8) is None


@pytest.mark.slow
def test_a_server_measures_once(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    settings = Settings(cache_dir=tmp_path / "cache", precision="float32", threads=2)
    said: list[str] = []

    api.open_engine(settings, [str(folder)], said.append, serving=True).close()
    api.open_engine(settings, [str(folder)], said.append, serving=True).close()

    assert len(list((tmp_path / "cache/lanes").iterdir())) == 1
    assert sum("measuring" in line for line in said) == 1


@pytest.mark.slow
def test_a_script_uses_what_was_measured(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    settings = Settings(cache_dir=tmp_path / "cache", precision="float32", threads=2)
    api.open_engine(settings, [str(folder)], lambda line: None, serving=True).close()
    (kept,) = (tmp_path / "cache/lanes").iterdir()
    kept.write_text('{"lanes": 2}')  # which a machine may have measured or not

    engine = api.open_engine(settings, [str(folder)], lambda line: None)

    assert engine.find("", "embed").runtime.lanes == 2
    engine.close()


@pytest.mark.slow
def test_lanes_that_fail_are_said_and_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    monkeypatch.setitem(RUNTIMES, "onelane", f"{__name__}:OneLane")  # type: ignore[index]
    monkeypatch.setattr("embedstack.engine.tuning.ENOUGH_S", 60.0)  # also where others keep the machine busy
    settings = Settings(cache_dir=tmp_path / "cache", runtime="onelane", threads=2)
    said: list[str] = []

    api.open_engine(settings, [str(folder)], said.append, serving=True).close()

    assert "m: lanes=1, not remembered, because 2 batches at once failed: out of memory" in said
    assert not (tmp_path / "cache/lanes").exists()


def test_a_script_measures_nothing(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    settings = Settings(cache_dir=tmp_path / "cache", precision="float32", threads=2)

    api.open_engine(settings, [str(folder)], lambda line: None).close()

    assert not (tmp_path / "cache/lanes").exists()


# ------------------------------------------------------------------------------------------------ pictures


class Kinds:
    """A runtime that remembers what it was given: kind and items of each batch."""

    precision, device, calibration, reason, lanes = "float32", "cpu", "", "it watches", 1

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []

    def run(self, batch: Batch, outputs: frozenset[str]) -> Vectors:
        self.batches.append(("text" if batch.patches is None else "image", len(batch)))
        return {"dense": np.zeros((len(batch), 2), np.float32)}

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    root = tmp_path_factory.mktemp("clip")
    return find(str(write_clip(root / "clip")), cache_dir=root / "cache").spec


def test_the_graph_of_pictures_is_warmed_too(seeing: ModelSpec) -> None:
    runtime = Kinds()
    warm_up(runtime, seeing, budget_s=60)

    assert runtime.batches[0] == ("image", 1)
    assert ("text", 1) in runtime.batches


def test_full_batches_of_pictures_are_run_where_memory_is_weighed(seeing: ModelSpec) -> None:
    runtime = Kinds()
    run_all_sizes(runtime, seeing, budget=TOKENS * 3)

    assert {count for kind, count in runtime.batches if kind == "image"} == {1, 3}
