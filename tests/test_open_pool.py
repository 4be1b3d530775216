"""Several real models in one process: under which names, in which precisions, and what memory is left of them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.api import open_engine, open_pool
from embedstack.engine.memory import ProcessMemory
from embedstack.engine.pool import Pool
from embedstack.errors import ConfigError, LoadFailed, UnknownModel
from embedstack.settings import Settings
from embedstack.types import Classify, Encode, Encoded, Score, Text
from support.tiny import CASES, write

pytestmark = pytest.mark.slow
CYCLES = 4
GROWTH = 0.01  # of the memory, that each cycle after the first may add


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: write(CASES[name], root / name) for name in ("bert-mean", "xlm-roberta-cls", "bert-classifier")}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(cache_dir=tmp_path_factory.mktemp("cache"), precision="float32", threads=1, lanes=1, lazy=True)


@pytest.fixture
def pools() -> Iterator[list[Pool]]:
    made: list[Pool] = []
    yield made
    for pool in made:
        pool.close()


@pytest.fixture
def serve(settings: Settings, pools: list[Pool]):
    def opened(*names: str, **changes: object) -> Pool:
        pools.append(open_pool(replace(settings, **changes), names, say=lambda line: None))
        return pools[-1]

    return opened


def ask(pool: Pool, model: str) -> Encoded:
    pool.load_model(model).result(60)
    return asyncio.run(pool.encode(Encode(model=model, items=(Text("the panda and the moon"),))))


def test_one_model_in_two_precisions_has_one_space_and_two_fingerprints(folders, serve) -> None:
    folder = str(folders["bert-mean"])
    pool = serve(folder, f"small={folder}@onnx:int8", f"{folder}@onnx:float32", allow_unproven=True)

    plain, small, other = (ask(pool, name) for name in ("bert-mean", "small", "bert-mean@onnx:float32"))

    assert plain.spec.space == small.spec.space == other.spec.space
    assert plain.fingerprint == other.fingerprint != small.fingerprint
    assert [spec.name for spec in pool.models()] == ["bert-mean", "small", "bert-mean@onnx:float32"]
    assert float((plain.dense @ small.dense.T)[0, 0]) > 0.99


def test_a_model_asked_for_by_two_names_is_served_once(folders, serve) -> None:
    folder = str(folders["bert-mean"])
    pool = serve(folder, f"other={folder}")

    assert [spec.name for spec in pool.models()] == ["bert-mean"]
    assert ask(pool, "other").spec.name == "bert-mean"


def test_two_folders_of_one_name_need_an_alias(folders, serve, tmp_path: Path) -> None:
    twin = str(write(replace(CASES["bert-mean"], seed=99), tmp_path / "bert-mean"))

    with pytest.raises(ConfigError, match="ALIAS=MODEL"):
        serve(str(folders["bert-mean"]), twin)

    assert len(serve(str(folders["bert-mean"]), f"twin={twin}").models()) == 2


def test_a_pool_and_an_engine_give_the_same_vectors(folders, serve, settings: Settings) -> None:
    folder = str(folders["xlm-roberta-cls"])
    engine = open_engine(settings, [folder])

    made = asyncio.run(engine.encode(Encode(model="", items=(Text("the panda and the moon"),))))
    engine.close()

    assert made.dense.tolist() == ask(serve(folder), "xlm-roberta-cls").dense.tolist()


def test_all_that_an_engine_does_a_pool_does(folders, serve) -> None:
    pool = serve(*map(str, folders.values()), lazy=False)

    assert {state.state for state in pool.states()} == {"loaded"}
    assert len(asyncio.run(pool.score(Score(model="", items=()))).scores) == 0
    assert len(asyncio.run(pool.classify(Classify(model="", items=(Text("sun"),)))).scores) == 1
    assert pool.load().precisions == dict.fromkeys(folders, "float32")


def test_what_cannot_fit_is_refused_with_both_numbers_before_it_is_read(folders, serve, tmp_path: Path) -> None:
    pool = serve(str(folders["bert-mean"]), memory_mb=1, cache_dir=tmp_path)

    with pytest.raises(LoadFailed, match=r"needs \d+ MB while it is loaded \(is estimated .* the ceiling of 1 MB"):
        pool.load_model("bert-mean").result(60)


def test_a_measured_need_is_used_at_the_next_start(folders, serve) -> None:
    folder = str(folders["bert-mean"])
    ask(serve(folder), "bert-mean")

    assert serve(folder).states()[0].need.is_measured


def test_a_precision_that_the_runtime_has_not_fails_as_that_model_alone(folders, serve) -> None:
    folder = str(folders["bert-mean"])
    pool = serve(folder, f"wrong={folder}@openvino:float16", lazy=False)

    assert [state.state for state in pool.states()] == ["loaded", "failed"]


def test_a_running_server_takes_on_catalog_names_only(folders, serve) -> None:
    pool = serve(str(folders["bert-mean"]))

    with pytest.raises(UnknownModel, match="only catalog names"):
        pool.add_model(str(folders["xlm-roberta-cls"])).result(60)


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_models_that_come_and_go_leave_no_memory_behind(folders, serve, runtime: str) -> None:
    names = ("bert-mean", "bert-classifier")
    pool, meter, held = serve(*(str(folders[name]) for name in names), runtime=runtime), ProcessMemory(), []

    for _ in range(CYCLES):
        for name in names:
            pool.load_model(name).result(60)
            pool.unload_model(name).result(60)
        held.append(meter.now_bytes())

    print([h / held[0] for h in held])
    assert held[-1] <= (1 + GROWTH * (CYCLES - 1)) * held[0]
