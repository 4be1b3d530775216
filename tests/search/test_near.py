"""Near duplicates by their vectors: every decision against float64 over all pairs, and against scipy's components."""

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from embedstack.errors import BadRequest
from embedstack.search.near import Clusters, clusters, comparisons, cosines, pairs
from embedstack.types import Floats

BLOCK = 7  # so that few rows are many blocks
Partition = set[frozenset[int]]


def planted(rows: int, dim: int, seed: int) -> Floats:
    """Some originals with noisy copies of different loudness, in any order."""
    drawn = np.random.default_rng(seed)
    origin = drawn.standard_normal((max(1, rows // 3), dim))[drawn.integers(0, max(1, rows // 3), rows)]
    noise = drawn.standard_normal((rows, dim)) * drawn.choice([0, 0.2, 0.5], (rows, 1))
    return ((origin + noise) * drawn.uniform(0.1, 10, (rows, 1))).astype(np.float32)


def truth(vectors: Floats) -> np.ndarray:
    """All cosines in float64; of a row with itself, and of zeros, none."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    units = wide / np.where(lengths > 0, lengths, 1)[:, None]
    found = units @ units.T
    found[lengths == 0] = found[:, lengths == 0] = -1
    np.fill_diagonal(found, -1)
    return found


def partition(labels: np.ndarray) -> Partition:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in labels}


def components(vectors: Floats, threshold: float) -> Partition:
    return partition(connected_components(csr_array(truth(vectors) >= threshold), directed=False)[1])


def found_pairs(vectors: Floats, threshold: float, block: int = BLOCK) -> set[tuple[int, int]]:
    return {
        (int(row), int(column))
        for some in pairs(vectors, threshold, block=block)
        for row, column in zip(some.rows, some.columns, strict=True)
    }


def grouped(vectors: Floats, threshold: float) -> list[list[int]]:
    return [group.tolist() for group in clusters(vectors, threshold, block=BLOCK).groups()]


# ------------------------------------------------------------------------------------------------ all pairs


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [0.3, 0.9, 0.99])
def test_pairs_are_those_of_float64_over_all_rows(seed: int, threshold: float) -> None:
    vectors = planted(5 * seed + 3, 12, seed)

    wanted = truth(vectors)
    assert found_pairs(vectors, threshold) == {
        (row, column) for row, column in zip(*np.nonzero(np.triu(wanted) >= threshold), strict=True) if row < column
    }


def test_pairs_have_the_cosines_of_float64() -> None:
    vectors = planted(30, 12, 1)

    for some in pairs(vectors, 0.5, block=BLOCK):
        assert np.allclose(some.cosines, truth(vectors)[some.rows, some.columns], rtol=0, atol=1e-15)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [0.3, 0.9, 0.99])
def test_clusters_are_the_components_of_the_graph_of_pairs(seed: int, threshold: float) -> None:
    vectors = planted(6 * seed + 2, 12, seed)

    assert partition(clusters(vectors, threshold, block=BLOCK).labels) == components(vectors, threshold)


@pytest.mark.parametrize("seed", range(4))
def test_a_row_is_nearest_to_the_one_of_the_largest_cosine(seed: int) -> None:
    vectors = planted(40, 12, seed)

    found, wanted = clusters(vectors, 0.8, block=BLOCK), truth(vectors)
    alone = wanted.max(axis=1) < 0.8
    assert np.array_equal(found.nearest == -1, alone)
    assert np.array_equal(found.cosines == 0, alone)
    assert np.allclose(found.cosines[~alone], wanted.max(axis=1)[~alone], rtol=0, atol=1e-6)
    assert np.allclose(found.cosines[~alone], wanted[np.flatnonzero(~alone), found.nearest[~alone]], atol=1e-15)


@pytest.mark.parametrize("block", [1, 2, 7, 64, 1000])
def test_the_block_changes_nothing(block: int) -> None:
    vectors = planted(50, 12, 3)

    assert found_pairs(vectors, 0.9, block) == found_pairs(vectors, 0.9, 50)
    assert np.array_equal(clusters(vectors, 0.9, block=block).labels, clusters(vectors, 0.9, block=50).labels)


def test_another_order_of_the_rows_gives_the_same_clusters() -> None:
    vectors, order = planted(60, 12, 4), np.random.default_rng(0).permutation(60)

    mine, theirs = (clusters(rows, 0.9, block=BLOCK).labels for rows in (vectors, vectors[order]))
    assert {frozenset(order[list(group)].tolist()) for group in partition(theirs)} == partition(mine)


def test_the_same_rows_give_the_same_answer() -> None:
    vectors = planted(60, 12, 5)

    first, second = clusters(vectors, 0.9, block=BLOCK), clusters(vectors, 0.9, block=BLOCK)
    assert np.array_equal(first.nearest, second.nearest)
    assert np.array_equal(first.cosines, second.cosines)


# ------------------------------------------------------------------------------------------------ at the threshold


@pytest.mark.parametrize(("threshold", "is_near"), [(0.96 - 1e-12, True), (0.96, True), (0.96 + 1e-12, False)])
def test_float64_decides_where_float32_cannot(threshold: float, is_near: bool) -> None:
    """(3, 4) and (4, 3) have cosine 24/25; in float32 the three thresholds are one number."""
    vectors = np.array([[3, 4], [4, 3]], np.float32)

    assert bool(found_pairs(vectors, threshold)) is is_near
    assert bool(grouped(vectors, threshold)) is is_near
    assert np.float32(threshold) == np.float32(0.96)


def test_many_pairs_closer_to_the_threshold_than_float32_can_see_are_each_decided() -> None:
    basis = np.linalg.qr(np.random.default_rng(6).standard_normal((64, 64)))[0]
    vectors = np.vstack([basis[0], 0.9 * basis[0] + np.sqrt(0.19) * basis[1:]]).astype(np.float32)

    cosines_to_first = truth(vectors)[0, 1:]
    wanted = {(0, int(row) + 1) for row in np.flatnonzero(cosines_to_first >= 0.9)}
    assert np.abs(cosines_to_first - 0.9).max() < 1e-7
    assert 0 < len(wanted) < 63
    assert {pair for pair in found_pairs(vectors, 0.9) if pair[0] == 0} == wanted


def test_equal_directions_reach_a_threshold_of_one() -> None:
    row = np.random.default_rng(7).standard_normal(384)
    vectors = np.array([row, row * 3, row * 1e-30, -row, row + 1e-3], np.float32)

    assert grouped(vectors[[0, 0, 3, 4]], 1.0) == [[0, 1]]
    assert grouped(vectors, 1 - 1e-9) == [[0, 1, 2]]


# ------------------------------------------------------------------------------------------------ shapes of clusters


def test_a_chain_is_one_cluster_though_its_ends_are_far_from_each_other() -> None:
    angles = np.radians([0, 20, 40])
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)

    assert grouped(vectors, 0.9) == [[0, 1, 2]]
    assert found_pairs(vectors, 0.9) == {(0, 1), (1, 2)}
    assert cosines(vectors, 0, np.array([2]))[0] == pytest.approx(np.cos(angles[2]))


def test_a_chain_in_any_order_over_many_blocks_is_one_cluster() -> None:
    angles = np.radians(np.random.default_rng(8).permutation(90))
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)

    assert grouped(vectors, np.cos(np.radians(1.01))) == [list(range(90))]
    assert grouped(vectors, np.cos(np.radians(0.99))) == []


def test_equal_rows_are_one_cluster_and_nearest_to_each_other() -> None:
    found = clusters(np.tile(np.array([[1, 2, 3]], np.float32), (20, 1)), 0.9, block=BLOCK)

    assert partition(found.labels) == {frozenset(range(20))}
    assert (found.nearest != np.arange(20)).all()
    assert found.cosines == pytest.approx(1.0)


@pytest.mark.slow
def test_rows_that_are_all_near_each_other_take_no_memory_for_their_pairs() -> None:
    """Their two million pairs would be 48 MB."""
    drawn = np.random.default_rng(9)
    vectors = (drawn.standard_normal((1, 16)) + 1e-3 * drawn.standard_normal((2000, 16))).astype(np.float32)

    tracemalloc.start()
    found = clusters(vectors, 0.9, block=128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert partition(found.labels) == {frozenset(range(2000))}
    assert peak < 4_000_000


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_have_no_cluster(rows: int) -> None:
    found = clusters(np.ones((rows, 4), np.float32), 0.9)

    assert isinstance(found, Clusters)
    assert found.groups() == []
    assert len(found.labels) == rows
    assert found_pairs(np.ones((rows, 4), np.float32), 0.9) == set()


def test_zeros_are_like_nothing_not_even_like_zeros() -> None:
    vectors = np.array([[0, 0], [1, 1], [0, 0], [1, 1]], np.float32)

    assert grouped(vectors, 0.001) == [[1, 3]]
    assert cosines(vectors, 0, np.array([1, 2])).tolist() == [0, 0]


def test_numbers_near_the_ends_of_float32_have_their_direction() -> None:
    vectors = np.array([[3e38, 3e38], [1e-40, 1e-40], [3e38, -3e38]], np.float32)

    assert grouped(vectors, 0.999) == [[0, 1]]


# ------------------------------------------------------------------------------------------------ refusals, progress


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_number_that_is_none_is_refused_with_its_row(wrong: float) -> None:
    vectors = np.ones((9, 3), np.float32)
    vectors[5, 1] = wrong

    with pytest.raises(BadRequest, match="row 5 holds NaN or infinity"):
        clusters(vectors, 0.9)


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.0001, float("nan")])
def test_a_threshold_that_is_no_cosine_above_zero_is_refused(threshold: float) -> None:
    with pytest.raises(BadRequest, match="is not above 0 and at most 1"):
        clusters(np.ones((2, 2), np.float32), threshold)


def test_a_list_of_vectors_of_two_widths_is_refused() -> None:
    with pytest.raises(BadRequest, match="are no matrix"):
        clusters(np.ones(4, np.float32), 0.9)


def test_progress_adds_up_to_all_comparisons() -> None:
    told: list[int] = []

    clusters(planted(50, 12, 0)[::2], 0.9, block=BLOCK, told=told.append)

    assert sum(told) == comparisons(25)
    assert len(told) == 4 + 3 + 2 + 1
