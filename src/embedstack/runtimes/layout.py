"""A packed batch -> the index arrays by which attention and pooling find each item; shared by all runtimes. Pure."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import RuntimeFailed
from embedstack.modelspec import ModelSpec, Output
from embedstack.runtimes.blocks import near
from embedstack.types import DENSE, Batch, Floats, Ints

Inputs = Mapping[str, NDArray[np.generic]]
PEAK_ROWS = 4096  # of a vocabulary at once, see `Ops.peaks`: 16 MB of products for 1,024 tokens


def lay_out(batch: Batch, pad: int | None = None, window: int = 0) -> Inputs:
    """What the graph needs to know of where items begin: a function of the offsets, and of `pad` (see `positions`).

    With a `window` also what attention in it needs, see `blocks.near`.

    grid (items, length) holds the packed row of each place, absent places repeat the item's first row; slots (tokens,)
    holds the place of each packed row in the flattened grid; mask (items, 1, 1, length) is 0 or minus infinity; ladder
    (length,) counts from 0.
    """
    lengths = np.diff(batch.offsets)
    length = int(lengths.max())
    ladder = np.arange(length, dtype=np.int32)
    real = ladder < lengths[:, None]
    firsts = np.ascontiguousarray(batch.offsets[:-1])
    places = np.broadcast_to(ladder, real.shape)[real]
    if pad is not None and (batch.ids == pad).any():
        places = _counted(batch, pad)
    given: dict[str, NDArray[np.generic]] = {} if batch.patches is None else {"patches": batch.patches}
    return {
        **given,
        **(near(batch.offsets, window) if window else {}),
        "ids": batch.ids,
        "segments": batch.segments,
        "places": places,
        "grid": np.where(real, firsts[:, None] + ladder, firsts[:, None]).astype(np.int32),
        "slots": np.flatnonzero(real).astype(np.int32),
        "mask": np.where(real, np.float32(0), np.float32(-np.inf))[:, None, None, :],
        "every": np.arange(len(batch.ids), dtype=np.int32),
        "firsts": firsts,
        "lasts": batch.offsets[1:] - 1,
        "ladder": ladder,
    }


def patches_of(batch: Batch, width: int) -> Floats:
    """The pixels of a batch of pictures.

    Raises:
        RuntimeFailed: it holds none, or patches of another size.
    """
    if batch.patches is None or batch.patches.shape != (len(batch.ids), width):
        shape = None if batch.patches is None else batch.patches.shape
        raise RuntimeFailed(f"the patches of {len(batch.ids)} tokens must be {width} wide, their shape is {shape}")
    return batch.patches


def smallest(spec: ModelSpec) -> list[Batch]:
    """One item of each kind that the model takes: what reads every tensor once."""
    made = [Batch(np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([0, 1], np.int32))]
    if spec.architecture.vision is not None:
        tokens, width = spec.architecture.vision.tokens, spec.architecture.vision.patch_width
        none, ends = np.zeros(tokens, np.int32), np.array([0, tokens], np.int32)
        made.append(Batch(none, none, ends, np.zeros((tokens, width), np.float32)))
    return made


def _counted(batch: Batch, pad: int) -> Ints:
    """Places that do not count tokens of the id `pad`, which stand at -1."""
    counts = np.cumsum(batch.ids != pad)
    before = np.concatenate([[0], counts])[batch.offsets[:-1]]
    within = counts - np.repeat(before, np.diff(batch.offsets)) - 1
    return np.where(batch.ids == pad, -1, within).astype(np.int32)


def given_for(spec: ModelSpec, batch: Batch) -> frozenset[Output]:
    """What the model gives for such items."""
    return DENSE if batch.patches is not None else frozenset(spec.outputs)
