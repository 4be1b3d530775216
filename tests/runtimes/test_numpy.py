"""The truth's own ways: it refuses broken weights, and long items cost no more memory than their rows."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedstack.catalog import find
from embedstack.errors import ConfigError
from embedstack.models.weights import open_weights
from embedstack.runtimes import numpy as ours
from embedstack.runtimes.numpy import NumpyRuntime
from support.tiny import CASES, write


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_named(broken: float, tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    tensors[name][3, 4] = broken
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    spec = find(str(folder), cache_dir=tmp_path).spec

    with pytest.raises(ConfigError, match=rf"'{name}' holds a number that is not finite"):
        NumpyRuntime(spec, open_weights(folder))


def test_attention_in_blocks_is_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = np.random.default_rng(2).normal(0, 1, (3, 50, 8))
    whole = ours._attend(q, k, v, 2)
    monkeypatch.setattr(ours, "ONE_THREAD", 0)
    monkeypatch.setattr(ours, "BLOCK", 150)

    in_blocks = ours._attend(q, k, v, 2)

    assert np.abs(whole - in_blocks).max() <= 1e-15


@pytest.mark.slow
def test_a_long_item_needs_little_beside_its_rows() -> None:
    q = np.random.default_rng(3).normal(0, 1, (4096, 8))
    tracemalloc.start()

    ours._attend(q, q, q, 2)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 8 * ours.BLOCK  # all logits at once would be 268 MB
