"""How often the gate errs, against the truth: systems whose difference is known, drawn again and again."""

from collections import Counter

import numpy as np
import pytest
import scipy.stats

from embedstack.evals.gate import judge
from embedstack.evals.limits import Ceiling, Limit, Margin, Share
from embedstack.evals.outcome import Latency, Outcome
from embedstack.evals.statistics import needed_queries, quantile

TRIALS, ERROR, POWER = 200, 0.025, 0.8
MOST_WRONG = int(scipy.stats.binom.ppf(0.9999, TRIALS, ERROR))  # a gate that errs as stated stays below it
LEAST_RIGHT, MOST_RIGHT = (int(scipy.stats.binom.ppf(share, TRIALS, POWER)) for share in (0.0001, 0.9999))
AGREE = 0.7  # of the queries both systems answer alike

pytestmark = pytest.mark.slow


def values(draw: np.random.Generator, count: int) -> np.ndarray:
    """As nDCG of queries with one relevant document: many 0 and 1, and what lower ranks give."""
    ranks = draw.choice(np.arange(1, 12), count, p=[0.45, 0.1, 0.06, *[0.02] * 7, 0.25])
    return np.where(ranks > 10, 0.0, 1 / np.log2(ranks + 1))


MEAN = float(values(np.random.default_rng(0), 1_000_000).mean())


def drawn(draw: np.random.Generator, count: int, loss: float, agree: float = AGREE) -> tuple[np.ndarray, np.ndarray]:
    """A baseline, and a candidate whose true mean is lower by `loss`: it loses some queries wholly."""
    before = values(draw, count)
    after = np.where(draw.random(count) < agree, before, values(draw, count))
    return before, np.where(draw.random(count) < loss / MEAN, 0.0, after)


def verdicts(limits: list[Limit], count: int, loss: float, agree: float = AGREE) -> Counter[str]:
    draw, found = np.random.default_rng(count), Counter[str]()
    for trial in range(TRIALS):
        before, after = (
            Outcome(system=name, queries={"ndcg@10": dict(enumerate(map(float, side)))})
            for name, side in zip(("old", "new"), drawn(draw, count, loss, agree), strict=True)
        )
        found[judge(limits, before, after, resamples=1000, seed=trial)[1]] += 1
    return found


@pytest.mark.parametrize("agree", [AGREE, 1.0], ids=["differing", "agreeing"])
@pytest.mark.parametrize("count", [25, 100, 400])
@pytest.mark.parametrize("margin", [0.02, 0.1])
def test_candidate_exactly_on_the_margin_seldom_passes_or_fails(margin, count, agree):
    found = verdicts([Margin("ndcg@10", margin)], count, loss=margin, agree=agree)

    assert found["PASS"] <= MOST_WRONG
    assert found["FAIL"] <= MOST_WRONG


@pytest.mark.parametrize("count", [25, 400])
def test_candidate_of_exactly_the_share_seldom_passes_or_fails(count):
    found = verdicts([Share("ndcg@10", 0.9)], count, loss=0.1 * MEAN)

    assert found["PASS"] <= MOST_WRONG
    assert found["FAIL"] <= MOST_WRONG


def test_equally_good_candidate_mostly_passes():
    found = verdicts([Margin("ndcg@10", 0.05)], 600, loss=0.0)

    assert found["PASS"] >= LEAST_RIGHT
    assert found["FAIL"] == 0


def test_candidate_that_is_clearly_worse_mostly_fails_and_never_passes():
    found = verdicts([Margin("ndcg@10", 0.05)], 600, loss=0.12)

    assert found["FAIL"] >= LEAST_RIGHT
    assert found["PASS"] == 0


def test_few_queries_decide_nothing():
    assert verdicts([Margin("ndcg@10", 0.02)], 20, loss=0.0)["INCONCLUSIVE"] >= TRIALS - MOST_WRONG


def test_further_limits_make_a_wrong_pass_no_likelier():
    limits: list[Limit] = [Margin("ndcg@10", 0.3), Margin("ndcg@10", 0.05), Share("ndcg@10", 0.6)]

    assert verdicts(limits, 400, loss=0.05)["PASS"] <= MOST_WRONG


@pytest.mark.parametrize(("loss", "margin", "verdict"), [(0.0, 0.05, "PASS"), (0.1, 0.04, "FAIL")])
def test_as_many_queries_as_are_needed_decide_in_four_cases_of_five(loss, margin, verdict):
    before, after = drawn(np.random.default_rng(1), 1_000_000, loss)
    needed = needed_queries(after - before, margin)
    assert needed is not None

    assert LEAST_RIGHT <= verdicts([Margin("ndcg@10", margin)], needed, loss)[verdict] <= MOST_RIGHT


# ------------------------------------------------------------------------------------------------ latency


def times(draw: np.random.Generator, count: int) -> np.ndarray:
    """Milliseconds with a long tail."""
    return draw.lognormal(3, 1, count)


TRUE_P99 = float(scipy.stats.lognorm.ppf(0.99, 1, scale=np.exp(3)))


def timed(samples: np.ndarray) -> Outcome:
    p50, p99 = quantile(samples, 0.50), quantile(samples, 0.99)
    return Outcome(system="new", latency=Latency(samples=len(samples), p50_ms=p50, p99_ms=p99, stages_ms={}))


def timed_verdicts(most_ms: float, count: int) -> Counter[str]:
    draw = np.random.default_rng(count)
    return Counter(
        judge([Ceiling("p99", most_ms)], Outcome(system="old"), timed(times(draw, count)))[1] for _ in range(TRIALS)
    )


@pytest.mark.parametrize("count", [100, 400, 1000])
def test_latency_exactly_on_the_limit_seldom_passes_or_fails(count):
    found = timed_verdicts(TRUE_P99, count)

    assert found["PASS"] <= MOST_WRONG
    assert found["FAIL"] <= MOST_WRONG


@pytest.mark.parametrize(("times_true", "verdict"), [(2.0, "PASS"), (0.6, "FAIL")])
def test_latency_that_is_clearly_lower_or_higher_is_seen(times_true, verdict):
    assert timed_verdicts(times_true * TRUE_P99, 1000)[verdict] >= LEAST_RIGHT


@pytest.mark.parametrize(("below_limit", "verdict"), [(0.996, "PASS"), (0.98, "FAIL")])
def test_as_many_samples_as_an_open_check_asks_for_decide_mostly(below_limit, verdict):
    limit = Ceiling("p99", float(scipy.stats.lognorm.ppf(below_limit, 1, scale=np.exp(3))))
    draw, found = np.random.default_rng(4), Counter[str]()
    while found.total() < 100:
        (check,), _ = judge([limit], Outcome(system="old"), timed(times(draw, 400)))
        if check.verdict == "INCONCLUSIVE" and check.needed and check.needed < 100_000:
            found[judge([limit], Outcome(system="old"), timed(times(draw, check.needed)))[1]] += 1

    assert found[verdict] >= scipy.stats.binom.ppf(0.0001, found.total(), POWER)
