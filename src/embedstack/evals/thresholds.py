"""Cosines of pairs, and grades that people gave them -> thresholds for "the same", and how well each does. Pure.

Thresholds are chosen on one half of the pairs and tried on the other: what was chosen on a pair looks better there than
it is. Each is the cosine of a pair, the lowest that it calls the same.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np

from embedstack.errors import BadRequest
from embedstack.evals.calibration import Calibration, Chosen
from embedstack.evals.curve import Counts, Curve, Flags, Numbers, auc, bins, curve, effect
from embedstack.evals.metrics import spearman
from embedstack.evals.outcome import Interval
from embedstack.evals.statistics import generator, tail_of

FIXED = (0.98, 0.90, 0.85, 0.70)  # what dedupe tools call exact, high, medium and low
PRECISIONS = (0.90, 0.95, 0.99)
RESAMPLES = 2_000  # ends of intervals need 1,000 or more: Efron and Tibshirani 1993, An Introduction to the Bootstrap
ROUNDING = 1e-3  # the cosine of a vector with itself may be so far above 1 where lengths were rounded
BLOCK = 4_000_000  # pairs that are drawn at a time: 32 MB


def calibrate(
    cosines: Sequence[float] | Numbers,
    grades: Sequence[float],
    *,
    same_from: float,
    fixed: Sequence[float] = FIXED,
    precisions: Sequence[float] = PRECISIONS,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Calibration:
    """What the cosines mean.

    Args:
        cosines, grades: of each pair; a higher grade is more alike.
        same_from: the lowest grade of pairs that are the same.
        fixed: thresholds that are only judged, by all pairs.
        precisions: that are wanted, between 0 and 1.
        seed: draws the halves and the resamples.
    Raises:
        BadRequest: counts differ, a value is no number or no cosine, all cosines are equal, fewer than two pairs are
            the same or fewer than two are not; or as `check_wishes`.
    """
    check_wishes(precisions=precisions, fixed=fixed, confidence=confidence, resamples=resamples, seed=seed)
    values, are_same = _checked(cosines, grades, same_from)
    chooses = half(are_same, seed)
    ours, theirs, whole = (curve(values[of], are_same[of]) for of in (chooses, ~chooses, np.ones_like(chooses)))
    drawn = _drawn(ours, are_same[chooses], confidence, resamples, seed)
    return Calibration(
        pairs=len(values),
        same=whole.same,
        same_from=same_from,
        auc=auc(whole),
        spearman=spearman(values.tolist(), list(grades)),
        best=_chosen("best F1", ours, theirs, confidence, most_f1(ours), "no other has a higher F1", drawn),
        precise=tuple(_precise(wanted, ours, theirs, confidence) for wanted in precisions),
        fixed=tuple(effect(whole, threshold, confidence) for threshold in fixed),
        bins=bins(values, are_same),
        chosen_on=int(ours.called[-1]),
        held_out=int(theirs.called[-1]),
        seed=seed,
        confidence=confidence,
        resamples=resamples,
    )


def check_wishes(
    *, precisions: Sequence[float], fixed: Sequence[float], confidence: float, resamples: int, seed: int
) -> None:
    """What no pairs could fulfil is refused before any are embedded.

    Raises:
        BadRequest: a precision that is not between 0 and 1, a threshold that is no cosine, a confidence that is not
            from 0.5 to below 1, too few resamples for it, or a seed below 0.
    """
    for threshold in fixed:
        if not -1 <= threshold <= 1:
            raise BadRequest(f"threshold {threshold!r} is no cosine; they are from -1 to 1")
    for wanted in precisions:
        if not 0 < wanted < 1:
            raise BadRequest(f"precision {wanted!r} is not between 0 and 1, which no count of pairs shows; try 0.95")
    tail_of(confidence, resamples)
    generator(seed)


def half(are_same: Flags, seed: int) -> Flags:
    """Which pairs choose: half of those that are the same, and half of the others; the odd one chooses."""
    draw = generator(seed)
    chooses = np.zeros_like(are_same)
    for kind in (are_same, ~are_same):
        (places,) = np.nonzero(kind)
        chooses[draw.permutation(places)[: (len(places) + 1) // 2]] = True
    return chooses


def most_f1(curve: Curve) -> int:
    """The place of the threshold of the best F1; of equal ones the highest threshold."""
    return int(np.argmax(2 * curve.right / (curve.called + curve.same)))


def lowest_precise(curve: Curve, wanted: float) -> int | None:
    """The place of the lowest threshold from which on, upwards, each one has the precision; None if there is none.

    Thresholds that call fewer than 1 / (1 - wanted) pairs the same have no say: a single wrong pair decides there, so
    one that stands at the very top, such as two texts that differ in a number, would forbid every threshold.
    """
    has_say = curve.called >= least_called(wanted)
    broken = has_say & (curve.right / curve.called < wanted)
    first_broken = int(np.argmax(broken)) if broken.any() else len(broken)
    (places,) = np.nonzero(has_say[:first_broken])
    return int(places[-1]) if len(places) else None


def least_called(wanted: float) -> int:
    """Pairs among which one wrong one leaves the precision as it is wanted."""
    return ceil(round(1 / (1 - wanted), 6))  # 1 / (1 - 0.9) is a little above 10


# ------------------------------------------------------------------------------------------------ helpers


def _checked(cosines: Sequence[float] | Numbers, grades: Sequence[float], same_from: float) -> tuple[Numbers, Flags]:
    values, given = np.asarray(cosines, np.float64), np.asarray(grades, np.float64)
    if values.ndim != 1 or values.shape != given.shape:
        raise BadRequest(f"there are {len(values)} cosines and {len(given)} grades; give one of each for every pair")
    if (wrong := np.flatnonzero(~(np.abs(values) <= 1 + ROUNDING))).size:
        raise BadRequest(f"value {values[wrong[0]]} of pair {wrong[0]} is no cosine; they are from -1 to 1")
    if (wrong := np.flatnonzero(~np.isfinite(given))).size:
        raise BadRequest(f"the grade {given[wrong[0]]} of pair {wrong[0]} is no number; leave the pair out")
    are_same = given >= same_from
    if min(same := int(are_same.sum()), len(values) - same) < 2:
        span = f" of grades from {given.min():g} to {given.max():g}" if len(given) else ""
        raise BadRequest(
            f"{same} of {len(values)} pairs{span} are graded {same_from:g} or higher; at least 2 must be, and 2 not: "
            "name another grade from which on two texts are the same, or add pairs"
        )
    return values, are_same


def _precise(wanted: float, ours: Curve, theirs: Curve, confidence: float) -> Chosen:
    rule, least = f"precision at least {wanted:g}", least_called(wanted)
    place = lowest_precise(ours, wanted)
    if place is not None:
        return _chosen(rule, ours, theirs, confidence, place, "the lowest from which on, upwards, it holds")
    if ours.called[-1] < least:
        why = f"{least} pairs called the same would be needed to tell, and thresholds are chosen on {ours.called[-1]}"
    else:
        first = int(np.argmax(ours.called >= least))
        why = f"of the {ours.called[first]} pairs with the highest cosines only {ours.right[first]} are the same"
    return Chosen(rule=rule, threshold=None, reason=why)


def _chosen(
    rule: str, ours: Curve, theirs: Curve, confidence: float, place: int, reason: str, drawn: Interval | None = None
) -> Chosen:
    threshold = float(ours.thresholds[place])
    return Chosen(
        rule=rule,
        threshold=threshold,
        drawn=drawn,
        chosen_on=effect(ours, threshold, confidence),
        held_out=effect(theirs, threshold, confidence),
        reason=reason,
    )


def _drawn(curve: Curve, are_same: Flags, confidence: float, resamples: int, seed: int) -> Interval:
    """The threshold of the best F1, and where it lies if the pairs are drawn again, with replacement.

    Source:
        Efron 1979, https://doi.org/10.1214/aos/1176344552; percentiles.
    """
    draw, pairs = generator(seed), len(curve.places)
    block = max(1, BLOCK // pairs)
    best = [
        _best_of(curve, are_same, draw.integers(0, pairs, (min(block, resamples - at), pairs)))
        for at in range(0, resamples, block)
    ]
    tail = tail_of(confidence)
    low, high = np.quantile(np.concatenate(best), (tail, 1 - tail))
    return Interval(float(curve.thresholds[most_f1(curve)]), float(low), float(high))


def _best_of(curve: Curve, are_same: Flags, drawn: Counts) -> Numbers:
    """(resamples, pairs) numbers of pairs -> (resamples,) thresholds of the best F1."""
    count, width = len(drawn), len(curve.thresholds)
    cells = curve.places[drawn] + width * np.arange(count)[:, None]
    called = np.bincount(cells.ravel(), minlength=count * width).reshape(count, width).cumsum(axis=1)
    right = np.bincount(cells[are_same[drawn]], minlength=count * width).reshape(count, width).cumsum(axis=1)
    f1 = 2 * right / np.maximum(called + right[:, -1:], 1)
    best: Numbers = curve.thresholds[f1.argmax(axis=1)]
    return best
