"""Which verdict follows from which interval, and what is refused."""

import math

import numpy as np
import pytest

from embedstack.errors import BadRequest, EmbedstackError
from embedstack.evals.gate import EXIT_CODES, judge, judged_note
from embedstack.evals.limits import PRESETS, Ceiling, Margin, Share
from embedstack.evals.outcome import Interval, Latency, Outcome
from embedstack.evals.statistics import interval, quantile

COUNT = 400
NARROW = Interval(9.0, 8.0, 10.0)
BEFORE = np.tile([0.0, 0.5, 1.0, 1.0], COUNT // 4)


def outcome(system: str, latency: Latency | None = None, **measures) -> Outcome:
    """Of measures whose names have _ for @."""
    queries = {
        name.replace("_", "@"): {f"q{place}": float(value) for place, value in enumerate(values)}
        for name, values in measures.items()
    }
    return Outcome(system=system, queries=queries, latency=latency)


def timed(p50: Interval, p99: Interval = NARROW, samples: int = 1000) -> Outcome:
    return outcome("new", Latency(samples=samples, p50_ms=p50, p99_ms=p99, stages_ms={}))


def only(limit, before, after):
    (check,), verdict = judge([limit], outcome("old", ndcg_10=before), outcome("new", ndcg_10=after))
    assert check.verdict == verdict
    return check


def worse_on(share: float) -> np.ndarray:
    """As the baseline, but nothing is found for a share of the queries, whatever their value was."""
    return np.where(np.arange(COUNT) % 100 < 100 * share, 0.0, BEFORE)


# ------------------------------------------------------------------------------------------------ quality


@pytest.mark.parametrize(
    ("limit", "lost", "verdict"),
    [
        (Margin("ndcg@10", 0.02), 0.0, "PASS"),
        (Margin("ndcg@10", 0.035), 0.04, "INCONCLUSIVE"),
        (Margin("ndcg@10", 0.02), 0.20, "FAIL"),
        (Share("ndcg@10", 0.9), 0.0, "PASS"),
        (Share("ndcg@10", 0.9), 0.08, "INCONCLUSIVE"),
        (Share("ndcg@10", 0.9), 0.4, "FAIL"),
        (Share("ndcg@10", 1.1), 0.0, "FAIL"),
    ],
)
def test_verdict_follows_from_the_interval(limit, lost, verdict):
    assert only(limit, BEFORE, worse_on(lost)).verdict == verdict


def test_what_is_held_against_a_margin_is_the_difference():
    check = only(Margin("ndcg@10", 0.05), BEFORE, worse_on(0.04))

    assert check.found == interval(worse_on(0.04) - BEFORE, span=(-1.0, 1.0))
    assert (check.limit, check.rule) == (-0.05, "ndcg@10 less than 0.05 below the baseline's")


def test_what_is_held_against_a_share_is_what_is_left_when_it_is_taken_off():
    check = only(Share("ndcg@10", 0.9), BEFORE, worse_on(0.04))

    assert check.found == interval(worse_on(0.04) - 0.9 * BEFORE, span=(-0.9, 1.0))
    assert (check.limit, check.rule) == (0.0, "ndcg@10 at least 0.9 of the baseline's")


def test_without_a_loss_that_is_allowed_the_candidate_must_be_better():
    assert only(Margin("ndcg@10", 0.0), BEFORE, BEFORE).verdict == "INCONCLUSIVE"
    assert only(Margin("ndcg@10", 0.0), BEFORE * 0.5, BEFORE).verdict == "PASS"
    assert only(Margin("ndcg@10", 0.0), BEFORE, BEFORE).rule == "ndcg@10 above the baseline's"


def test_equal_systems_fail_to_pass_where_rare_losses_could_hide():
    check = only(Margin("ndcg@10", 0.02), BEFORE[:25], BEFORE[:25])

    assert check.verdict == "INCONCLUSIVE"
    assert check.needed == pytest.approx(math.log(0.025) / math.log(0.98), rel=0.1)
    assert f"about {check.needed} queries like these 25 would decide" in check.reason


def test_more_queries_are_needed_than_there_are():
    for count in range(4, 100, 4):
        check = only(Margin("ndcg@10", 0.05), BEFORE[:count], BEFORE[:count])

        assert (check.needed is None) == (check.verdict == "PASS")
        assert check.needed is None or check.needed > count


def test_what_is_on_the_limit_is_decided_by_no_number():
    check = only(Margin("ndcg@10", 0.25), [0.25, 0.75] * 10, [0.0, 0.5] * 10)

    assert (check.verdict, check.needed) == ("INCONCLUSIVE", None)
    assert check.reason.endswith("it is so close that no queries like these 20 would")


def test_reason_names_both_systems_values():
    reason = only(Share("ndcg@10", 0.9), [0.5] * 500, [0.4] * 500).reason

    assert reason.startswith("ndcg@10 is 0.4000, the baseline's 0.5000; less 0.9 of the baseline's it is -0.0500, ")
    assert reason.endswith("on the wrong side of 0")


# ------------------------------------------------------------------------------------------------ latency


@pytest.mark.parametrize(
    ("found", "verdict", "needed"),
    [
        (Interval(80.0, 70.0, 90.0), "PASS", None),
        (Interval(80.0, 70.0, 100.0), "PASS", None),
        (Interval(80.0, 70.0, 100.1), "INCONCLUSIVE", 2065),  # 1000 (20.1 / 20 (1.96 + 0.84) / 1.96)^2
        (Interval(120.0, 100.0, 130.0), "INCONCLUSIVE", 2044),
        (Interval(120.0, 100.1, 130.0), "FAIL", None),
        (Interval(100.0, 90.0, 110.0), "INCONCLUSIVE", None),
    ],
)
def test_latency_is_held_against_its_limit(found, verdict, needed):
    (check,), _ = judge([Ceiling("p50", 100)], outcome("old"), timed(found))

    assert (check.verdict, check.found, check.limit) == (verdict, found, 100)
    assert check.needed == (needed and pytest.approx(needed, abs=5))


def test_latency_without_an_upper_end_can_fail_and_cannot_pass():
    below = quantile(np.full(100, 10.0), 0.99)
    above = quantile(np.full(100, 10_000.0), 0.99)

    for found, verdict, needed in ((below, "INCONCLUSIVE", 368), (above, "FAIL", None)):
        (check,), _ = judge([Ceiling("p99", 500)], outcome("old"), timed(found, p99=found, samples=100))
        assert (check.verdict, check.needed) == (verdict, needed)
        assert "or more, " in check.reason
        assert ("at least 368 samples like these 100 would decide" in check.reason) == (needed == 368)


def test_each_quantile_has_its_own_limit():
    candidate = timed(Interval(50.0, 40.0, 60.0), p99=Interval(600.0, 550.0, 700.0))

    checks, verdict = judge([Ceiling("p50", 100), Ceiling("p99", 500)], outcome("old"), candidate)
    assert [check.verdict for check in checks] == ["PASS", "FAIL"]
    assert [check.rule for check in checks] == ["p50 at most 100 ms", "p99 at most 500 ms"]
    assert verdict == "FAIL"


# ------------------------------------------------------------------------------------------------ all limits


@pytest.mark.parametrize(
    ("highs", "verdict"),
    [
        ([90, 90], "PASS"),
        ([90, 110], "INCONCLUSIVE"),
        ([200, 110], "FAIL"),
        ([90, 200], "FAIL"),
    ],
)
def test_worst_of_the_checks_is_the_verdict(highs, verdict):
    p50, p99 = (Interval(high - 15, high - 30, high) for high in highs)

    assert judge([Ceiling("p50", 100), Ceiling("p99", 100)], outcome("old"), timed(p50, p99))[1] == verdict


def test_lists_by_name_are_judged():
    same = {"ndcg_10": BEFORE, "mrr_10": BEFORE, "recall_100": BEFORE}
    fast = Latency(samples=1000, p50_ms=Interval(5, 4, 6), p99_ms=Interval(9, 8, 10), stages_ms={})

    for name, limits in PRESETS.items():
        checks, verdict = judge(limits, outcome("old", **same), outcome("new", fast, **same))
        assert (name, len(checks), verdict) == (name, len(limits), "PASS")


def test_confidence_and_seed_reach_the_intervals():
    old, new = outcome("old", ndcg_10=BEFORE), outcome("new", ndcg_10=worse_on(0.04))
    differences = worse_on(0.04) - BEFORE

    (check,), _ = judge([Margin("ndcg@10", 0.05)], old, new, confidence=0.8, resamples=500, seed=7)
    assert check.found == interval(differences, span=(-1.0, 1.0), confidence=0.8, resamples=500, seed=7)
    assert judge([Margin("ndcg@10", 0.04)], old, new, confidence=0.8)[1] == "PASS"
    assert judge([Margin("ndcg@10", 0.04)], old, new, confidence=0.95)[1] == "INCONCLUSIVE"


def kinds(error: type[EmbedstackError]):
    return [error, *(each for kind in error.__subclasses__() for each in kinds(kind))]


def test_verdicts_leave_with_codes_that_no_error_has():
    assert EXIT_CODES == {"PASS": 0, "FAIL": 10, "INCONCLUSIVE": 11}
    assert not {10, 11} & {error.exit_code for error in kinds(EmbedstackError)}


@pytest.mark.parametrize(
    ("limits", "old", "new", "says"),
    [
        ([], {}, {}, "there is no limit"),
        (
            [Margin("map", 0.1)],
            {"map": [1]},
            {"ndcg_10": [1], "mrr_10": [1]},
            "of 'new' 'map' was not measured, but ndcg",
        ),
        ([Margin("map", 0.1)], {}, {"map": [1]}, "of 'old' 'map' was not measured, but nothing"),
        ([Margin("map", 0.1)], {"map": [1, 1]}, {"map": [1]}, "query 'q1' of 'old' is lacking in 'new'"),
        ([Margin("map", 0.1)], {"map": []}, {"map": []}, "no values"),
        ([Margin("map", 0.1)], {"map": [1]}, {"map": [math.nan]}, "value 0 is nan"),
        ([Share("map", 0.9)], {"map": [0, 0]}, {"map": [1, 1]}, "map of 'old' is 0 for all 2 queries"),
        ([Margin("map", 0.1)], {"map": [0, 0]}, {"map": [1, 1]}, "map of 'old' is 0 for all 2 queries"),
        ([Ceiling("p99", 500)], {}, {}, "of 'new' no latency was measured, so p99 cannot be held against 500 ms"),
    ],
)
def test_what_cannot_be_judged_is_refused(limits, old, new, says):
    with pytest.raises(BadRequest, match=says):
        judge(limits, outcome("old", **old), outcome("new", **new))


# ------------------------------------------------------------------------------------------------ warning


def test_fewer_judged_documents_are_noted():
    note = judged_note(outcome("old", judged_10=[0.8] * 50), outcome("new", judged_10=[0.5] * 50))

    assert note is not None
    assert note.startswith("judged@10 is 0.50 for 'new' and 0.80 for 'old': ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"judged_10": [0.5] * 50}, {"judged_10": [0.8] * 50}),
        ({"judged_10": [0.8] * 50}, {"judged_10": [0.79] * 50}),
        ({"judged_10": [0.8] * 2}, {"judged_10": [0.5] * 2}),
        ({"judged_10": [0.8] * 50}, {"judged_20": [0.5] * 50}),
        ({"ndcg_10": [0.8] * 50}, {"ndcg_10": [0.5] * 50}),
    ],
    ids=["more", "about as many", "two queries", "another cut", "not measured"],
)
def test_without_clearly_fewer_judged_documents_nothing_is_noted(old, new):
    assert judged_note(outcome("old", **old), outcome("new", **new)) is None
