"""Intervals, randomisation and how many more are needed: scipy, full enumeration and slow twins judge them."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from embedstack.errors import BadRequest
from embedstack.evals import statistics
from embedstack.evals.outcome import Interval
from embedstack.evals.statistics import interval, matched, needed_queries, needed_samples, paired, quantile

TAIL, RESAMPLES = 0.025, 10_000
SURE = 1e-6  # how rarely a check of random numbers may fail if all is right; seeds are fixed, so it does not in fact


def binomially(count: int, share: float) -> tuple[float, float]:
    """Between which shares a right program stays."""
    low, high = scipy.stats.binom.interval(1 - SURE, count, share)
    return low / count, high / count


def by_name(values) -> dict[str, float]:
    return {f"q{place}": float(value) for place, value in enumerate(values)}


def compared(before, after, **options):
    return paired(by_name(before), by_name(after), measure="ndcg@10", names=("old", "new"), **options)


# ------------------------------------------------------------------------------------------------ means


@pytest.mark.parametrize(("ones", "count"), [(0, 25), (1, 25), (12, 25), (25, 25), (3, 300), (299, 300)])
def test_interval_of_zeros_and_ones_is_that_of_clopper_and_pearson(ones, count):
    found = interval([1.0] * ones + [0.0] * (count - ones))

    exact = scipy.stats.binomtest(ones, count).proportion_ci(0.95, method="exact")
    if ones > 0:
        left = scipy.stats.beta.cdf(found.low, ones, count - ones + 1)  # as Clopper and Pearson define it
        assert binomially(RESAMPLES, TAIL)[0] < left < binomially(RESAMPLES, TAIL)[1]
    if ones < count:
        right = scipy.stats.beta.sf(found.high, ones + 1, count - ones)
        assert binomially(RESAMPLES, TAIL)[0] < right < binomially(RESAMPLES, TAIL)[1]
    assert (found.low == 0) == (exact.low == 0)
    assert (found.high == 1) == (exact.high == 1)


def test_interval_is_random_weights_over_the_values_and_the_worst():
    values = np.random.default_rng(1).beta(0.5, 0.5, 40)
    draw = np.random.default_rng(2)
    lows, highs = (draw.dirichlet(np.ones(41), RESAMPLES) @ np.append(values, worst) for worst in (-1.0, 1.0))

    found = interval(values, span=(-1.0, 1.0))

    allowed = 0.03 * (found.high - found.low)  # both are of 10,000 resamples: 5 standard errors of an end
    assert found.low == pytest.approx(np.quantile(lows, TAIL), abs=allowed)
    assert found.high == pytest.approx(np.quantile(highs, 1 - TAIL), abs=allowed)
    assert found.value == pytest.approx(values.mean())


@pytest.mark.slow
def test_interval_of_many_values_is_that_of_the_usual_bootstrap():
    values = np.random.default_rng(3).beta(2, 2, 3000)

    found = interval(values)

    usual = scipy.stats.bootstrap((values,), np.mean, n_resamples=2000, method="percentile", rng=4, batch=100)
    allowed = 0.06 * (found.high - found.low)
    assert found.low == pytest.approx(usual.confidence_interval.low, abs=allowed)
    assert found.high == pytest.approx(usual.confidence_interval.high, abs=allowed)


def test_values_of_one_step_count_as_their_mean_without_harm(monkeypatch):
    values = np.random.default_rng(5).normal(0.5, 0.05, 300)
    found = interval(values)
    monkeypatch.setattr(statistics, "GRID", 1 << 40)

    each = interval(values)

    assert found.value == each.value
    assert found.low == pytest.approx(each.low, abs=0.03 * (each.high - each.low))
    assert found.high == pytest.approx(each.high, abs=0.03 * (each.high - each.low))


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_block_does_not_show(monkeypatch, block):
    draw = np.random.default_rng(6)
    before, after = draw.integers(0, 5, (2, 30)) / 4
    whole = compared(before, after, resamples=500)
    monkeypatch.setattr(statistics, "BLOCK", block)

    assert compared(before, after, resamples=500) == whole


def test_order_of_the_queries_does_not_show():
    draw = np.random.default_rng(7)
    before, after = by_name(draw.random(50)), by_name(draw.random(50))
    names = draw.permutation([*before]).tolist()

    turned = {name: before[name] for name in names}
    assert paired(before, after, measure="map", names=("a", "b")) == paired(
        turned, after, measure="map", names=("a", "b")
    )


def test_seed_decides_the_resamples():
    values = np.random.default_rng(8).random(20)

    assert interval(values, seed=1) == interval(values, seed=1)
    assert interval(values, seed=1) != interval(values, seed=2)


def test_more_confidence_makes_wider():
    values = np.random.default_rng(9).random(50)

    found = [interval(values, confidence=confidence, resamples=2000) for confidence in (0.8, 0.9, 0.95, 0.99)]
    assert sorted(each.low for each in found) == [each.low for each in reversed(found)]
    assert sorted(each.high for each in found) == [each.high for each in found]


def test_one_query_says_next_to_nothing():
    found = interval([0.0], span=(-1.0, 1.0))

    assert found.low < -0.9
    assert found.high > 0.9


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        ([], {}, "no values to judge"),
        ([0.5, 1.5], {}, "value 1 is 1.5, not a number from 0 to 1"),
        ([0.5, math.nan], {}, "value 1 is nan"),
        ([math.inf], {"span": (0.0, math.inf)}, "value 0 is inf"),
        ([0.5], {"confidence": 1.0}, "confidence=1.0 is not from 0.5 to below 1"),
        ([0.5], {"confidence": 95}, "confidence=95"),
        ([0.5], {"confidence": math.nan}, "confidence=nan"),
        ([0.5], {"resamples": 399}, "399 resamples are too few for confidence 0.95; give 400"),
        ([0.5], {"seed": -1}, "seed=-1 is below 0"),
    ],
)
def test_interval_that_cannot_be_made_is_refused(values, options, says):
    with pytest.raises(BadRequest, match=says):
        interval(values, **options)


# Differences of two systems that mostly agree, each with its true mean: a loss of 1 on 4 queries in 100 and a gain on
# one; one on 2 in 100; small ones of both signs; 3 queries in 1,000 that differ. 400 trials of each.
RARE = {
    "rare losses": ([-1.0, 0.0, 1.0], [0.04, 0.95, 0.01]),
    "rarer losses": ([-1.0, 0.0], [0.02, 0.98]),
    "both": ([-0.5, -0.1, 0.0, 0.1, 0.5], [0.1, 0.1, 0.6, 0.1, 0.1]),
    "hardly any": ([-0.37, 0.0], [0.003, 0.997]),
}


@pytest.mark.slow
@pytest.mark.parametrize("count", [25, 50, 100, 300])
@pytest.mark.parametrize("population", RARE)
def test_true_mean_is_outside_either_end_as_rarely_as_is_claimed(population, count):
    values, chances = RARE[population]
    true, draw = float(np.dot(values, chances)), np.random.default_rng(count)
    found = [
        interval(draw.choice(values, count, p=chances), span=(-1.0, 1.0), resamples=1000, seed=trial)
        for trial in range(400)
    ]

    most = binomially(400, TAIL)[1]
    assert sum(each.low > true for each in found) / 400 <= most
    assert sum(each.high < true for each in found) / 400 <= most


# ------------------------------------------------------------------------------------------------ two systems


def test_wins_losses_and_ties_are_counted():
    found = compared([0.5, 0.5, 0.5, 0.5], [0.6, 0.5, 0.4, 0.9])

    assert (found.wins, found.losses, found.ties) == (2, 1, 1)
    assert found.delta.value == pytest.approx(0.1)
    assert (found.measure, found.baseline, found.candidate) == ("ndcg@10", "old", "new")


def test_queries_are_compared_by_name():
    assert compared([0.1, 0.9], [0.1, 0.9]).delta.value == 0
    found = paired({"a": 0.1, "b": 0.9}, {"b": 0.9, "a": 0.1}, measure="map", names=("x", "y"))
    assert (found.ties, found.delta.value) == (2, 0)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({"a": 1, "b": 1, "c": 1}, {"a": 1}, "query 'b' of 'old' is lacking in 'new'"),
        ({"a": 1}, {"a": 1, "b": 1}, "query 'b' of 'new' is lacking in 'old'"),
        ({}, {}, "no values to judge"),
    ],
)
def test_other_queries_are_refused(before, after, says):
    with pytest.raises(BadRequest, match=says):
        paired(before, after, measure="map", names=("old", "new"))


def test_values_come_in_one_order():
    before, after = matched({"a": 1, "b": 2}, {"b": 4, "a": 3}, ("old", "new"))

    assert (before.tolist(), after.tolist()) == ([1, 2], [3, 4])


@pytest.mark.parametrize("count", range(1, 13))
def test_p_value_is_that_of_all_sign_flips(count):
    differences = np.random.default_rng(count).integers(-3, 5, count) / 10  # with zeros and equal sums
    signs = np.array([*itertools.product([-1, 1], repeat=count)])
    share = float((np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9).mean())

    found = compared(np.full(count, 0.4), 0.4 + differences).p_value

    low, high = scipy.stats.binom.interval(1 - SURE, RESAMPLES, share)
    assert (1 + low) / (1 + RESAMPLES) <= found <= (1 + high) / (1 + RESAMPLES)


def test_p_value_of_many_queries_is_that_of_scipy():
    before, after = np.random.default_rng(11).beta(1, 1, (2, 150))
    theirs = scipy.stats.permutation_test(
        (before, after), lambda x, y, axis: (y - x).sum(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=RESAMPLES, batch=1000, rng=12,
    ).pvalue  # fmt: skip

    spread = math.sqrt(2 * theirs * (1 - theirs) / RESAMPLES)
    assert compared(before, after).p_value == pytest.approx(theirs, abs=5 * spread)


def test_p_value_of_equal_systems_is_one():
    assert compared([0.1, 0.7], [0.1, 0.7]).p_value == 1


def test_p_value_is_never_zero():
    assert compared(np.zeros(200), np.ones(200), resamples=1000).p_value == 1 / 1001


# ------------------------------------------------------------------------------------------------ more queries


@pytest.mark.parametrize("margin", [0.02, 0.05, 0.1])
def test_queries_without_a_difference_are_as_many_as_leave_no_room_for_rare_losses(margin):
    least = math.log(TAIL) / math.log(1 - margin)  # of so many, a share of `margin` would have shown itself

    assert needed_queries(np.zeros(25), margin) == pytest.approx(least, rel=0.1)


def test_needed_queries_do_not_hang_on_how_many_there_are():
    differences = np.random.default_rng(13).normal(0, 0.1, 40)

    assert needed_queries(np.tile(differences, 30), 0.05) == needed_queries(differences, 0.05)


def test_closer_to_the_margin_more_are_needed():
    differences = np.random.default_rng(14).uniform(-0.4, 0.4, 100)
    differences -= differences.mean()

    counts = [needed_queries(differences, margin) for margin in (0.2, 0.1, 0.05, 0.01, 0.001)]
    assert counts == sorted(counts)
    assert counts[4] == pytest.approx(((1.96 + 0.84) * differences.std() / 0.001) ** 2, rel=0.01)  # the textbook's


def test_what_lies_on_the_other_side_mirrors():
    differences = np.random.default_rng(15).uniform(-0.3, 0.4, 100)

    assert needed_queries(differences, 0.2) == needed_queries(-differences, -0.2)


def test_no_number_of_queries_decides_what_lies_on_the_margin():
    assert needed_queries([-0.25, 0.25], 0.0) is None
    assert needed_queries([-0.25, 0.25], 1e-5) is None


# ------------------------------------------------------------------------------------------------ quantiles


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [1, 5, 6, 50, 367, 368, 1000, 4000])
def test_quantile_lies_between_the_samples_that_scipy_names(count, q, confidence):
    samples = np.random.default_rng(count).lognormal(3, 1, count)
    low, high = scipy.stats.quantile_test(samples, p=q).confidence_interval(confidence)

    found = quantile(samples, q, confidence=confidence)

    assert found.low == (0.0 if math.isnan(low) else low)
    assert found.high == (math.inf if math.isnan(high) else high)
    assert found.value == np.quantile(samples, q, method="inverted_cdf")


def test_upper_end_of_a_99th_percentile_takes_368_samples():
    assert math.isinf(quantile(range(367), 0.99).high)
    assert quantile(range(368), 0.99).high == 367


def test_equal_samples_leave_nothing_open():
    assert quantile([7.0] * 1000, 0.99) == Interval(7.0, 7.0, 7.0)


@pytest.mark.parametrize(
    ("samples", "q", "says"),
    [
        ([], 0.5, "no values"),
        ([1.0, -1.0], 0.5, "value 1 is -1.0"),
        ([math.inf], 0.5, "value 0 is inf"),
        ([1.0], 99, "q=99 is no quantile"),
        ([1.0], 0.0, "q=0.0 is no quantile"),
        ([1.0], math.nan, "q=nan is no quantile"),
    ],
)
def test_quantile_that_is_none_is_refused(samples, q, says):
    with pytest.raises(BadRequest, match=says):
        quantile(samples, q)


def test_without_an_upper_end_as_many_are_needed_as_give_one():
    found = quantile(range(100), 0.99)

    assert needed_samples(found, 500, q=0.99, samples=100) == 368


def test_twice_as_close_takes_four_times_the_samples():
    found = Interval(100.0, 80.0, 130.0)

    near, far = (needed_samples(found, limit, q=0.5, samples=1000) for limit in (110, 120))
    assert near == pytest.approx(4 * far, abs=4)


def test_no_number_of_samples_decides_what_lies_on_the_limit():
    assert needed_samples(Interval(100.0, 80.0, 130.0), 100.0, q=0.5, samples=1000) is None
    assert needed_samples(Interval(100.0, 80.0, 130.0), 100.001, q=0.5, samples=1000) is None
