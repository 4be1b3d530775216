"""Rows of which nobody wrote down whose vectors they are: under which key the text is that they are compared by."""

from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import Mismatch
from embedstack.loading.asserted import Candidate, samples_of
from embedstack.loading.pieces import Place
from embedstack.loading.source import How, Source
from embedstack.loading.text_keys import KEYS
from support.loadable import TEXTS, columns_of, json_lines, parquet, row, vectors_of, written_lines, written_parquet

Rows = list[dict[str, str]]


def candidates(rows: Rows) -> list[Candidate]:
    return [(Place("line", number, "a"), texts, np.ones(8, np.float32)) for number, texts in enumerate(rows)]


def basis(source: Source) -> str:
    origin = source.fields[""].origin
    assert origin is not None
    return origin.basis


@pytest.mark.parametrize(
    ("rows", "key", "count"),
    [
        ([{"text": "a", "content": "b"}, {"content": "c"}, {"content": "d"}], "content", 3),
        ([{"text": "a", "content": "b"}, {"text": "c"}, {"content": "d"}], "text", 2),
        ([{"body": "a"}, {}, {}], "body", 1),
        ([{"summary": "a"}, {}, {"summary": "b"}], "summary", 2),
    ],
    ids=["most rows", "the first of two", "few rows", "one that was named"],
)
def test_one_key_counts_for_all_rows(rows: Rows, key: str, count: int) -> None:
    found = samples_of(candidates(rows))

    assert ({one.key for one in found}, len(found)) == ({key}, count)


def test_rows_without_a_text_are_no_samples() -> None:
    assert samples_of(candidates([{}, {}])) == []


@pytest.mark.parametrize("key", KEYS)
def test_lines_are_compared_by_each_usual_key(key: str, tmp_path: Path) -> None:
    rows = [row(text, **{"text": None, key: text}) for text in TEXTS]

    assert basis(json_lines(written_lines(tmp_path / "a.jsonl", rows))) == "proven"


@pytest.mark.parametrize("key", ["content", "page_content"])
def test_tables_are_compared_by_usual_keys(key: str, tmp_path: Path) -> None:
    columns = columns_of(**{"text": None, key: TEXTS})

    assert basis(parquet(written_parquet(tmp_path / "a.parquet", columns))) == "proven"


@pytest.mark.parametrize(("how", "known"), [(How(), "stated"), (How(text_key="summary"), "proven")])
def test_another_key_is_looked_under_where_it_is_named(how: How, known: str, tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", [row(text, text=None, summary=text) for text in TEXTS])

    assert basis(json_lines(path, how)) == known


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("text", "its text, and 0.999 is the least; name the model that made the rows"),
        (
            "content",
            "its text under 'content', and 0.999 is the least; name the model that made the rows, or with --text-key "
            "what was embedded",
        ),
    ],
)
def test_a_key_that_was_guessed_is_told_where_its_texts_do_not_fit(key: str, said: str, tmp_path: Path) -> None:
    others = vectors_of([f"other {text}" for text in TEXTS]).tolist()
    rows = [row(text, **{"text": None, key: text, "embedding": v}) for text, v in zip(TEXTS, others, strict=True)]

    with pytest.raises(Mismatch) as caught:
        json_lines(written_lines(tmp_path / "a.jsonl", rows))
    assert caught.value.message.endswith(said)


def test_a_key_that_was_guessed_is_told_where_its_texts_fit(tmp_path: Path) -> None:
    path = written_lines(tmp_path / "a.jsonl", [row(text, text=None, content=text) for text in TEXTS])

    assert "5 rows were embedded again by 'hash' from their texts under 'content':" in json_lines(path).notes[1]
