"""A forest shows each number between the ends of its interval, all on one axis."""

import xml.etree.ElementTree as ElementTree
from math import inf

import pytest

from embedstack.charts.axis import axis_of
from embedstack.charts.forest import Mark, forest

MARKS = [Mark("a", 0.5, 0.25, 0.75, "first"), Mark("b", -0.25, -0.75, -0.125, "second", limit=-0.5)]


def places(picture: str, kind: str, name: str = "x1") -> list[float]:
    return [float(one.get(name) or "nan") for one in ElementTree.fromstring(picture).iter() if one.get("class") == kind]


def test_numbers_lie_on_one_axis() -> None:
    """a: 0.5, b: -0.25, the limit -0.5, and the ends of both intervals."""
    drawn = forest("t", MARKS, "zero")
    (zero,) = places(drawn, "zero")
    unit = (places(drawn, "dot", "cx")[0] - zero) / 0.5

    assert [(x - zero) / unit for x in places(drawn, "dot", "cx")] == pytest.approx([0.5, -0.25], abs=1e-3)
    assert [(x - zero) / unit for x in places(drawn, "limit")] == pytest.approx([-0.5], abs=1e-3)
    assert [(x - zero) / unit for x in places(drawn, "whisker")] == pytest.approx(
        [0.25, 0.25, 0.75, -0.75, -0.75, -0.125], abs=1e-3
    )


def test_a_dot_is_hollow_where_its_interval_holds_zero() -> None:
    drawn = forest("t", [*MARKS, Mark("c", 0.1, -0.1, 0.3, "third")], "zero")

    assert (len(places(drawn, "dot")), len(places(drawn, "dot open"))) == (2, 1)


def test_an_end_that_is_not_known_is_an_arrow_at_the_edge() -> None:
    drawn = forest("t", [Mark("a", 5, -inf, inf, "x")])
    line = next(one for one in ElementTree.fromstring(drawn).iter() if one.get("class") == "whisker")

    assert (float(line.get("x1") or 0), float(line.get("x2") or 0)) == (8, 712)
    assert drawn.count('class="arrow"') == 2


def test_a_bar_begins_at_zero() -> None:
    drawn = forest("t", [Mark("a", 10, 9, 12, "x"), Mark("b", 5, 4, 6, "y")], "bars")
    wide = places(drawn, "area", "width")

    assert places(drawn, "area", "x") == [8, 8]
    assert wide[0] / wide[1] == pytest.approx(2, rel=1e-3)


def test_a_name_that_does_not_fit_is_whole_in_the_words_of_its_row() -> None:
    drawn = forest("t", [Mark("n" * 300, 1, 0, 2, "x")])

    assert f"<title>{'n' * 300}: x</title>" in drawn
    assert "…</text>" in drawn


@pytest.mark.parametrize("marks", [[], [Mark("a", 0, 0, 0, "x")], [Mark("a", 1e-9, 1e-9, 1e-9, "x")]])
@pytest.mark.parametrize("base", ["free", "zero", "bars"])
def test_what_has_no_extent_can_be_drawn(marks: list[Mark], base: str) -> None:
    assert ElementTree.fromstring(forest("t", marks, base)).tag == "svg"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("numbers", "ticks"),
    [
        ([0.0, 1.0], ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([-3.0, 5.0], ["-2", "0", "2", "4"]),
        ([0.501, 0.503], ["0.5010", "0.5015", "0.5020", "0.5025", "0.5030"]),
        ([0.0, 12_000.0], ["0", "2000", "4000", "6000", "8000", "10000", "12000"]),
    ],
)
def test_round_numbers_stand_along_the_axis(numbers: list[float], ticks: list[str]) -> None:
    axis = axis_of(numbers)

    assert [axis.said(tick) for tick in axis.ticks()] == ticks
