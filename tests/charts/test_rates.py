"""Amounts over time are drawn as a rate, without the times in which nobody worked."""

import xml.etree.ElementTree as ElementTree

import pytest

from embedstack.charts.rates import joined, spread, steps


def test_a_rate_over_time_keeps_the_amount() -> None:
    rates, _ = spread([(0, 10, 100), (5, 12, 70), (40, 50, 30)], 11, [(0, 12), (40, 50)])

    assert sum(rates) * 22 / 11 == pytest.approx(200)


def test_time_in_which_nobody_worked_is_left_out_and_marked() -> None:
    rates, breaks = spread([(0, 10, 100), (1000, 1010, 100)], 20, [(0, 10), (1000, 1010)])

    assert (min(rates), breaks) == (pytest.approx(10), [10])


def test_nothing_has_no_rates() -> None:
    assert spread([], 10, []) == ([], [])


def test_a_pause_that_nobody_would_see_is_no_break() -> None:
    assert joined([(0, 10), (10.05, 20), (40, 50)]) == [(0, 20), (40, 50)]


def test_a_picture_of_zeros_can_be_drawn() -> None:
    assert ElementTree.fromstring(steps("t", [0.0, 0.0], "0", ("a", "b"))).tag == "svg"
