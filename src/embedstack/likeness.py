"""Vectors of pictures and of texts by one model -> how likely each text is about each picture; pure."""

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.types import Floats

TINY = 1e-12


def probabilities(spec: ModelSpec, images: Floats, texts: Floats) -> Floats:
    """(images, dim), (texts, dim) -> (images, texts), by the rule that the model was trained with.

    Sigmoid judges each text by itself; softmax shares 1 among the texts of one picture.

    Raises:
        Unsupported: the model was trained with none.
    Source:
        arXiv:2103.00020, figure 3, and arXiv:2303.15343, algorithm 1.
    """
    rows, columns = (_unit(side.astype(np.float64)) for side in (images, texts))
    logits = rows @ columns.T * spec.logit_scale + spec.logit_bias
    match spec.similarity:
        case "sigmoid":
            return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)  # without overflow
        case "softmax":
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)
        case _:
            raise Unsupported(f"{spec.name!r} does not say how likely a text is about a picture; compare vectors")


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
    return np.asarray(rows / lengths, np.float64)
