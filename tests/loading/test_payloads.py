"""What a point has besides its vectors."""

import pytest

from embedstack.errors import BadRequest
from embedstack.loading.payloads import OWN, check_text_key, job_payloads, notes_of, payload_of, texts_in
from embedstack.loading.source import How
from support.tables import rows_of

ROW = {"doc_id": "a.md", "text": "words", "metadata": {"title": "A", "doc_id": "other"}}


def test_a_row_stays_as_it_is() -> None:
    assert payload_of(ROW, How()) == ROW


def test_the_text_gets_the_key_that_was_asked_for() -> None:
    assert payload_of(ROW, How(text_key="page_content")) == {
        "doc_id": "a.md",
        "page_content": "words",
        "metadata": ROW["metadata"],
    }


def test_flat_metadata_stand_at_the_top_and_the_rows_own_keys_win() -> None:
    assert payload_of(ROW, How(is_flat=True)) == {"doc_id": "a.md", "text": "words", "title": "A"}


def test_a_renamed_text_wins_over_metadata_of_that_key() -> None:
    row = {"text": "ours", "metadata": {"content": "theirs", "text": "stays"}}

    assert payload_of(row, How(text_key="content", is_flat=True)) == {"content": "ours", "text": "stays"}


@pytest.mark.parametrize("metadata", ["a text", None, [1], 3])
def test_metadata_that_have_no_keys_stay_below(metadata: object) -> None:
    assert payload_of({"metadata": metadata}, How(is_flat=True)) == {"metadata": metadata}


def test_nested_objects_stay_nested() -> None:
    assert payload_of({"metadata": {"a": {"b": [1, {"c": None}]}}}, How(is_flat=True)) == {"a": {"b": [1, {"c": None}]}}


def test_a_row_is_not_changed() -> None:
    row = {"text": "words", "metadata": {"a": 1}}

    payload_of(row, How(text_key="content", is_flat=True))

    assert row == {"text": "words", "metadata": {"a": 1}}


def test_a_text_key_that_is_another_key_is_refused() -> None:
    with pytest.raises(BadRequest, match="'doc_id' is another key"):
        check_text_key(How(text_key="doc_id"), OWN)


def test_an_empty_text_key_is_refused() -> None:
    with pytest.raises(BadRequest, match="is empty"):
        check_text_key(How(text_key=""), ())


def test_a_text_may_be_where_it_shall_go() -> None:
    check_text_key(How(text_key="page_content"), ["page_content", "id"])


def test_rows_of_a_job_have_all_that_the_table_has() -> None:
    rows = rows_of({"a.md": ["one", "two words"]})

    first, second = job_payloads(rows, How())

    assert list(first) == list(OWN)
    assert second == {
        "doc_id": "a.md",
        "chunk_id": rows.chunk_ids[1],
        "chunk_index": 1,
        "text": "two words",
        "tokens": 2,
        "content_hash": rows.content_hashes[1],
        "metadata": {"headings": ["one"], "title": "a.md"},
    }


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"text": "a"}, ["text"]),
        ({"summary": "b"}, ["summary"]),
        ({"text": "a", "summary": "b", "content": "c"}, ["text", "summary"]),
        ({"text": " \n"}, []),
        ({"text": ""}, []),
        ({"text": 3}, []),
        ({"text": None}, []),
        ({}, []),
    ],
)
def test_the_texts_of_a_row_are_found(row: dict[str, object], found: list[str]) -> None:
    assert texts_in(row, How(text_key="summary")) == {key: row[key] for key in found}


def test_where_no_key_was_named_the_usual_ones_are_looked_under() -> None:
    row = {"text": "a", "content": "b", "summary": "c"}

    assert texts_in(row, How()) == {"text": "a", "content": "b"}


def test_that_keys_may_be_lost_is_said() -> None:
    assert notes_of(How()) == []
    assert "its wins" in notes_of(How(is_flat=True))[0]
