"""Thresholds for "the same" against counting by hand, scipy, and pairs of which the answer is known."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats

from embedstack.errors import BadRequest
from embedstack.evals.calibration import Effect
from embedstack.evals.curve import auc, bins, curve, effect, share
from embedstack.evals.thresholds import calibrate, half, lowest_precise, most_f1

EXACT = 1e-12


def drawn(seed: int, *, pairs: int = 60, steps: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Few different cosines, so that many are equal; pairs that are the same have higher ones on the whole."""
    draw = np.random.default_rng(seed)
    are_same = draw.random(pairs) < 0.4
    are_same[:4] = [True, True, False, False]
    cosines = (draw.integers(-steps, steps + 1, pairs) / (2 * steps)) + np.where(are_same, 0.4, 0.0)
    return cosines, are_same


CASES = [drawn(seed) for seed in range(40)]


def counted(cosines: Sequence[float], are_same: Sequence[bool], threshold: float) -> tuple[int, int]:
    """How many pairs a threshold calls the same, and how many of them are."""
    called = [same for cosine, same in zip(cosines, are_same, strict=True) if cosine >= threshold]
    return len(called), sum(called)


# ------------------------------------------------------------------------------------------------ what a threshold does


@pytest.mark.parametrize("threshold", [-1.1, -0.3, 0.0, 0.25, 0.7, 1.1])
def test_effect_is_what_counting_finds(threshold: float) -> None:
    for cosines, are_same in CASES:
        found = effect(curve(cosines, are_same), threshold, 0.95)

        assert (found.called, found.right) == counted(cosines, are_same, threshold)
        assert found.recall.value == found.right / are_same.sum()
        assert found.f1 == 2 * found.right / (found.called + are_same.sum())


def test_a_pair_whose_cosine_is_the_threshold_is_called_the_same() -> None:
    assert effect(curve(np.array([0.7, 0.2]), np.array([True, False])), 0.7, 0.95).called == 1


def test_precision_of_nothing_is_not_said() -> None:
    assert effect(curve(np.array([0.7, 0.2]), np.array([True, False])), 0.9, 0.95).precision is None


@pytest.mark.parametrize(("part", "whole"), [(0, 3), (1, 1), (5, 9), (95, 100), (100, 100)])
def test_interval_of_a_share_is_scipys_wilson(part: int, whole: int) -> None:
    theirs = scipy.stats.binomtest(part, whole).proportion_ci(0.95, method="wilson")

    found = share(part, whole, 0.95)

    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=EXACT)
    assert found.low <= found.value <= found.high


def test_auc_is_what_counting_pairs_of_pairs_finds() -> None:
    for cosines, are_same in CASES:
        won = (np.sign(np.subtract.outer(cosines[are_same], cosines[~are_same])) + 1) / 2

        assert auc(curve(cosines, are_same)) == pytest.approx(np.mean(won), abs=EXACT)


def test_bins_hold_each_pair_once() -> None:
    cosines, are_same = np.array([-1.0, -0.001, 0.0, 0.949, 0.95, 1.0, 1.0]), np.array([0, 0, 0, 1, 1, 1, 0], bool)

    found = bins(cosines, are_same)

    assert (sum(one.same for one in found), sum(one.other for one in found)) == (3, 4)
    assert (found[-1].low, found[-1].same, found[-1].other) == (0.95, 2, 1)
    assert [one.other for one in found if one.low in (-0.05, 0.0)] == [1, 1]


def test_bins_are_left_out_at_the_ends_and_nowhere_else() -> None:
    found = bins(np.array([0.31, 0.52]), np.array([False, True]))

    assert [(one.low, one.high) for one in found] == [(0.3, 0.35), (0.35, 0.4), (0.4, 0.45), (0.45, 0.5), (0.5, 0.55)]


# ------------------------------------------------------------------------------------------------ what is chosen


