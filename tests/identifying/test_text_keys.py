"""Which of a row's texts was embedded."""

import numpy as np
import pytest

from embedstack.errors import BadRequest
from embedstack.identifying.rows import Row, fields_of
from embedstack.identifying.wording import Wording, main_wording, other_wordings

NOWHERE = np.ones(2, np.float32)


def row(**fields: str) -> Row:
    return Row("line 1", fields, NOWHERE)


@pytest.mark.parametrize("key", ["text", "content", "page_content", "body", "document"])
def test_a_usual_key_is_found(key: str) -> None:
    assert main_wording([row(**{"source": "a long name of a file", key: "a text"})], "it") == Wording(key)


def test_of_two_usual_keys_the_one_that_most_rows_have_counts() -> None:
    rows = [row(text="a", content="b"), row(content="c"), row(content="d")]

    assert main_wording(rows, "it") == Wording("content")


def test_else_it_is_the_key_of_the_longest_texts() -> None:
    rows = [
        row(
            author="A. Smith", notes="what he wrote about it, at length", url="https://example.org/a/long/address/of/it"
        )
    ]

    assert main_wording(rows, "it") == Wording("notes")


def test_a_key_that_was_named_counts_though_few_rows_have_it() -> None:
    assert main_wording([row(text="a"), row(note="b"), row(text="c")], "it", "note") == Wording("note")


def test_without_spaces_in_any_text_the_key_must_be_named() -> None:
    with pytest.raises(BadRequest, match="name it with --text-key: 'id', 'url'"):
        main_wording([row(id="7", url="https://a")], "it")


def test_keys_within_an_object_have_a_dot() -> None:
    payload = {"metadata": {"title": "A", "page": 7, "deep": {"er": "x"}}, "text": "b", "empty": " ", "n": 1}

    assert fields_of(payload) == {"metadata.title": "A", "text": "b"}


def test_a_title_may_stand_before_the_text() -> None:
    rows = [row(text="b", **{"metadata.title": "A"})]

    made = [wording.of(rows[0]) for wording in other_wordings(rows, Wording("text"))]

    assert made == ["A\nb", "A\n\nb", "A b", "A. b", "A: b"]


def test_a_row_without_a_title_has_no_such_text() -> None:
    assert Wording("text", "title", "\n").of(row(text="b")) is None


def test_another_key_is_tried_if_it_may_hold_texts() -> None:
    rows = [row(text="b", summary="what stands in it, in few words", lang="en", content="c")]

    assert [wording.key for wording in other_wordings(rows, Wording("text"))] == ["summary", "content"]
