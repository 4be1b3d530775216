"""The same vectors everywhere: 1,430 labelled texts find the same ten paragraphs in every runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import embedstack
import quality
from support.proofs import RECORDS
from support.runtimes import runtimes

GOLDEN = Path(__file__).parents[1] / "golden" / "same_top.npz"
ORIGIN = "the numpy runtime, XQuAD-en; EMBEDSTACK_RECORD=1 python -m pytest tests/evals/test_same_top.py"
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
    """(questions, 10) numbers of paragraphs, recorded: the numpy runtime takes over a minute for them."""
    if RECORDS:
        found = np.argsort(-scores("numpy"), axis=1)[:, :TOP]
        np.savez(GOLDEN, origin=ORIGIN, found=found.astype(np.uint8))
    with np.load(GOLDEN) as recorded:
        return recorded["found"].astype(np.int64)


@pytest.mark.quality
@pytest.mark.weights
@pytest.mark.timeout(600)
@pytest.mark.parametrize("runtime", runtimes("numpy", "reference"))
def test_every_runtime_finds_the_same_ten(runtime: str, scores: Callable[[str], np.ndarray], truth: np.ndarray) -> None:
    made = scores(runtime)

    last = np.sort(made, axis=1)[:, -TOP]
    is_same = (np.take_along_axis(made, truth, axis=1) >= last[:, None] - TIE).all(axis=1)
    assert len(truth) == len(made) == 1190
    assert is_same.mean() >= 0.999
