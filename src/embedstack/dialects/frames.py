"""Vectors of the frames of a video -> one vector, and where its parts begin and end; pure."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from embedstack.types import Floats

GROWTH = 0.1
"""How much of variance (Ward's: of vectors of length 1, summed over frames) one merge of neighbours may add. Two frames
of cosine 0.9 add 0.1: as alike as two photographs of one thing; a cut to another scene adds 0.3 and more."""
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames that belong together: the first, and the one after the last."""

    start: int
    stop: int


def unit(rows: Floats) -> Floats:
    """Each row at length 1."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, TINY), np.float32)


def aggregated(frames: Floats) -> Floats:
    """(frames, dim) -> (dim,): the mean of the frames at length 1, at length 1 itself."""
    return np.asarray(unit(unit(frames).mean(axis=0)), np.float32)


def segments(frames: Floats, growth: float = GROWTH) -> list[Segment]:
    """Neighbours are merged, the most alike first, for as long as a merge adds little variance.

    Source: Ward, "Hierarchical Grouping to Optimize an Objective Function", JASA 58 (1963), between neighbours in time
    alone, as arXiv:2512.10942, section 3.3 segments a stream of vectors.
    """
    parts = [Segment(place, place + 1) for place in range(len(frames))]
    rows = unit(frames).astype(np.float64)
    while len(parts) > 1:
        added = [_added(rows, one, other) for one, other in pairwise(parts)]
        place = int(np.argmin(added))
        if added[place] > growth:
            break
        parts[place : place + 2] = [Segment(parts[place].start, parts[place + 1].stop)]
    return parts


def _added(rows: np.ndarray, one: Segment, other: Segment) -> float:
    """What the sum of squared distances to the mean grows by."""
    counts = one.stop - one.start, other.stop - other.start
    apart = rows[one.start : one.stop].mean(axis=0) - rows[other.start : other.stop].mean(axis=0)
    return float(counts[0] * counts[1] / sum(counts) * (apart @ apart))
