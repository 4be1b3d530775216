"""What every recipe gave -> which one made the vectors, which cannot be told from it, or that none did. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embedstack.identifying.fitting import Duel, Noise, Tried, computed_in, duel, tightened
from embedstack.identifying.recipe import Recipe
from embedstack.modelspec import Precision
from embedstack.proof.fidelity import LENGTH, TINY, Array

Rows = NDArray[np.bool_]
Verdict = Literal["named", "tie", "mixed", "none"]
Lengths = Literal["normalised", "not normalised", "normalised before the cut", "either", "neither", "not judged"]
MIXED_SHARE, MIXED_ROWS = 0.05, 2  # of the rows must be another recipe's alone for it to be said
NEAREST = 3  # that are shown where none fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A recipe beside the vectors.

    Args:
        fits: rows that it can have made, of all.
        cosine: to the stored vectors, of the middle one of the rows that fit; of all where none does.
        least: of the rows that fit the worst.
    """

    recipe: Recipe
    fits: int
    cosine: float
    least: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why it was this recipe and not the next best one.

    Args:
        rows: those that tell the two apart, all for the best one.
        best, next: 1 - cosine of the middle one of these rows, to what each gives.
        times: `next` in units of what vectors of that precision may be off by.
    """

    runner_up: Recipe
    rows: int
    best: float
    next: float
    times: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What made the vectors.

    Args:
        best: None where none did; of those that tie the one that strays least from its model's files.
        computed: as near as which precision comes the best one is.
        tied: others that give the same vectors for these rows.
        second: of a mixed source, who made rows that the best one did not; `fits` are these.
        nearest: where none fits, the nearest ones.
        unfit: places of rows that the best one did not make, nor the second.
    """

    verdict: Verdict
    rows: int
    best: Match | None = None
    computed: Precision | None = None
    tied: tuple[Match, ...] = ()
    second: Match | None = None
    evidence: Evidence | None = None
    lengths: Lengths = "not judged"
    nearest: tuple[Match, ...] = ()
    unfit: tuple[int, ...] = ()


def judged(tried: Sequence[Tried], lengths: Array, noise: Noise, *, keeps_length: bool) -> Finding:
    """The verdict.

    Args:
        lengths: (rows,), of the stored vectors.
    """
    rows = len(lengths)
    fitting = [one for one in tried if one.fits(noise)]
    if not fitting:
        return Finding(verdict="none", rows=rows, nearest=_nearest(tried, noise))
    cap = noise.most
    first = min(fitting, key=lambda one: (-one.fitting(noise).sum(), float(np.minimum(one.off, cap).sum())))
    noise = tightened(noise, float(np.median(first.off[first.fitting(noise)])))
    duels = [(one, duel(first, one, noise)) for one in fitting if one is not first]
    alike = [one for one, told in duels if not told.for_first.any() and not told.for_second.any()]
    best, *tied = sorted([first, *alike], key=lambda one: len(one.recipe.strays))
    second, theirs = _second(tried, first, noise)
    here = best.fitting(noise)
    verdict: Verdict = "mixed" if second else "tie" if tied else "named"
    computed, reach = computed_in(float(np.median(best.off[here])), noise.stored, noise.held)
    return Finding(
        verdict=verdict,
        rows=rows,
        best=_match(best, noise),
        computed=computed,
        tied=tuple(_match(one, noise) for one in tied),
        second=second,
        evidence=_evidence([one for one in tried if one is not first and one not in alike], first, noise, reach),
        lengths=_lengths(best, lengths, here) if keeps_length else "not judged",
        unfit=tuple(np.flatnonzero(~(here | theirs)).tolist()),
    )


def _match(one: Tried, noise: Noise) -> Match:
    fitting = one.fitting(noise)
    return _of_rows(one, fitting if fitting.any() else ~np.isnan(one.off), int(fitting.sum()))


def _of_rows(one: Tried, rows: Rows, fits: int) -> Match:
    off = one.off[rows]
    return Match(recipe=one.recipe, fits=fits, cosine=1 - float(np.median(off)), least=1 - float(off.max()))


def _nearest(tried: Sequence[Tried], noise: Noise) -> tuple[Match, ...]:
    """Of each model the nearest one."""
    ordered = sorted(tried, key=lambda one: one.low)
    first = {one.recipe.spec.space: one for one in reversed(ordered)}
    return tuple(_match(one, noise) for one in sorted(first.values(), key=lambda one: one.low)[:NEAREST])


def _second(tried: Sequence[Tried], first: Tried, noise: Noise) -> tuple[Match | None, Rows]:
    """Who made the most of the rows that the first did not, and which these are."""
    found = [(one, duel(first, one, noise).for_second & ~first.fitting(noise)) for one in tried if one is not first]
    one, theirs = max(found, key=lambda each: int(each[1].sum()), default=(first, np.zeros(len(first.off), bool)))
    if theirs.sum() < max(MIXED_ROWS, MIXED_SHARE * len(theirs)):
        return None, np.zeros(len(first.off), bool)
    return _of_rows(one, theirs, int(theirs.sum())), theirs


def _evidence(others: Sequence[Tried], first: Tried, noise: Noise, reach: float) -> Evidence | None:
    """Against the one that comes nearest to the rows that tell it from the first."""
    told = [(one, duel(first, one, noise)) for one in others]
    told = [(one, found) for one, found in told if found.for_first.any()]
    if not told:
        return None
    one, found = min(told, key=lambda each: _middle(*each))
    best, other = float(np.median(first.off[found.for_first])), _middle(one, found)
    return Evidence(runner_up=one.recipe, rows=int(found.for_first.sum()), best=best, next=other, times=other / reach)


def _middle(one: Tried, found: Duel) -> float:
    return float(np.median(one.off[found.for_first]))


def _lengths(best: Tried, found: Array, here: Rows) -> Lengths:
    """Of the middle one of the rows that fit, to one in a hundred."""

    def is_near(wanted: Array) -> bool:
        return float(np.median(np.abs(found[here] - wanted) / np.maximum(wanted, TINY))) <= LENGTH

    is_unit, is_raw = is_near(np.ones(here.sum())), is_near(best.lengths[here])
    if is_unit and is_raw:
        return "either"
    if is_unit or is_raw:
        return "normalised" if is_unit else "not normalised"
    return "normalised before the cut" if is_near(best.shares[here]) else "neither"
