"""When a reranker is not asked, and what its scores make of a ranking."""

import math

import pytest

from embedstack.errors import BadRequest
from embedstack.search.fuse import rrf
from embedstack.search.rerank import is_settled, merged

FIRST = [("a", 0.9), ("b", 0.8), ("c", 0.7), ("d", 0.6), ("e", 0.5)]


@pytest.mark.parametrize(
    ("scores", "settled"),
    [
        ([0.95, 0.7], True),
        ([0.95, 0.8], False),  # no gap
        ([0.85, 0.1], False),  # not high
        ([0.9, 0.1], False),  # not above it
        ([1.0, 0.75, 0.7], True),
        ([-0.2, -0.9], False),
        ([0.3], True),
        ([], True),
    ],
)
def test_it_is_settled_where_the_first_is_high_and_alone(scores: list[float], settled: bool) -> None:
    assert is_settled(scores) is settled


def test_the_two_numbers_may_be_others() -> None:
    assert is_settled([0.6, 0.5], top=0.5, gap=0.05)


def test_cosines_that_were_rounded_are_cosines() -> None:
    assert is_settled([1.0000001, -1.0000001])


def test_fused_scores_settle_nothing() -> None:
    fused = rrf([[("a", 0.99), ("b", 0.1)], [("a", 0.99), ("b", 0.1)]], limit=9)

    assert not is_settled([score for _, score in fused])


@pytest.mark.parametrize("scores", [[17.3, 2.0], [0.99, -2.0], [math.nan, 0.1], [math.inf], [0.9, math.nan]])
def test_scores_that_have_no_highest_are_refused(scores: list[float]) -> None:
    with pytest.raises(BadRequest, match="is neither a cosine nor a probability"):
        is_settled(scores)


def test_scores_that_are_not_best_first_are_refused() -> None:
    with pytest.raises(BadRequest, match=r"score 0\.95 stands behind 0\.1"):
        is_settled([0.1, 0.95])


# ------------------------------------------------------------------------------------------------ two stages


def test_the_reranked_come_first_and_the_others_behind_in_their_order() -> None:
    found = merged(FIRST, [("a", 0.1), ("b", 0.3), ("c", 0.2)], 9)

    assert found == [("b", 0.3), ("c", 0.2), ("a", 0.1), ("d", -0.9), ("e", -1.9)]


def test_scores_never_rise() -> None:
    scores = [score for _, score in merged(FIRST, [("e", 9.5), ("a", -3.0), ("c", 4.0)], 9)]

    assert scores == sorted(scores, reverse=True)


def test_equal_scores_of_the_reranker_keep_the_order_there_was() -> None:
    assert [one for one, _ in merged(FIRST, [("c", 0.5), ("a", 0.5), ("b", 0.5)], 9)] == ["a", "b", "c", "d", "e"]


def test_what_was_reranked_may_come_in_any_order() -> None:
    scored = [("a", 0.1), ("b", 0.3), ("c", 0.2)]

    assert merged(FIRST, scored[::-1], 9) == merged(FIRST, scored, 9)


def test_nothing_reranked_keeps_the_order() -> None:
    assert merged(FIRST, [], 9) == [("a", -1.0), ("b", -2.0), ("c", -3.0), ("d", -4.0), ("e", -5.0)]


def test_a_limit_cuts_what_comes_last() -> None:
    assert merged(FIRST, [("b", 0.3)], 2) == [("b", 0.3), ("a", -0.7)]


def test_nothing_merged_is_nothing() -> None:
    assert merged([], [], 3) == []


@pytest.mark.parametrize(
    ("first", "scored", "said"),
    [
        (FIRST, [("z", 0.1)], "document 'z' was reranked and is not in the first ranking"),
        (FIRST, [("a", math.nan)], "score of document 'a' is nan"),
        (FIRST, [("a", -math.inf)], "score of document 'a' is -inf"),
        (FIRST, [("a", 0.1), ("a", 0.2)], "document 'a' is in a ranking twice"),
        ([*FIRST, ("b", 0.1)], [], "document 'b' is in a ranking twice"),
    ],
)
def test_rankings_that_do_not_fit_are_refused(first: list, scored: list, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        merged(first, scored, 9)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(BadRequest, match="limit 0 of a ranking is below 1"):
        merged(FIRST, [], 0)
