"""Measures by name, against ir_measures' own reading of the same names."""

import random

import ir_measures
import pytest

from embedstack.errors import BadRequest
from embedstack.evals.measures import DEFAULT, measured, parse_measure, recall_cap

EXACT = 1e-9
DRAW = random.Random(0)
QRELS = {f"q{q}": {f"d{d}": DRAW.choice([-1, 0, 1, 2]) for d in DRAW.sample(range(40), 9)} for q in range(20)}
ORDERS = {f"q{q}": [f"d{d}" for d in DRAW.sample(range(40), 30)] for q in range(2, 22)}
RUN = {query: {document: -float(rank) for rank, document in enumerate(found)} for query, found in ORDERS.items()}


@pytest.mark.parametrize(
    "name",
    ["nDCG@10", "RR@10", "RR", "R@100", "P@5", "AP", "AP@100", "Success@1", "Judged@10", "nDCG", "MRR@3", "MAP"],
)
def test_names_of_ir_measures_mean_what_they_mean_there(name):
    theirs = ir_measures.calc_aggregate([ir_measures.parse_measure(name)], QRELS, RUN)

    (ours,) = measured([name], QRELS, ORDERS).values()
    assert ours.mean == pytest.approx(next(iter(theirs.values())), abs=EXACT)


@pytest.mark.parametrize(
    "name", ["ndcg_cut_10", "ndcg_cut.10", "recip_rank", "recall_100", "P_5", "map", "map_cut_100", "success_1", "ndcg"]
)
def test_names_of_trec_eval_mean_what_they_mean_there(name):
    theirs = ir_measures.calc_aggregate(ir_measures.parse_trec_measure(name), QRELS, RUN)

    (ours,) = measured([name], QRELS, ORDERS).values()
    assert ours.mean == pytest.approx(next(iter(theirs.values())), abs=EXACT)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("NDCG@10", "ndcg@10"),
        ("rr@10", "mrr@10"),
        (" R@100 ", "recall@100"),
        ("p@5", "precision@5"),
        ("SUCCESS@1", "hit@1"),
        ("AP", "map"),
        ("map_cut_100", "map@100"),
        ("judged@010", "judged@10"),
    ],
)
def test_each_spelling_has_one_name(written, name):
    assert str(parse_measure(written)) == name
    assert str(parse_measure(name)) == name


def test_default_measures_are_called_by_their_own_names():
    assert [str(parse_measure(name)) for name in DEFAULT] == [*DEFAULT]


def test_measures_come_in_the_order_of_asking_and_once():
    assert [*measured(["map", "RR@10", "ndcg@10", "mrr@10"], QRELS, ORDERS)] == ["map", "mrr@10", "ndcg@10"]


def test_scores_are_measured_as_lists_are():
    names = [*DEFAULT, "precision@5", "hit@1"]

    assert measured(names, QRELS, RUN) == measured(names, QRELS, ORDERS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ndgc@20", "no measure is called 'ndgc@20'; the nearest is ndcg@20"),
        ("Recal@5", "nearest is recall@5"),
        ("precison", "nearest is precision@10"),
        ("bpref", "there are ndcg@10, mrr@10"),
        ("", "no measure is called ''"),
        ("ndcg@-1", "no measure is called 'ndcg@-1'"),
        ("ndcg@1.5", "no measure is called"),
        ("ndcg@" + "9" * 5000, "no measure is called 'ndcg@9999"),
        ("ndcg@١٠", "no measure is called"),
        ("nDCG(dcg='exp-log2')@10", "no measure is called"),
        ("ndcg@0", "'ndcg@0' does not say of how many"),
        ("recall", "write for example recall@10"),
        ("P", "write for example precision@10"),
        ("success", "write for example hit@10"),
    ],
)
def test_what_is_no_measure_is_refused_with_the_nearest(text, says):
    with pytest.raises(BadRequest, match=says.replace("(", r"\(")):
        parse_measure(text)


# ------------------------------------------------------------------------------------------------ the cap of recall


@pytest.mark.parametrize("k", [1, 2, 4, 100])
def test_cap_of_recall_is_the_recall_of_the_best_ranking(k):
    best = {query: {document: float(grade) for document, grade in grades.items()} for query, grades in QRELS.items()}
    theirs = ir_measures.calc_aggregate([ir_measures.R @ k], QRELS, best)

    assert recall_cap(QRELS, k) == pytest.approx(theirs[ir_measures.R @ k], abs=EXACT)


def test_cap_of_recall_is_below_one_where_more_are_relevant_than_are_looked_at():
    assert recall_cap({"q": {"a": 1, "b": 1, "c": 1, "d": 0}, "r": {"a": 1}}, 2) == pytest.approx((2 / 3 + 1) / 2)


def test_query_without_relevant_documents_lowers_the_cap():
    assert recall_cap({"q": {"a": 1}, "empty": {"a": 0}}, 10) == 0.5
