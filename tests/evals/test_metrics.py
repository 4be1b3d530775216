"""The measures against ir_measures and scipy, and what neither of them would catch."""

import math
import random
import warnings

import ir_measures
import numpy as np
import pytest
import scipy.stats

from embedstack.errors import BadRequest
from embedstack.evals.metrics import (
    average_precision,
    hit,
    judged,
    mrr,
    ndcg,
    precision,
    recall,
    retrieve,
    spearman,
)

EXACT = 1e-12  # the same sums of doubles in another order


def judged_run(seed: int, *, ties: bool) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Grades -1 to 3, unjudged documents, judged queries that the run lacks, queries that nobody judged."""
    draw = random.Random(seed)
    documents = [f"d{number}" for number in range(30)] + ["é", "Z", "a"]
    queries = [f"q{number}" for number in range(160)]
    qrels = {q: {d: draw.choice([-1, 0, 0, 1, 2, 3]) for d in draw.sample(documents, 12)} for q in queries[:140]}
    run = {}
    for query in queries[20:]:
        found = draw.sample(documents, draw.randint(0, 25))
        scores = draw.choices([0.5, 1.0, 1.5], k=len(found)) if ties else draw.sample(range(1000), len(found))
        run[query] = dict(zip(found, map(float, scores), strict=True))
    return qrels, run


TIED, UNTIED = CASES = [judged_run(0, ties=True), judged_run(1, ties=False)]
EVERY = {
    "ndcg": (ndcg, ir_measures.nDCG),
    "mrr": (mrr, ir_measures.RR),
    "recall": (recall, ir_measures.R),
    "precision": (precision, ir_measures.P),
    "hit": (hit, ir_measures.Success),
    "average precision": (average_precision, ir_measures.AP),
    "judged": (judged, ir_measures.Judged),
}


def in_order(run):
    """The same documents as lists, shuffled; and as scores that fall along each list."""
    draw = random.Random(0)
    orders = {query: draw.sample(sorted(found), len(found)) for query, found in run.items()}
    return orders, {q: {d: -float(rank) for rank, d in enumerate(found)} for q, found in orders.items() if found}


def agrees(ours, theirs, qrels, run):
    per_query = {m.query_id: m.value for m in ir_measures.iter_calc([theirs], qrels, run)}
    return ours.queries == pytest.approx(per_query, abs=EXACT) and ours.mean == pytest.approx(
        ir_measures.calc_aggregate([theirs], qrels, run)[theirs], abs=EXACT
    )


# ------------------------------------------------------------------------------------------------ rankings


@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_ndcg_is_that_of_ir_measures(k):
    assert all(agrees(ndcg(qrels, run, k), ir_measures.nDCG @ k, qrels, run) for qrels, run in CASES)


@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_recall_is_that_of_ir_measures(k):
    assert all(agrees(recall(qrels, run, k), ir_measures.R @ k, qrels, run) for qrels, run in CASES)


@pytest.mark.parametrize("k", [1, 3, 10, 100])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(precision, ir_measures.P), (hit, ir_measures.Success), (average_precision, ir_measures.AP)],
    ids=["precision", "hit", "average precision"],
)
def test_what_is_counted_is_that_of_ir_measures(ours, theirs, k):
    assert all(agrees(ours(qrels, run, k), theirs @ k, qrels, run) for qrels, run in CASES)


def test_average_precision_of_the_whole_ranking_is_that_of_ir_measures():
    assert all(agrees(average_precision(qrels, run), ir_measures.AP, qrels, run) for qrels, run in CASES)


def test_ndcg_of_the_whole_ranking_is_that_of_ir_measures():
    assert all(agrees(ndcg(qrels, run), ir_measures.nDCG, qrels, run) for qrels, run in CASES)


@pytest.mark.parametrize("k", [1, 3, 10, 100])
@pytest.mark.parametrize("measure", EVERY)
def test_lists_are_measured_in_the_order_in_which_they_stand(measure, k):
    ours, theirs = EVERY[measure]
    for qrels, run in CASES:
        orders, falling = in_order(run)

        assert agrees(ours(qrels, orders, k), theirs @ k, qrels, falling)


@pytest.mark.parametrize("measure", [average_precision, judged, mrr, ndcg])
def test_without_a_cut_all_of_a_ranking_counts(measure):
    assert all(measure(qrels, run) == measure(qrels, run, 1000) for qrels, run in CASES)


def test_of_what_was_not_found_nothing_is_judged():
    assert judged({"q": {"a": 1}, "lacking": {"a": 1}}, {"q": []}, 10).queries == {"q": 0.0, "lacking": 0.0}


def test_grade_of_zero_or_below_is_a_judgement():
    assert judged({"q": {"a": 0, "b": -1}}, {"q": ["a", "b", "c", "d"]}, 4).mean == 0.5


def test_document_that_is_listed_twice_is_refused():
    with pytest.raises(BadRequest, match="query 'q' lists document 'b' twice"):
        recall({"q": {"a": 1}}, {"q": ["a", "b", "c", "b"]}, 1)


def test_mrr_of_the_whole_ranking_is_trec_evals():
    assert all(agrees(mrr(qrels, run, 100), ir_measures.RR, qrels, run) for qrels, run in CASES)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_mrr_without_ties_is_that_of_ir_measures(k):
    qrels, run = UNTIED

    assert agrees(mrr(qrels, run, k), ir_measures.RR @ k, qrels, run)


@pytest.mark.parametrize("measure", [ndcg, mrr, recall, precision, hit, average_precision])
def test_equal_scores_stand_in_falling_order_of_ids(measure):
    run = {"q": {"a": 1.0, "b": 1.0}}

    assert measure({"q": {"b": 1}}, run, 1).mean == 1
    assert measure({"q": {"a": 1}}, run, 1).mean == 0


@pytest.mark.parametrize(("gap", "expected"), [(1e-9, 0.0), (1e-6, 1.0)])
def test_scores_are_compared_in_float32_as_trec_eval_does(gap, expected):
    qrels, run = {"q": {"a": 1}}, {"q": {"a": 1.0, "b": 1.0 - gap}}

    assert ndcg(qrels, run, 1).mean == expected
    assert agrees(ndcg(qrels, run, 1), ir_measures.nDCG @ 1, qrels, run)


def test_scores_beyond_float32_are_ties():
    assert mrr({"q": {"b": 1}}, {"q": {"a": 1e300, "b": 1e299}}, 1).mean == 1


def test_gain_is_the_grade_itself():
    measured = ndcg({"q": {"a": 3, "b": 2}}, {"q": {"a": 1.0, "b": 2.0}}, 2)

    assert measured.mean == pytest.approx((2 + 3 / math.log2(3)) / (3 + 2 / math.log2(3)), abs=EXACT)


def test_judged_query_that_the_run_lacks_counts_as_zero():
    measured = recall({"there": {"a": 1}, "lacking": {"a": 1}}, {"there": {"a": 1.0}}, 1)

    assert measured.queries == {"there": 1.0, "lacking": 0.0}
    assert measured.mean == 0.5


def test_query_that_nobody_judged_does_not_count():
    assert recall({"q": {"a": 1}}, {"q": {"a": 1.0}, "other": {"b": 1.0}}, 1).queries == {"q": 1.0}


@pytest.mark.parametrize("measure", [ndcg, mrr, recall, precision, hit, average_precision])
def test_query_without_relevant_documents_counts_as_zero(measure):
    assert measure({"q": {"a": 0, "b": -1}, "empty": {}}, {"q": {"a": 1.0}}, 1).queries == {"q": 0.0, "empty": 0.0}


@pytest.mark.parametrize(
    ("qrels", "run", "k", "says"),
    [
        ({"q": {"a": 1}}, {}, 0, "k=0"),
        ({}, {}, 1, "no query is judged"),
        ({"q": {"a": 1}}, {"q": {"a": math.nan}}, 1, "score of document 'a' for query 'q' is not a number"),
    ],
)
def test_what_cannot_be_measured_is_refused(qrels, run, k, says):
    with pytest.raises(BadRequest, match=says):
        ndcg(qrels, run, k)


# ------------------------------------------------------------------------------------------------ correlation


@pytest.mark.parametrize("values", [2, 5, 100_000])
def test_spearman_is_that_of_scipy(values):
    draw = np.random.default_rng(0)
    for _ in range(40):
        a, b = draw.integers(0, values, (2, 20)).astype(float)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = float(scipy.stats.spearmanr(a, b).statistic)

        assert spearman(a.tolist(), b.tolist()) == pytest.approx(expected, abs=EXACT)


def test_spearman_of_a_rising_function_is_one():
    assert spearman([1, 2, 3], [10, 200, math.inf]) == pytest.approx(1, abs=EXACT)


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ([1, 2], [1, 2, 3], "2 values cannot be correlated with 3"),
        ([1], [1], "at least 2"),
        ([1, 2], [1, math.nan], "value 1 of the second sequence is not a number"),
        ([4, 4], [1, 2], "all values of the first sequence are equal"),
    ],
)
def test_spearman_that_is_not_defined_is_refused(a, b, says):
    with pytest.raises(BadRequest, match=says):
        spearman(a, b)


# ------------------------------------------------------------------------------------------------ retrieval


def vectors(rows: int, dim: int, seed: int) -> np.ndarray:
    """Small whole numbers, so that many scores are equal and exact."""
    return np.random.default_rng(seed).integers(-2, 3, (rows, dim)).astype(np.float32)


def by_full_sort(scores: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("block", [1, 7, 40, 1024])
@pytest.mark.parametrize("k", [1, 5, 40, 50])
def test_retrieve_is_a_full_stable_sort(k, block):
    queries, documents = vectors(9, 3, 1), vectors(40, 3, 2)

    found = retrieve(queries, documents, k, similarity="dot", block=block)

    scores = queries @ documents.T
    assert (found.indices == by_full_sort(scores, k)).all()
    assert (found.scores == np.take_along_axis(scores, found.indices, axis=1)).all()


def test_equal_documents_stand_in_order_of_their_rows_wherever_a_block_ends():
    query = np.random.default_rng(3).standard_normal((1, 384)).astype(np.float32)
    documents = np.repeat(np.random.default_rng(4).standard_normal((1, 384)).astype(np.float32), 50, axis=0)

    for block in (1, 3, 16, 50):
        assert retrieve(query, documents, 50, block=block).indices[0].tolist() == list(range(50))


def test_cosine_does_not_see_length():
    documents = np.array([[10, 0], [1, 1], [0, 0.1]], np.float32)

    found = retrieve(np.array([[0, 3]], np.float32), documents, 3)

    assert found.indices.tolist() == [[2, 1, 0]]
    assert found.scores[0] == pytest.approx([1, math.sqrt(0.5), 0], abs=1e-7)


def test_row_of_zeros_scores_zero_with_everything():
    assert retrieve(np.zeros((1, 2), np.float32), np.ones((3, 2), np.float32), 2).scores.tolist() == [[0, 0]]


def test_negative_scores_are_ordered_too():
    found = retrieve(np.array([[1]], np.float32), np.array([[-3], [2], [-1], [0]], np.float32), 4, similarity="dot")

    assert found.scores.tolist() == [[2, 0, -1, -3]]


def test_both_zeros_of_float32_are_equal():
    query, documents = np.array([[1e-30]], np.float32), np.array([[-1e-30], [1e-30]], np.float32)

    assert retrieve(query, documents, 2, similarity="dot").indices.tolist() == [[0, 1]]


def test_no_queries_find_nothing():
    assert retrieve(np.empty((0, 2), np.float32), np.ones((3, 2), np.float32), 2).indices.shape == (0, 2)


def test_run_names_what_was_found():
    found = retrieve(np.array([[1, 0]], np.float32), np.array([[0, 1], [2, 0]], np.float32), 1, similarity="dot")

    assert found.run(["q"], ["a", "b"]) == {"q": {"b": 2.0}}


@pytest.mark.parametrize(
    ("queries", "documents", "k", "says"),
    [
        (np.ones((1, 2)), np.ones((1, 2)), 0, "best 0 of 1"),
        (np.ones((1, 2)), np.ones((0, 2)), 1, "best 1 of 0"),
        (np.ones((1, 2)), np.ones((1, 3)), 1, "no matrices of one width"),
        (np.ones((1, 2)), np.array([[1, np.nan]]), 1, "NaN or infinity"),
        (np.array([[np.inf, 0]]), np.ones((1, 2)), 1, "NaN or infinity"),
        (np.full((1, 2), 1e30), np.full((1, 2), 1e30), 1, "beyond float32"),
    ],
)
def test_vectors_that_cannot_be_ranked_are_refused(queries, documents, k, says):
    with pytest.raises(BadRequest, match=says):
        retrieve(queries.astype(np.float32), documents.astype(np.float32), k, similarity="dot")
