"""Items become the parts that one body each can hold: of one role or query, by number and by bytes."""

import json

import pytest

from embedstack.client.wording import json_bytes, parts, rows_that_fit
from embedstack.errors import TooLong
from embedstack.types import Image, Link, Pair, Text, Tokens


def test_without_a_limit_of_bytes_only_the_number_counts():
    assert list(parts([Text("a" * 1000)] * 5, 2)) == [[0, 1], [2, 3], [4]]


def test_each_role_goes_alone():
    items = [Text("a", "query"), Text("b"), Text("c", "query")]

    assert list(parts(items, 9, 100)) == [[0, 2], [1]]


def test_a_part_ends_before_the_item_that_would_not_fit():
    items = [Text("a" * 10), Text("b" * 10), Text("c" * 10)]  # 13 bytes each with quotes and comma, and 10 for the role

    assert list(parts(items, 9, 36)) == [[0, 1], [2]]
    assert list(parts(items, 9, 35)) == [[0], [1], [2]]


def test_number_and_bytes_limit_together():
    assert list(parts([Text("a")] * 5, 2, 1000)) == [[0, 1], [2, 3], [4]]


def test_a_query_counts_in_each_part():
    pairs = [Pair("q" * 50, "a" * 10)] * 3

    assert list(parts(pairs, 9, 80)) == [[0, 1], [2]]


@pytest.mark.parametrize(
    "item",
    [Text("a" * 100), Pair("q", "a" * 100), Image(b"a" * 100), Link("https://a/" + "b" * 100), Tokens((1,) * 60)],
)
def test_an_item_that_no_body_holds_is_refused_by_its_number(item):
    other = Text("a", "query")

    with pytest.raises(TooLong, match="item 1 takes"):
        list(parts([other, item], 9, 100))


@pytest.mark.parametrize("text", ["plain", 'quo"te', "back\\slash", "new\nline", "\x01", "é", "中", "😀", ""])
def test_bytes_are_counted_as_they_are_sent(text):
    assert json_bytes(text) == len(json.dumps(text, ensure_ascii=False).encode())


def test_half_a_surrogate_pair_is_counted_and_refused_later():
    assert json_bytes("\ud800") >= 6


def test_at_least_one_vector_is_asked_for_at_a_time():
    assert rows_that_fit(10, 1_000_000) == 1
    assert rows_that_fit(24 * 1024 * 7, 0) == 7