def test_best_f1_is_that_of_all_thresholds() -> None:
    for cosines, are_same in CASES:
        found = curve(cosines, are_same)
        by_hand = {t: 2 * right / (called + are_same.sum()) for t in cosines for called, right in
                   [counted(cosines, are_same, t)]}  # fmt: skip
        best = max(by_hand.values())

        assert found.thresholds[most_f1(found)] == max(t for t, f1 in by_hand.items() if f1 == best)


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.9])
def test_precise_threshold_is_the_lowest_from_which_on_enough_pairs_are_precise(wanted: float) -> None:
    least = {0.5: 2, 0.8: 5, 0.9: 10}[wanted]
    for cosines, are_same in CASES:
        found = curve(cosines, are_same)
        of = {t: counted(cosines, are_same, t) for t in cosines}
        fit = [
            t for t in of if of[t][0] >= least
            and all(of[u][1] / of[u][0] >= wanted for u in of if u >= t and of[u][0] >= least)
        ]  # fmt: skip

        place = lowest_precise(found, wanted)

        assert (None if place is None else found.thresholds[place]) == (min(fit) if fit else None)


def test_one_wrong_pair_at_the_top_does_not_forbid_every_threshold() -> None:
    cosines, are_same = np.linspace(1, 0, 40), np.array([False, *[True] * 19, *[False] * 20])

    place = lowest_precise(curve(cosines, are_same), 0.95)

    assert place == 19


def test_precision_that_comes_back_lower_down_is_not_taken() -> None:
    cosines = np.linspace(1, 0, 100)
    are_same = np.array([*[True] * 10, *[False] * 5, *[True] * 85])

    assert lowest_precise(curve(cosines, are_same), 0.9) == 10


def test_no_precision_holds_among_pairs_of_chance() -> None:
    are_same = np.arange(1000) % 2 == 0

    assert lowest_precise(curve(np.linspace(1, -1, 1000), are_same), 0.9) is None


def test_halves_have_both_kinds_in_equal_shares() -> None:
    are_same = np.arange(101) < 30

    chooses = half(are_same, 0)

    assert (chooses[are_same].sum(), chooses[~are_same].sum()) == (15, 36)


# ------------------------------------------------------------------------------------------------ all together


