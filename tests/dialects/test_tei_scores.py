"""Text Embeddings Inference: relevance and labels."""

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest
from tei_run import BOTH, LABELS, RANKS, TEI, asked, limited, refused, replied, told

from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec
from embedstack.types import Classified, Classify, Pair, Score, Scored, Text, Usage

RERANK = next(route for route in TEI.routes if route.path == "/rerank")
PREDICT = next(route for route in TEI.routes if route.path == "/predict")


@pytest.mark.parametrize("raw", [False, True])
def test_rerank_asks_for_logits_whatever_it_will_show(raw):
    request = asked("/rerank", BOTH, query="q", texts=["a", "b"], raw_scores=raw)

    assert request == Score(model="overlap", items=(Pair("q", "a"), Pair("q", "b")), raw_scores=True)


def reranked(*logits, **body):
    texts = [str(index) for index in range(len(logits))]
    scores = np.array(logits, np.float32)
    answer = Scored(spec=overlap_spec(), fingerprint="", usage=Usage(len(logits), 2), scores=scores)
    return json.loads(RERANK.write(RERANK.body(query="q", texts=texts, **body), answer).body)


def test_a_score_is_the_sigmoid_of_the_logit_as_in_the_original():
    ranks = reranked(-2.0, 0.0, 8.607141)

    assert [rank["index"] for rank in ranks] == [2, 1, 0]
    assert [rank["score"] for rank in ranks] == pytest.approx([0.99981725, 0.5, 0.11920292], rel=1e-6)


def test_raw_scores_are_the_logits():
    assert reranked(-2.0, 8.5, raw_scores=True) == [{"index": 1, "score": 8.5}, {"index": 0, "score": -2.0}]


def test_logits_too_large_for_a_sigmoid_keep_their_order():
    assert reranked(50.0, -1000.0, 1000.0) == [
        {"index": 2, "score": 1.0},
        {"index": 0, "score": 1.0},
        {"index": 1, "score": 0.0},
    ]


def test_a_model_whose_config_has_no_activation_is_served_sigmoids_too():
    spec = replace(overlap_spec(), score_activation="identity")
    request = asked("/rerank", BOTH, query="a cat", texts=["a cat"])
    answer = asyncio.run(HashEncoder([spec]).score(request))

    score = json.loads(RERANK.write(RERANK.body(query="a cat", texts=["a cat"]), answer).body)[0]["score"]
    assert 0.98 < score < 1.0


def test_texts_are_ordered_by_score_and_returned_only_on_request():
    plain, full = (reranked(0.25, 0.75, return_text=wanted) for wanted in (False, True))

    assert [list(rank) for rank in plain] == [["index", "score"]] * 2
    assert [rank["text"] for rank in full] == ["1", "0"]


def test_times_are_headers_in_milliseconds_and_the_query_counts_once_for_each_text():
    usage = Usage(items=2, tokens=7, wait_s=0.002, run_s=0.0051, tokenize_s=0.003)
    answer = Scored(spec=overlap_spec(), fingerprint="", usage=usage, scores=np.zeros(2, np.float32))

    headers = RERANK.write(RERANK.body(query="why", texts=["ab", "c"]), answer).headers
    assert headers == {
        "x-compute-time": "10",
        "x-compute-characters": "9",
        "x-compute-tokens": "7",
        "x-total-time": "10",
        "x-tokenization-time": "3",
        "x-queue-time": "2",
        "x-inference-time": "5",
    }


# ------------------------------------------------------------------------------------------------ predict


@pytest.mark.parametrize(
    ("inputs", "items"),
    [
        ("a", (Text("a", "none"),)),
        (["a"], (Text("a", "none"),)),
        (["a", "b"], (Pair("a", "b"),)),
        ([["a"], ["b", "c"]], (Text("a", "none"), Pair("b", "c"))),
    ],
)
def test_a_text_a_pair_and_a_batch_are_told_apart_as_in_the_original(inputs, items):
    assert asked("/predict", LABELS, inputs=inputs) == Classify(model="labels", items=items, raw_scores=True)


@pytest.mark.parametrize("inputs", [[], ["a", "b", "c"], [["a"], "b"], ["a", ["b"]], [[]], [["a", "b", "c"]], [1], {}])
def test_other_lists_are_of_the_wrong_shape(inputs):
    assert refused("/predict", LABELS, inputs=inputs) == (422, "Validation")


def test_too_large_a_batch_is_refused():
    assert refused("/predict", LABELS, limited(max_items=1), inputs=[["a"], ["b"]]) == (422, "Validation")


def test_an_empty_text_is_of_the_type_empty():
    assert refused("/predict", LABELS, inputs=[["a"], [""]]) == (400, "Empty")


def test_one_input_has_a_list_of_labels_and_a_batch_has_a_list_of_lists():
    one, batch = (told("/predict", LABELS, inputs=inputs) for inputs in ("glad", [["glad"], ["a sad"]]))

    assert [list(row) for row in one] == [["score", "label"]] * 3
    assert [rows[0]["label"] for rows in batch] == ["glad", "sad"]
    assert batch[0] == one


def predicted(spec, *logits, **body):
    answer = Classified(spec=spec, fingerprint="", usage=Usage(1, 2), scores=np.array([logits], np.float32))
    return json.loads(PREDICT.write(PREDICT.body(inputs="a", **body), answer).body)


def test_scores_of_several_labels_are_their_softmax_best_first():
    rows = predicted(labels_spec(), 1.0, 3.0, 2.0)

    assert [row["label"] for row in rows] == ["glad", "sad", "calm"]
    assert [row["score"] for row in rows] == pytest.approx([0.66524096, 0.24472847, 0.09003057], rel=1e-6)


def test_the_score_of_one_label_is_its_sigmoid():
    assert predicted(overlap_spec(), 2.0) == [{"score": pytest.approx(0.88079708, rel=1e-6), "label": "LABEL_0"}]


def test_raw_scores_of_labels_are_the_logits():
    rows = predicted(labels_spec(), 1.0, 3.0, -2.0, raw_scores=True)

    assert [row["score"] for row in rows] == [3.0, 1.0, -2.0]


def test_logits_too_large_for_a_softmax_stay_finite():
    assert [row["score"] for row in predicted(labels_spec(), 1000.0, -1000.0, 0.0)] == [1.0, 0.0, 0.0]


def test_a_reranker_is_a_classifier_with_one_label_as_in_the_original():
    rows = told("/predict", RANKS, inputs=["a cat", "a cat"])

    assert [row["label"] for row in rows] == ["LABEL_0"]
    assert asked("/predict", RANKS, inputs="a").model == "overlap"


def test_a_classifier_is_asked_before_a_reranker():
    assert asked("/predict", (hash_spec(), overlap_spec(), labels_spec()), inputs="a").model == "labels"


def test_characters_of_all_texts_are_counted():
    assert replied("/predict", LABELS, inputs=[["ab"], ["c", "def"]]).headers["x-compute-characters"] == "6"
