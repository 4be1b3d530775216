"""Limits as they are written."""

import math

import pytest

from embedstack.errors import BadRequest
from embedstack.evals.limits import PRESETS, Ceiling, Margin, Share, parse_limit
from embedstack.evals.measures import parse_measure


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("ndcg@10=0.90", Share("ndcg@10", 0.9)),
        (" nDCG@10 = .9 ", Share("ndcg@10", 0.9)),
        ("R@100=1", Share("recall@100", 1.0)),
        ("map=1.05", Share("map", 1.05)),
        ("ndcg@10=-0.02", Margin("ndcg@10", 0.02)),
        ("RR@10=-0", Margin("mrr@10", 0.0)),
        ("p50=100", Ceiling("p50", 100.0)),
        ("P99=500ms", Ceiling("p99", 500.0)),
        ("p99=0.5 MS", Ceiling("p99", 0.5)),
        ("p@50=0.9", Share("precision@50", 0.9)),
    ],
)
def test_limit_is_read(text, limit):
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ndcg@10", "the limit 'ndcg@10' has no number"),
        ("", "the limit '' has no number"),
        ("ndcg@10=", "'' in the limit 'ndcg@10=' is no number"),
        ("ndcg@10=0,9", "'0,9' in the limit"),
        ("ndcg@10=nan", "'nan' in the limit"),
        ("p99=inf", "'inf' in the limit"),
        ("p99=1s", "'1s' in the limit"),
        ("p95=100", "no measure is called 'p95'"),
        ("ndgc@10=0.9", "nearest is ndcg@10"),
        ("=0.9", "no measure is called ''"),
        ("ndcg@10=90", "for 90 percent write ndcg@10=0.90"),
        ("ndcg@10=0.02", "for a loss of 0.02 ndcg@10=-0.02"),
        ("ndcg@10=-2", "loss of 2 of ndcg@10"),
        ("p99=0", "p99 of at most 0 ms"),
        ("p99=-5ms", "p99 of at most -5 ms"),
    ],
)
def test_what_is_no_limit_is_refused(text, says):
    with pytest.raises(BadRequest, match=says):
        parse_limit(text)


@pytest.mark.parametrize(
    "made", [lambda: Share("map", math.nan), lambda: Margin("map", math.nan), lambda: Ceiling("p50", math.nan)]
)
def test_limit_that_is_no_number_cannot_be_made(made):
    with pytest.raises(BadRequest, match="nan"):
        made()


def test_lists_name_measures_by_their_own_names():
    measures = [limit.measure for limits in PRESETS.values() for limit in limits if not isinstance(limit, Ceiling)]

    assert [str(parse_measure(measure)) for measure in measures] == measures


def test_thresholds_of_the_plan_are_shares_of_the_baseline():
    written = ("ndcg@10=0.90", "mrr@10=0.90", "recall@100=0.95", "p50=100ms", "p99=500ms")

    assert PRESETS["d15"] == tuple(map(parse_limit, written))
