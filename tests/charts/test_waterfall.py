"""A waterfall shows all differences in order, those below zero and those above."""

import random
import re
import xml.etree.ElementTree as ElementTree

import pytest

from embedstack.charts.waterfall import waterfall

ENDS = ("worse", "same", "better")
DRAW = random.Random(1)
MANY = [DRAW.uniform(-1, 1) for _ in range(20_000)]


def steps(picture: str, kind: str) -> list[tuple[float, float, float]]:
    """Begin, end and height of each, in differences and in shares of the largest one; below zero is negative."""
    path = next((one for one in ElementTree.fromstring(picture).iter() if one.get("class") == kind), None)
    if path is None:
        return []
    drawn = path.get("d") or ""
    at, zero = (float(number) for number in re.findall(r"[\d.]+", drawn.split("V")[0]))
    made = []
    for y, end in re.findall(r"V([\d.]+)H([\d.]+)", drawn):
        made.append((at, float(end), (zero - float(y)) / 76))
        at = float(end)
    return made


def test_heights_and_widths_are_those_of_the_differences() -> None:
    picture = waterfall("t", [0.5, 0.0, -1.0, 0.5], "1", ENDS)

    assert steps(picture, "worse") == [(8, 184, -1)]
    assert steps(picture, "better") == [(360, 712, 0.5)]


def test_a_difference_that_is_hardly_one_is_still_seen() -> None:
    picture = waterfall("t", [1e-6, 1.0], "1", ENDS)

    assert [height for _, _, height in steps(picture, "better")] == [pytest.approx(0.5 / 76), 1]


def test_many_differences_are_a_small_picture() -> None:
    assert len(waterfall("t", MANY, "1", ENDS)) < 6000


def test_the_area_of_many_is_their_sum() -> None:
    drawn = waterfall("t", MANY, "1", ENDS)
    area = sum((end - begin) * height for kind in ("worse", "better") for begin, end, height in steps(drawn, kind))

    assert area / 704 == pytest.approx(sum(MANY) / len(MANY), abs=0.01)


@pytest.mark.parametrize("differences", [[], [0.0], [0.0, 0.0]])
def test_nothing_that_differs_is_an_empty_picture(differences: list[float]) -> None:
    picture = waterfall("t", differences, "0", ENDS)

    assert steps(picture, "worse") == steps(picture, "better") == []
