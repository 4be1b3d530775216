"""A packed batch -> the index arrays by which attention and pooling find each item; shared by all runtimes. Pure."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from embedstack.types import Batch, Ints

Inputs = Mapping[str, NDArray[np.generic]]


def lay_out(batch: Batch, pad: int | None = None) -> Inputs:
    """What the graph needs to know of where items begin: a function of the offsets, and of `pad` (see `positions`).

    grid (items, length) holds the packed row of each place, absent places repeat the item's first row; slots (tokens,)
    holds the place of each packed row in the flattened grid; mask (items, 1, 1, length) is 0 or minus infinity.
    """
    lengths = np.diff(batch.offsets)
    length = int(lengths.max())
    ladder = np.arange(length, dtype=np.int32)
    real = ladder < lengths[:, None]
    firsts = np.ascontiguousarray(batch.offsets[:-1])
    places = np.broadcast_to(ladder, real.shape)[real]
    if pad is not None and (batch.ids == pad).any():
        places = _counted(batch, pad)
    return {
        "ids": batch.ids,
        "segments": batch.segments,
        "places": places,
        "grid": np.where(real, firsts[:, None] + ladder, firsts[:, None]).astype(np.int32),
        "slots": np.flatnonzero(real).astype(np.int32),
        "mask": np.where(real, np.float32(0), np.float32(-np.inf))[:, None, None, :],
        "every": np.arange(len(batch.ids), dtype=np.int32),
        "firsts": firsts,
        "lasts": batch.offsets[1:] - 1,
    }


def _counted(batch: Batch, pad: int) -> Ints:
    """Places that do not count tokens of the id `pad`, which stand at -1."""
    counts = np.cumsum(batch.ids != pad)
    before = np.concatenate([[0], counts])[batch.offsets[:-1]]
    within = counts - np.repeat(before, np.diff(batch.offsets)) - 1
    return np.where(batch.ids == pad, -1, within).astype(np.int32)
