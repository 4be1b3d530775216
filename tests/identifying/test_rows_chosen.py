"""Which of the rows that were read are embedded again."""

import numpy as np
import pytest

from embedstack.errors import BadRequest, Mismatch
from embedstack.identifying.rows import Pool, Row
from embedstack.identifying.sampling import Sample, sample

VECTOR = np.array([1, 2], np.float32)


def pool(*texts: str, vectors: dict[int, np.ndarray] | None = None) -> Pool:
    given = vectors or {}
    rows = [Row(f"line {n}", {"text": text} if text else {}, given.get(n, VECTOR)) for n, text in enumerate(texts)]
    return Pool(label="it", rows=rows)


def lengths(made: Sample) -> list[int]:
    return sorted(map(len, made.texts))


def test_the_shortest_and_the_longest_are_among_them() -> None:
    made = sample(pool(*("x" * n for n in range(1, 101))), 9)

    assert (lengths(made)[:3], lengths(made)[-3:], len(made.rows)) == ([1, 2, 3], [98, 99, 100], 9)


def test_all_are_taken_where_there_are_few() -> None:
    assert lengths(sample(pool("a", "bb", "ccc"), 9)) == [1, 2, 3]


def test_a_text_counts_once() -> None:
    assert sample(pool(*["same", "one", "two", "same", "three"]), 9).texts == ["same", "one", "two", "three"]


def test_where_nearly_all_texts_are_one_all_rows_count() -> None:
    assert len(sample(pool(*["same"] * 9, "other"), 9).rows) == 9


def test_some_have_capital_letters() -> None:
    texts = [f"{'Word' if n == 50 else 'word'}{'s' * n}" for n in range(100)]

    assert any(text.startswith("Word") for text in sample(pool(*texts), 9).texts)


def test_the_same_rows_are_chosen_each_time() -> None:
    rows = pool(*("x" * (n * 7919 % 1000 + 1) for n in range(500)))

    assert [row.place for row in sample(rows, 64).rows] == [row.place for row in sample(rows, 64).rows]


def test_rows_without_a_text_or_a_direction_are_counted_and_left_out() -> None:
    made = sample(pool("a", "", "b", "c", vectors={2: np.zeros(2, np.float32), 3: np.full(2, np.nan, np.float32)}), 9)

    assert (made.texts, made.textless, made.unsound, made.looked_at) == (["a"], 1, 2, 4)


def test_vectors_of_two_widths_are_refused_with_both_places() -> None:
    with pytest.raises(Mismatch, match=r"of 2 numbers \(line 0\) and of 3 \(line 1\)"):
        sample(pool("a", "b", vectors={1: np.ones(3, np.float32)}), 9)


def test_vectors_without_any_direction_are_refused() -> None:
    with pytest.raises(BadRequest, match="no row of it has a vector with a direction"):
        sample(pool("a", vectors={0: np.zeros(2, np.float32)}), 9)
