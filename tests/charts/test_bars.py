"""Bars are as long as what they show."""

import xml.etree.ElementTree as ElementTree

import pytest

from embedstack.charts.bars import bars, columns


@pytest.mark.parametrize("picture", [columns, bars])
def test_the_largest_bar_is_the_longest(picture: object) -> None:
    drawn = picture("t", [("a", 1.0), ("b", 4.0), ("c", 2.0)], ["1", "4", "2"])  # type: ignore[operator]
    name = "height" if picture is columns else "width"
    sizes = [float(rect.get(name) or 0) for rect in ElementTree.fromstring(drawn).iter("rect")]

    assert (sizes[1] / sizes[0], sizes[1] / sizes[2]) == (pytest.approx(4, rel=0.01), pytest.approx(2, rel=0.01))
