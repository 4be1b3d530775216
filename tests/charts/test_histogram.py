"""A histogram shows two groups on both sides of a line, and where they are cut."""

import xml.etree.ElementTree as ElementTree

import pytest

from embedstack.charts.histogram import Pile, histogram

PILES = [Pile(0.0, 0.5, 1, 40), Pile(0.5, 1.0, 4, 10)]


def heights(picture: str, kind: str) -> list[float]:
    return [float(one.get("height") or 0) for one in ElementTree.fromstring(picture).iter() if one.get("class") == kind]


def test_each_group_has_its_own_height() -> None:
    drawn = histogram("t", PILES, ("same", "other"), [])

    assert heights(drawn, "better") == pytest.approx([94 / 4, 94])
    assert heights(drawn, "worse") == pytest.approx([94, 94 / 4])


def test_a_cut_stands_where_its_number_is() -> None:
    drawn = ElementTree.fromstring(histogram("t", PILES, ("same", "other"), [("cut", 0.5)]))
    (cut,) = (float(one.get("x1") or 0) for one in drawn.iter() if one.get("class") == "limit")
    edge = min(float(one.get("x") or 0) for one in drawn.iter() if one.tag == "rect" and one.get("x") != "")
    ends = [float(one.get("x") or 0) - 0.5 for one in drawn.iter() if one.get("class") == "better"]

    assert cut == pytest.approx(ends[1], abs=0.11)
    assert edge < cut


def test_names_of_cuts_do_not_lie_on_each_other() -> None:
    drawn = ElementTree.fromstring(histogram("t", PILES, ("a", "b"), [("x", 0.7), ("y", 0.71), ("z", 0.1)]))
    rows = [one.get("y") for group in drawn.iter("g") for one in group.iter("text")]

    assert len(set(rows)) == 3


@pytest.mark.parametrize("piles", [[], [Pile(0, 1, 0, 0)]])
def test_no_pairs_are_an_empty_picture(piles: list[Pile]) -> None:
    assert ElementTree.fromstring(histogram("t", piles, ("a", "b"), [])).tag == "svg"
