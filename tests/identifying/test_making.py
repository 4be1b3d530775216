"""Pooled here of the states that a runtime gives, a vector is what the runtime itself makes of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine.finish import unit
from embedstack.identifying.making import Making
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.proof.truth import pack
from embedstack.runtimes import Options, open_runtime
from embedstack.settings import Settings
from embedstack.types import DENSE, Text
from support.confusion import tiny_folder
from support.tiny_clip import write_clip
from support.tiny_siglip import write_siglip

pytestmark = pytest.mark.slow
TEXTS = ["a bird", "the king of the river", "a", "why does the queen see the moon and the stone"]
WRITERS: dict[str, Callable[[Path], Path]] = {
    "mean": lambda root: tiny_folder("bert-mean", root),
    "max": lambda root: tiny_folder("bert-max", root),
    "last": lambda root: tiny_folder("bert-last", root),
    "cls with other heads": lambda root: tiny_folder("xlm-roberta-cls", root),
    "clip": lambda root: write_clip(root / "clip"),
    "siglip": lambda root: write_siglip(root / "siglip"),
}


@pytest.mark.parametrize("runtime", ["openvino", "numpy"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_vector_is_that_of_the_runtime(name: str, runtime: str, tmp_path: Path) -> None:
    folder = WRITERS[name](tmp_path)
    spec = find(str(folder), cache_dir=tmp_path).spec
    encodings = TextInput(folder, spec).encode([Text(text) for text in TEXTS])
    judge = open_runtime("numpy")(spec, open_weights(folder), Options())

    making = Making(spec, folder, replace(Settings(), runtime=runtime, threads=1, batch_tokens=16))
    made = making.pooled([*encodings, None])[spec.pooling]
    making.close()

    right = judge.run(pack(encodings), DENSE)["dense"]
    assert np.abs(unit(made[:-1].astype(np.float32)) - unit(right)).max() < 1e-5
    assert np.allclose(np.linalg.norm(made[:-1], axis=1), np.linalg.norm(right, axis=1), rtol=1e-4)
    assert np.isnan(made[-1]).all()
