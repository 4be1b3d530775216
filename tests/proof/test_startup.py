"""A short probe of each kind at the start: proven, unproven, or refused."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.api import open_engine
from embedstack.catalog import Located, find
from embedstack.engine.engine import Engine
from embedstack.engine.finish import unit
from embedstack.errors import Mismatch
from embedstack.modelspec import ModelSpec
from embedstack.proof.drawn import is_picture
from embedstack.proof.kept import Truth
from embedstack.proof.startup import check, check_start
from embedstack.proof.truth import ensure
from embedstack.settings import read_settings
from embedstack.types import Encode, Encoded
from support.confusion import tiny_folder
from support.tiny_clip import write_clip

GOLDEN = Path(__file__).parents[1] / "golden"


def opened(located: Located, cache_dir: Path, precision: str = "float32") -> Engine:
    settings = read_settings({"precision": precision, "threads": 1, "lanes": 1, "cache_dir": cache_dir}, environ={})
    return open_engine(settings, [str(located.folder)], say=lambda line: None)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module", params=["bert-mean", "bert-classifier"])
def located(request: pytest.FixtureRequest, root: Path) -> Located:
    return find(str(tiny_folder(request.param, root)), cache_dir=root)


def test_a_model_with_truth_is_proven(located: Located, tmp_path: Path) -> None:
    ensure(located.spec, located.folder, tmp_path)
    engine = opened(located, tmp_path)

    assert check_start(engine, tmp_path) == "proven"
    engine.close()


def test_a_model_without_truth_is_unproven_and_none_is_made(located: Located, tmp_path: Path) -> None:
    engine = opened(located, tmp_path)

    assert check_start(engine, tmp_path) == "unproven"
    assert not (tmp_path / "truth").exists()
    engine.close()


def test_another_vector_than_the_truth_is_refused(located: Located, tmp_path: Path) -> None:
    truth = ensure(located.spec, located.folder, tmp_path)
    wrong = {
        output: {name: np.roll(row, 1) + np.float32(0.5) for name, row in rows.items()}
        for output, rows in truth.rows.items()
    }
    engine = opened(located, tmp_path)

    with pytest.raises(Mismatch, match=r"gives another vector than its truth .* embedstack models prove"):
        asyncio.run(check(engine, located.spec, Truth(truth.space, wrong)))  # type: ignore[arg-type]
    engine.close()


@pytest.mark.parametrize("output", ["sparse", "multi"])
def test_every_output_is_looked_at(output: str, tmp_path: Path) -> None:
    located = find(str(GOLDEN / "bge_m3_tiny"), cache_dir=tmp_path)
    truth = ensure(located.spec, located.folder, tmp_path)
    wrong = {name: row * np.float32([1, -1] * (row.shape[1] // 2)) for name, row in truth.rows[output].items()}  # type: ignore[index]
    engine = opened(located, tmp_path)

    with pytest.raises(Mismatch, match="gives another vector than its truth"):
        asyncio.run(check(engine, located.spec, Truth(truth.space, {**truth.rows, output: wrong})))  # type: ignore[arg-type]
    engine.close()


@pytest.fixture(scope="module")
def clip(root: Path) -> tuple[Located, Truth]:
    located = find(str(write_clip(root / "clip")), cache_dir=root)
    return located, ensure(located.spec, located.folder, root / "truth")


def test_a_model_of_images_is_proven_by_a_text_and_a_picture(clip: tuple[Located, Truth], tmp_path: Path) -> None:
    located, truth = clip
    engine = opened(located, tmp_path)

    assert asyncio.run(check(engine, located.spec, truth)) == "proven"
    engine.close()


@pytest.mark.parametrize("probe", ["short-query", "image-checkers"])
def test_each_tower_is_looked_at(probe: str, clip: tuple[Located, Truth], tmp_path: Path) -> None:
    located, truth = clip
    wrong = {**truth.rows["dense"], probe: np.roll(truth.rows["dense"][probe], 1)}
    engine = opened(located, tmp_path)

    with pytest.raises(Mismatch, match=f"the least cosine .* at '{probe}'"):
        asyncio.run(check(engine, located.spec, Truth(truth.space, {"dense": wrong})))
    engine.close()


def test_truth_of_texts_alone_does_not_prove_a_model_of_images(clip: tuple[Located, Truth], tmp_path: Path) -> None:
    located, truth = clip
    texts = {name: row for name, row in truth.rows["dense"].items() if not is_picture(name)}
    engine = opened(located, tmp_path)

    assert asyncio.run(check(engine, located.spec, Truth(truth.space, {"dense": texts}))) == "unproven"
    engine.close()


def test_a_truth_that_lacks_the_probe_proves_nothing(located: Located, tmp_path: Path) -> None:
    engine = opened(located, tmp_path)

    assert asyncio.run(check(engine, located.spec, Truth(located.spec.space, {}))) == "unproven"
    engine.close()


def test_what_is_held_to_int8_may_be_as_far_off_as_int8(root: Path, tmp_path: Path) -> None:
    located = find(str(tiny_folder("bert-mean", root)), cache_dir=root)
    truth = ensure(located.spec, located.folder, tmp_path)
    engine = opened(located, tmp_path)

    class Off:
        async def encode(self, request: Encode) -> Encoded:
            made = await engine.encode(request)
            return replace(made, dense=unit(made.dense + np.float32(0.01)), fingerprint="of a calibration")

        score = engine.score

        def models(self) -> tuple[ModelSpec, ...]:
            return engine.models()

    assert asyncio.run(check(Off(), located.spec, truth, "int8")) == "proven"
    with pytest.raises(Mismatch):
        asyncio.run(check(Off(), located.spec, truth, "float32"))
    engine.close()
