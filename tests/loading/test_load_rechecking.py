"""Which rows are read back, and what counts as the same."""

from typing import Any

import numpy as np
import pytest

from embedstack.databases.database import Collection, Distance, Field, Point
from embedstack.loading.rechecking import ROWS, Row, Sample, fault, is_same, spread
from embedstack.types import Sparse
from support.loaded import Drawn

ONE = np.array([3, 4], np.float32)
TERMS = Sparse(np.array([1, 5], np.int32), np.array([0.5, 2], np.float32))
ZERO_TERM = Sparse(np.array([0, 1, 5], np.int32), np.array([0, 0.5, 2], np.float32))  # pgvector drops the first
NO_TERMS = Sparse(np.array([], np.int32), np.array([], np.float32))


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 100, 1000, 1024, 5000])
@pytest.mark.parametrize("start", [0, 333])
def test_rows_lie_evenly_over_all_that_went_by(rows: int, start: int) -> None:
    sample, table = Sample(start), Drawn(rows)

    for first in range(0, rows, 64):
        sample.see(start + first, table.points(range(first, min(first + 64, rows))))

    places = [row.place - start for row in sample.rows(ROWS)]
    gaps = np.diff([*places, rows])
    assert (len(places), places[0]) == (min(rows, ROWS), 0)
    assert max(gaps) <= max(1, rows / ROWS * 2)


def test_a_row_of_a_sample_is_that_of_the_table() -> None:
    sample, table = Sample(0), Drawn(200, has_sparse=True)
    sample.see(0, table.points(range(200)))

    for row in sample.rows(ROWS):
        points = table.points([row.place])
        assert (row.id, row.payload) == (points.ids[0], points.payloads[0])
        assert np.array_equal(np.asarray(row.vectors[""]), np.asarray(points.vectors[""][0]))


def test_places_are_spread_from_the_first_to_the_last() -> None:
    assert [spread(0, 8), spread(1, 8), spread(3, 8), spread(100, 3), spread(100, 0)] == [
        [],
        [0],
        [0, 1, 2],
        [0, 50, 99],
        [],
    ]


@pytest.mark.parametrize(
    ("written", "found", "distance", "wanted"),
    [
        (ONE, ONE, "dot", True),
        (ONE, ONE / 5, "cosine", True),
        (ONE, ONE / 5, "dot", False),
        (ONE, ONE / 5, "l2", False),
        (ONE, -ONE, "cosine", False),
        (ONE, ONE[::-1], "cosine", False),
        (ONE, ONE * np.float32(1 + 1e-6), "dot", True),
        (ONE, ONE[:1], "cosine", False),
        (ONE, None, "cosine", False),
        (ONE, TERMS, "cosine", False),
        (np.array([ONE, -ONE]), np.array([ONE, -ONE]) / 5, "cosine", True),
        (np.array([ONE, -ONE]), np.array([-ONE, ONE]), "cosine", False),
        (TERMS, TERMS, "dot", True),
        (TERMS, Sparse(TERMS.ids, TERMS.weights * 2), "dot", False),
        (TERMS, Sparse(TERMS.ids + 1, TERMS.weights), "dot", False),
        (TERMS, None, "dot", False),
        (ZERO_TERM, TERMS, "dot", True),
        (Sparse(TERMS.ids, TERMS.weights * 0), None, "dot", True),
        (NO_TERMS, None, "dot", True),
        (NO_TERMS, TERMS, "dot", False),
    ],
)
def test_what_is_the_same_is_told_from_what_is_not(
    written: Any, found: Any, distance: Distance, *, wanted: bool
) -> None:
    assert is_same(written, found, distance, 1e-5) is wanted


def test_half_precision_is_allowed_for_where_it_is_stored() -> None:
    draw = np.random.default_rng(0)
    row = draw.standard_normal(384).astype(np.float32)
    row /= np.linalg.norm(row)
    half = row.astype(np.float16).astype(np.float32)

    assert is_same(row, half, "dot", 2e-3)
    assert not is_same(row, half, "dot", 1e-5)


@pytest.mark.parametrize(
    ("payload", "keeps", "wanted"),
    [
        ({"a": 1, "b": 2}, True, ""),
        ({"a": 1}, True, "its payload differs in the keys 'b'"),
        ({"a": 1, "b": 2, "c": 3}, True, "its payload differs in the keys 'c'"),
        ({"other": 1}, False, ""),
    ],
)
def test_payloads_have_the_same_keys_where_they_are_kept(payload: dict[str, Any], keeps: bool, wanted: str) -> None:
    row = Row(0, 1, {"": ONE}, {"a": 1, "b": 2})
    there = Collection(name="docs", fields={"": Field(dim=2)}, keeps_payload=keeps)

    assert fault(row, Point(id=1, vectors={"": ONE}, payload=payload), there) == wanted
