"""Cosines of pairs, and which of them are the same -> what any threshold does to them. Pure.

A pair is called the same if its cosine is not below the threshold.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedstack.evals.calibration import Bin, Effect
from embedstack.evals.outcome import Interval

EDGES = np.arange(-20, 21) / 20  # of bins

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Curve:
    """All thresholds that differ in what they do, falling: each cosine that a pair has."""

    thresholds: Numbers  # (thresholds,)
    called: Counts  # pairs that each calls the same
    right: Counts  # of them those that are
    places: Counts  # (pairs,) which threshold is the cosine of a pair

    @property
    def same(self) -> int:
        """Pairs that are the same."""
        return int(self.right[-1])


def curve(cosines: Numbers, are_same: Flags) -> Curve:
    """Args: cosines, are_same: (pairs,), at least one."""
    rising, places = np.unique(cosines, return_inverse=True)
    places = len(rising) - 1 - places
    called = np.bincount(places, minlength=len(rising)).cumsum()
    right = np.bincount(places[are_same], minlength=len(rising)).cumsum()
    return Curve(rising[::-1], called, right, places)


def effect(curve: Curve, threshold: float, confidence: float) -> Effect:
    """What the threshold does to the curve's pairs; it need not be the cosine of one."""
    reached = int(np.searchsorted(-curve.thresholds, -threshold, side="right"))  # thresholds that are not below it
    called, right = (int(counts[reached - 1]) if reached else 0 for counts in (curve.called, curve.right))
    return Effect(
        threshold=threshold,
        called=called,
        right=right,
        precision=share(right, called, confidence) if called else None,
        recall=share(right, curve.same, confidence),
        f1=2 * right / (called + curve.same),
    )


def share(part: int, whole: int, confidence: float) -> Interval:
    """part / whole, and where it would lie for all pairs of which these were drawn.

    Source:
        Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953: it holds near 0 and 1 and for small counts, too.
    """
    found, z = part / whole, NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (found + z * z / (2 * whole)) / (1 + z * z / whole)
    reach = z * sqrt(found * (1 - found) / whole + (z / (2 * whole)) ** 2) / (1 + z * z / whole)
    return Interval(found, min(found, max(0.0, middle - reach)), max(found, min(1.0, middle + reach)))


def auc(curve: Curve) -> float:
    """How often a pair that is the same has the higher cosine of it and one that is not; equal ones count as half."""
    same, other = np.diff(curve.right, prepend=0), np.diff(curve.called - curve.right, prepend=0)
    others_below = other.sum() - other.cumsum()
    return float((same * (others_below + other / 2)).sum() / (same.sum() * other.sum()))


def bins(cosines: Numbers, are_same: Flags) -> tuple[Bin, ...]:
    """For a picture: 0.05 wide, those without a pair at either end left out."""
    same, other = (np.histogram(np.clip(cosines[flags], -1, 1), EDGES)[0] for flags in (are_same, ~are_same))
    (filled,) = np.nonzero(same + other)
    return tuple(
        Bin(low=float(EDGES[i]), high=float(EDGES[i + 1]), same=int(same[i]), other=int(other[i]))
        for i in range(filled[0], filled[-1] + 1)
    )
