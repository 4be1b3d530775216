"""A linear layer's weights become 8-bit whole numbers with a scale for each output: `row-wise int8`, in numpy.

The input of a product is rotated in blocks, so that its few large channels are shared out among their neighbours, and
then rounded to 8 bits with a scale for each row. No scale is learned from texts, and no row depends on another one.
Source of the rotation: arXiv:2404.00456, section 3; measured against smoothing with calibrated scales in
docs/decisions.md.
"""

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import ConfigError
from embedstack.types import Floats

METHOD = "rows-rotated-16-1"  # the last number rises when a change here or in `onnx_int8` changes a vector
BLOCK = 16  # channels; 64 gave a cosine of 0.9995 in the place of 0.9994 and cost an eighth of the speed
MOST = 127  # codes are symmetric
# Processors without VNNI add two neighbouring products in 16 bits: 255 * (128 + 0.5) is the most that fits into 32767.
# Codes are rounded, which adds at most a half to each of the two.
PAIR = 127.4
TINY = np.float32(1e-12)  # the scale of nothing but zeros

Codes = NDArray[np.int8]


def rotation(width: int) -> Floats:
    """A symmetric orthogonal matrix (block, block) whose entries are of one size; the block divides `width`."""
    made = np.ones((1, 1), np.float32)
    while len(made) < BLOCK and width % (2 * len(made)) == 0:
        made = np.block([[made, made], [made, -made]])
    return np.asarray(made / np.sqrt(len(made)), np.float32)


def rotate(rows: Floats) -> Floats:
    """(n, width), each block of channels times the rotation; twice gives what was there before."""
    turn = rotation(rows.shape[1])
    return np.reshape(rows.reshape(-1, len(turn)) @ turn, rows.shape)


def round_weight(weight: Floats) -> tuple[Codes, Floats]:
    """Codes (out, in) and scales (out,): `weight` is about codes * scales, and no pair of products overflows.

    Raises:
        ConfigError: the weights hold what is not a number.
    """
    scales = np.maximum(np.abs(weight).max(axis=1) / MOST, np.maximum(_pairs(weight), _pairs(-weight)) / PAIR)
    scales = np.maximum(scales, TINY).astype(np.float32)
    if not np.isfinite(scales).all():
        raise ConfigError("holds infinity or what is not a number; download it again")
    return np.clip(np.rint(weight / scales[:, None]), -MOST, MOST).astype(np.int8), scales


def _pairs(weight: Floats) -> Floats:
    """(out,) the largest sum of what is positive in two neighbouring inputs."""
    positive = np.maximum(weight, 0)
    even = weight.shape[1] // 2 * 2
    return np.asarray((positive[:, 0:even:2] + positive[:, 1:even:2]).max(axis=1, initial=0), np.float32)
