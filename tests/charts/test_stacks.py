"""Stacks show parts beside each other, each in the colour that it has everywhere."""

import xml.etree.ElementTree as ElementTree

import pytest

from embedstack.charts.stacks import stacks

ROWS = [("a", {"embed": 6.0, "search": 3.0}), ("b", {"search": 12.0})]


def parts(picture: str) -> list[tuple[str, float, float]]:
    """Colour, begin and width of each rectangle."""
    drawn = ElementTree.fromstring(picture)
    return [
        (one.get("class") or "", float(one.get("x") or 0), float(one.get("width") or 0))
        for one in drawn.iter()
        if one.tag == "rect"
    ]


def test_a_part_begins_where_the_one_before_it_ends() -> None:
    first, second, alone, *_ = parts(stacks("t", ROWS, ["9", "12"]))

    assert second[1] == pytest.approx(first[1] + first[2], abs=0.11)
    assert (first[2] / second[2], alone[2] / second[2]) == (pytest.approx(2, rel=0.01), pytest.approx(4, rel=0.01))


def test_a_part_has_the_same_colour_in_all_rows_and_in_the_legend() -> None:
    colours = [colour for colour, _, _ in parts(stacks("t", ROWS, ["9", "12"]))]

    assert colours == ["part0", "part1", "part1", "part0", "part1"]


def test_a_part_too_small_for_its_name_has_it_in_its_words() -> None:
    drawn = stacks("t", [("a", {"embed": 1000.0, "reranking": 0.1})], ["1000"])

    assert "<title>a, reranking: 0.1</title>" in drawn


def test_nothing_took_no_time() -> None:
    assert parts(stacks("t", [("a", {"embed": 0.0})], ["0"]))[0][2] == 0
