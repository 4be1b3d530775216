"""The default model's real weights: vectors that sentence-transformers made, and ways to use the model wrongly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine.finish import unit
from embedstack.identifying.identify import Identified
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.proof.probes import long_text
from embedstack.proof.truth import pack
from embedstack.runtimes import Options, open_runtime
from embedstack.settings import DEFAULT_MODEL, Settings, read_settings
from embedstack.types import DENSE, Text
from support.kept_vectors import found, lines

GOLDEN = Path(__file__).parents[1] / "golden/minilm.json"  # recorded of sentence-transformers, as it says itself
TEXTS = [long_text(words, 10 * words) for words in (4, 6, 8, 10, 12, 20, 40, 80, 160, 300)]
pytestmark = [pytest.mark.slow, pytest.mark.quality, pytest.mark.weights]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return replace(read_settings(env_file=None), threads=2)


def used(
    folder: Path, settings: Settings, prompt: str = "", max_tokens: int | None = None, **change: object
) -> np.ndarray:
    """What the model gives where something of its recipe is changed."""
    spec = find(str(folder), cache_dir=settings.cache_dir).spec
    changed = replace(spec, **change)
    items = [Text(f"{prompt}{text}", "none") for text in TEXTS]
    encodings = TextInput(folder, replace(spec, max_tokens=512)).encode(items, max_tokens or spec.max_tokens)
    runtime = open_runtime("openvino")(changed, open_weights(folder), Options(precision="float32", threads=2))
    try:
        return unit(runtime.run(pack(encodings), DENSE)["dense"])
    finally:
        runtime.close()


def identified(root: Path, texts: list[str], vectors: np.ndarray, settings: Settings) -> Identified:
    return found(lines(root, texts, vectors), settings, DEFAULT_MODEL)


def test_vectors_of_sentence_transformers_are_known_by_its_six_texts(settings: Settings, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())

    made = identified(tmp_path, golden["texts"], np.array(golden["vectors"], np.float32), settings)

    assert (made.finding.verdict, made.finding.best.recipe.is_own, made.finding.best.fits) == ("named", True, 6)
    assert made.finding.computed == "float32"


@pytest.mark.parametrize(
    ("change", "strays"),
    [
        ({"pooling": "cls"}, ("pooling",)),
        ({"prompt": "query: "}, ("prompt",)),
        ({"max_tokens": 512, "pooling": "max"}, ("cut", "pooling")),
    ],
    ids=["cls", "prompt", "cut and max"],
)
def test_a_wrong_use_is_named(
    change: dict[str, object], strays: tuple[str, ...], minilm_folder: Path, settings: Settings, tmp_path: Path
) -> None:
    made = identified(tmp_path, TEXTS, used(minilm_folder, settings, **change), settings)

    assert (made.finding.verdict, made.finding.best.recipe.strays, made.finding.best.fits) == ("named", strays, 10)


def test_a_fault_that_rounding_hides_is_not_told_from_the_models_own_recipe(
    minilm_folder: Path, settings: Settings, tmp_path: Path
) -> None:
    """The other GELU moves vectors by about 1e-7, and a GPU in 16 bits moves them further."""
    spec = find(str(minilm_folder), cache_dir=settings.cache_dir).spec
    tanh = replace(spec.architecture, activation="gelu_tanh")

    made = identified(tmp_path, TEXTS, used(minilm_folder, settings, architecture=tanh), settings)

    assert (made.finding.verdict, made.finding.best.recipe.is_own) == ("named", True)
    assert 1e-9 < 1 - made.finding.best.cosine < 1e-5