def graded(seed: int, pairs: int, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Cosines that follow the grades, with noise."""
    draw = np.random.default_rng(seed)
    grades = draw.uniform(0, 5, pairs)
    return np.clip(grades / 5.5 + draw.normal(0, noise, pairs), -1, 1), grades


def test_the_same_call_gives_the_same_calibration() -> None:
    cosines, grades = graded(0, 300)

    assert calibrate(cosines, grades, same_from=4) == calibrate(cosines, grades, same_from=4)
    assert calibrate(cosines, grades, same_from=4) != calibrate(cosines, grades, same_from=4, seed=1)


def test_chosen_threshold_is_tried_on_the_pairs_that_did_not_choose() -> None:
    cosines, grades = graded(1, 301, noise=0.02)
    chooses = half(grades >= 4, 7)

    made = calibrate(cosines, grades, same_from=4, seed=7)

    assert (made.chosen_on, made.held_out) == (chooses.sum(), (~chooses).sum())
    for chosen in (made.best, *made.precise[:2]):
        for shown, of in ((chosen.chosen_on, chooses), (chosen.held_out, ~chooses)):
            assert isinstance(shown, Effect)
            assert (shown.called, shown.right) == counted(cosines[of], grades[of] >= 4, shown.threshold)


def test_wanted_precision_is_had_where_it_was_chosen() -> None:
    made = calibrate(*graded(2, 2000, noise=0.02), same_from=4, resamples=400)

    reached = [chosen.chosen_on.precision.value for chosen in made.precise]
    assert all(value >= wanted for value, wanted in zip(reached, (0.90, 0.95, 0.99), strict=True))
    assert sorted(thresholds := [chosen.threshold for chosen in made.precise]) == thresholds


def test_precision_that_few_pairs_cannot_show_is_not_reached_and_says_why() -> None:
    chosen = calibrate(*graded(3, 60), same_from=4).precise[-1]

    assert (chosen.threshold, chosen.chosen_on, chosen.held_out) == (None, None, None)
    assert chosen.reason == "100 pairs called the same would be needed to tell, and thresholds are chosen on 30"


def test_precision_that_the_highest_pairs_lack_is_not_reached_and_says_why() -> None:
    cosines, grades = np.linspace(1, 0, 200), np.arange(200) % 2

    chosen = calibrate(cosines, grades, same_from=1, precisions=[0.9]).precise[0]

    assert chosen.threshold is None
    assert chosen.reason.startswith("of the 10 pairs with the highest cosines only ")


def test_fixed_thresholds_are_judged_by_all_pairs() -> None:
    cosines, grades = graded(4, 200)

    found = calibrate(cosines, grades, same_from=4, fixed=(0.85, 0.7)).fixed

    assert [(one.called, one.right) for one in found] == [counted(cosines, grades >= 4, t) for t in (0.85, 0.7)]


def test_spearman_is_scipys() -> None:
    cosines, grades = graded(5, 200)

    expected = scipy.stats.spearmanr(cosines, grades).statistic

    assert calibrate(cosines, grades, same_from=4).spearman == pytest.approx(expected, abs=EXACT)


def test_interval_of_the_best_threshold_is_that_of_resampling_one_by_one() -> None:
    cosines, grades = graded(6, 80)
    chooses = half(grades >= 3, 0)
    ours, same = cosines[chooses], grades[chooses] >= 3
    draw = np.random.default_rng(0)
    best = []
    for places in draw.integers(0, len(ours), (400, len(ours))):
        again = curve(ours[places], same[places])
        best.append(again.thresholds[most_f1(again)])

    drawn_again = calibrate(cosines, grades, same_from=3, resamples=400).best.drawn

    assert drawn_again is not None
    assert (drawn_again.low, drawn_again.high) == tuple(np.quantile(best, (0.025, 0.975)))


def test_blocks_of_resamples_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    cosines, grades = graded(7, 100)
    whole = calibrate(cosines, grades, same_from=4, resamples=400)
    monkeypatch.setattr("embedstack.evals.thresholds.BLOCK", 7 * whole.chosen_on)

    assert calibrate(cosines, grades, same_from=4, resamples=400) == whole


@pytest.mark.slow
def test_interval_holds_the_threshold_of_all_pairs_about_as_often_as_it_says() -> None:
    """The truth is what a million pairs say."""
    truth_cosines, truth_grades = graded(100, 1_000_000)
    truth = curve(truth_cosines, truth_grades >= 3)
    best = truth.thresholds[most_f1(truth)]

    intervals = [calibrate(*graded(seed, 400), same_from=3, resamples=400).best.drawn for seed in range(100)]

    assert sum(one.low <= best <= one.high for one in intervals if one) >= 85


@pytest.mark.parametrize(
    ("cosines", "grades", "same_from", "says"),
    [
        ([0.1, 0.2], [1, 2, 3], 2, "2 cosines and 3 grades"),
        ([], [], 2, "0 of 0 pairs are graded 2 or higher"),
        ([0.1, 0.2, 0.3, 1.2], [1, 2, 3, 4], 3, r"value 1\.2 of pair 3 is no cosine"),
        ([0.1, 0.2, math.nan, 0.2], [1, 2, 3, 4], 3, "value nan of pair 2 is no cosine"),
        ([0.1, 0.2, 0.3, 0.4], [1, math.nan, 3, 4], 3, "grade nan of pair 1 is no number"),
        ([0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4], 4, "1 of 4 pairs of grades from 1 to 4 are graded 4 or higher"),
        ([0.1, 0.2, 0.3, 0.4], [1, 2, 3, 4], 2, "3 of 4 pairs of grades from 1 to 4"),
        ([0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4], 3, "all values of the first sequence are equal"),
    ],
)
def test_pairs_that_calibrate_nothing_are_refused(cosines, grades, same_from: float, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        calibrate(cosines, grades, same_from=same_from)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"precisions": (1.0,)}, "precision 1.0 is not between 0 and 1"),
        ({"confidence": 95}, "confidence=95 is not from 0.5"),
        ({"resamples": 399}, "399 resamples are too few for confidence 0.95; give 400"),
        ({"seed": -1}, "seed=-1 is below 0"),
        ({"fixed": (math.nan,)}, "threshold nan is no cosine"),
    ],
)
def test_wishes_that_no_pairs_fulfil_are_refused(wish, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        calibrate(*graded(0, 20), same_from=3, **wish)
