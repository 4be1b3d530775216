"""The same vectors everywhere: 1,430 labelled texts find the same ten paragraphs in every runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import embedstack
import quality
from support.runtimes import runtimes

TIE = 1e-5  # scores nearer than this are equal; sums of float32 in another order differ by a tenth of it
TOP = 10


@pytest.fixture(scope="module")
def scores(labelled_sets: Path, minilm_folder: Path) -> Callable[[str], np.ndarray]:
    """(questions, paragraphs) cosines by a runtime."""
    questions, paragraphs = quality.questions_and_paragraphs(labelled_sets)
    asked = [question for question, _ in questions]

    def made(runtime: str) -> np.ndarray:
        precision = "auto" if runtime == "numpy" else "float32"
        with embedstack.load(str(minilm_folder), runtime=runtime, precision=precision, device="cpu") as model:
            rows = model.encode([*asked, *paragraphs]).dense.astype(np.float64)
        return rows[: len(asked)] @ rows[len(asked) :].T

    return made


@pytest.fixture(scope="module")
def truth(scores: Callable[[str], np.ndarray]) -> np.ndarray:
    return scores("numpy")


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.timeout(600)
@pytest.mark.parametrize("runtime", runtimes("numpy", "reference"))
def test_every_runtime_finds_the_same_ten(runtime: str, scores: Callable[[str], np.ndarray], truth: np.ndarray) -> None:
    found = np.argsort(-scores(runtime), axis=1)[:, :TOP]

    last = np.sort(truth, axis=1)[:, -TOP]
    is_same = (np.take_along_axis(truth, found, axis=1) >= last[:, None] - TIE).all(axis=1)
    assert len(truth) == 1190
    assert is_same.mean() >= 0.999
