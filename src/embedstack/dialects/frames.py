"""Vectors of the frames of a video -> one vector, and where its parts begin and end; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import Unsupported
from embedstack.types import Floats

GROWTH = 0.1
"""How much of variance (Ward's: squared distances to the mean, of vectors of length 1) a merge of neighbours may add,
where a request does not say: two frames of cosine 0.9 add 0.1. Chosen, not measured; on a steady pan, or where frames
are noisy, more parts come of it, and a request should say more."""
TINY = 1e-12
LEAST_MEAN = 1e-4  # of vectors of length 1: below it float32 rounding decides the direction


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames that belong together: the first, and the one after the last."""

    start: int
    stop: int


def unit(rows: NDArray[np.floating]) -> Floats:
    """Each row at length 1."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, TINY), np.float32)


def aggregated(rows: Floats) -> Floats:
    """(rows, dim) -> (dim,): the mean of the rows at length 1, at length 1 itself.

    Raises:
        Unsupported: they cancel each other out.
    """
    mean = unit(rows).astype(np.float64).mean(axis=0)
    if np.linalg.norm(mean) < LEAST_MEAN:
        raise Unsupported(f"the mean of {len(rows)} vectors is nothing, for they cancel each other out; send fewer")
    return np.asarray(unit(mean), np.float32)


def segments(frames: Floats, growth: float = GROWTH) -> list[Segment]:
    """Neighbours are merged, the most alike first, for as long as a merge adds little variance.

    Source: Ward, "Hierarchical Grouping to Optimize an Objective Function", JASA 58 (1963), between neighbours in time
    alone, as arXiv:2512.10942, section 3.3 segments a stream of vectors.
    """
    sums = list(unit(frames).astype(np.float64))  # of the frames of each part
    ends = list(range(len(frames) + 1))
    added = [_added(sums, ends, place) for place in range(len(sums) - 1)]
    while added and min(added) <= growth:
        place = int(np.argmin(added))
        sums[place : place + 2] = [sums[place] + sums[place + 1]]
        del ends[place + 1], added[place]
        for beside in (place - 1, place):
            if 0 <= beside < len(added):
                added[beside] = _added(sums, ends, beside)
    return [Segment(start, stop) for start, stop in pairwise(ends)]


def _added(sums: Sequence[NDArray[np.float64]], ends: Sequence[int], place: int) -> float:
    """What a part and the next one, merged, have more of squared distances to the mean than apart."""
    one, other = ends[place + 1] - ends[place], ends[place + 2] - ends[place + 1]
    apart = sums[place] / one - sums[place + 1] / other
    return float(one * other / (one + other) * (apart @ apart))
