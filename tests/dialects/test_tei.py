"""The words of Text Embeddings Inference."""

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits
from embedstack.dialects.tei import Tei
from embedstack.dialects.wire import BodyTooLong, EmptyList, Misfit
from embedstack.errors import (
    DeadlineExceeded,
    NotReady,
    Overloaded,
    RuntimeFailed,
    TooLong,
    UnknownModel,
    Unsupported,
)
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Encode, Pair, Score, Scored, Text, Usage

TEI = Tei()
EMBED, RERANK = TEI.routes


def ask(route, setting="right", **body) -> Encode | Score:
    limits = Limits(max_items=8, truncate=setting, token_ids="refuse")
    return route.ask(route.read(json.dumps(body).encode()), limits, [hash_spec(), overlap_spec()])


def test_the_fields_of_embed_become_the_request():
    request = ask(EMBED, inputs=["a"], prompt_name="query", normalize=False, dimensions=8)

    assert request == Encode(model="hash", items=(Text("a", "query"),), normalize=False, dim=8)


def test_a_text_without_a_prompts_name_gets_no_prompt_as_in_the_original():
    assert [ask(EMBED, inputs="a", **more).items[0].role for more in ({}, {"prompt_name": None})] == ["none", "none"]


def test_vectors_are_of_length_1_unless_asked_otherwise():
    assert ask(EMBED, inputs="a").normalize is True


@pytest.mark.parametrize("raw", [False, True])
def test_rerank_asks_for_logits_whatever_it_will_show(raw):
    request = ask(RERANK, query="q", texts=["a", "b"], raw_scores=raw)

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
    request = ask(RERANK, query="a cat", texts=["a cat"])
    answer = asyncio.run(HashEncoder([spec]).score(request))

    score = json.loads(RERANK.write(RERANK.body(query="a cat", texts=["a cat"]), answer).body)[0]["score"]
    assert 0.98 < score < 1.0


@pytest.mark.parametrize(
    ("setting", "body", "truncate"),
    [
        ("right", {}, "right"),
        ("left", {}, "left"),
        ("refuse", {}, "refuse"),
        ("refuse", {"truncate": True}, "right"),
        ("right", {"truncate": False}, "refuse"),
        ("right", {"truncate": False, "truncation_direction": "left"}, "refuse"),
        ("right", {"truncation_direction": "Left"}, "left"),
        ("left", {"truncation_direction": "right"}, "right"),
    ],
)
def test_the_body_decides_on_truncation_and_where_it_is_silent_the_setting(setting, body, truncate):
    assert ask(EMBED, setting, inputs="a", **body).truncate == truncate


def test_an_unknown_field_is_ignored_as_the_original_does():
    assert ask(EMBED, inputs="a", nonsense=1) == ask(EMBED, inputs="a")


def test_texts_are_ordered_by_score_and_returned_only_on_request():
    plain, full = (reranked(0.25, 0.75, return_text=wanted) for wanted in (False, True))

    assert [list(rank) for rank in plain] == [["index", "score"]] * 2
    assert [rank["text"] for rank in full] == ["1", "0"]


def test_times_are_headers_in_milliseconds():
    usage = Usage(items=1, tokens=7, wait_s=0.002, run_s=0.0051)
    answer = Scored(spec=overlap_spec(), fingerprint="", usage=usage, scores=np.zeros(1, np.float32))

    headers = RERANK.write(RERANK.body(query="q", texts=["a"]), answer).headers
    assert headers == {"x-compute-tokens": "7", "x-queue-time": "2", "x-inference-time": "5"}


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (EmptyList("none"), 400, "Empty"),
        (Misfit("wrong"), 422, "Validation"),
        (TooLong("long"), 422, "Validation"),
        (Unsupported("width"), 422, "Validation"),
        (BodyTooLong("body"), 413, "Validation"),
        (UnknownModel("none of this task"), 424, "Backend"),
        (RuntimeFailed("broken"), 424, "Backend"),
        (Overloaded("busy"), 429, "Overloaded"),
        (NotReady("loading"), 503, "Unhealthy"),
        (DeadlineExceeded("late"), 504, "Backend"),
    ],
)
def test_each_error_has_the_status_and_the_type_of_the_original(error, status, kind):
    wire = TEI.fail(error)

    assert wire.status == status
    assert json.loads(wire.body) == {"error": error.message, "error_type": kind}
