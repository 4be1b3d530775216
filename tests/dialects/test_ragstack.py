"""The words of the RAG stack."""

import json

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits, Memory, Status, Wire
from embedstack.dialects.ragstack import DocumentsBody, RagStack
from embedstack.dialects.wire import EmptyList, Misfit
from embedstack.errors import NotReady, Overloaded, UnknownModel, Unsupported, Upstream
from embedstack.testing.fake import hash_spec, overlap_spec
from embedstack.types import Encode, Encoded, Pair, Score, Scored, Sparse, Text, Usage

STACK = RagStack()
EMBED, RERANK, SPARSE = STACK.routes
DENSE_MODEL = hash_spec("dense")
RERANKER = overlap_spec()
SPARSE_MODEL = hash_spec("sparse", outputs=("dense", "sparse"))


def ask(route, models=(DENSE_MODEL, RERANKER), **body) -> Encode | Score:
    return route.ask(route.read(json.dumps(body).encode()), Limits(max_items=4, truncate="right"), models)


def reranked(*logits, **body):
    documents = [f"document {place}" for place in range(len(logits))]
    scores = np.array(logits, np.float32)
    answer = Scored(spec=overlap_spec(), fingerprint="", usage=Usage(len(logits), 2), scores=scores)
    return json.loads(RERANK.write(DocumentsBody(query="q", documents=documents, **body), answer).body)


@pytest.mark.parametrize("texts", ["a", ["a"]])
def test_one_text_needs_no_list(texts):
    assert ask(EMBED, input=texts) == Encode(model="dense", items=(Text("a"),), normalize=True)


def test_no_text_at_all_is_refused():
    with pytest.raises(EmptyList):
        ask(EMBED, input=[])


def test_an_unknown_field_is_refused_by_name():
    with pytest.raises(Misfit, match="dimensions"):
        ask(EMBED, input=["a"], dimensions=8)


def test_documents_become_pairs_with_the_query():
    request = ask(RERANK, query="q", documents=["a", "b"], return_documents=False)

    assert request == Score(model="overlap", items=(Pair("q", "a"), Pair("q", "b")), raw_scores=True)


def test_ranks_are_a_bare_array_best_first_from_0_to_1_under_both_names():
    ranks = reranked(-2.0, 0.0, 8.607141)

    assert [rank["index"] for rank in ranks] == [2, 1, 0]
    assert [rank["score"] for rank in ranks] == pytest.approx([0.99981725, 0.5, 0.11920292], rel=1e-6)
    assert all(rank["relevance_score"] == rank["score"] for rank in ranks)


def test_documents_come_back_only_on_request():
    plain, full = (reranked(0.25, 0.75, return_documents=wanted) for wanted in (False, True))

    assert [list(rank) for rank in plain] == [["index", "score", "relevance_score"]] * 2
    assert [rank["document"] for rank in full] == ["document 1", "document 0"]


def test_top_n_cuts_the_array():
    assert [rank["index"] for rank in reranked(0.0, 2.0, 1.0, top_n=2)] == [1, 2]


def test_sparse_vectors_are_asked_of_the_model_that_has_them():
    request = ask(SPARSE, (DENSE_MODEL, SPARSE_MODEL), input=["a"])

    assert request == Encode(model="sparse", items=(Text("a"),), outputs=frozenset({"sparse"}))


def test_sparse_vectors_without_such_a_model_say_what_is_missing():
    with pytest.raises(Unsupported, match="no model with sparse vectors"):
        ask(SPARSE, (DENSE_MODEL,), input=["a"])


def test_lexical_weights_are_indexes_and_values_of_each_text():
    sparse = (
        Sparse(np.array([7, 40_000], np.int32), np.array([0.5, 0.25], np.float32)),
        Sparse(np.array([], np.int32), np.array([], np.float32)),
    )
    answer = Encoded(spec=SPARSE_MODEL, fingerprint="", usage=Usage(2, 2), sparse=sparse)

    assert json.loads(SPARSE.write(SPARSE.example, answer).body) == [
        [{"index": 7, "value": 0.5}, {"index": 40_000, "value": 0.25}],
        [],
    ]


@pytest.mark.parametrize("error", [UnknownModel("which"), Overloaded("busy"), NotReady("loading"), Misfit("wrong")])
def test_an_error_is_a_sentence_and_a_code_with_its_own_status(error):
    wire = STACK.fail(error)

    assert (wire.status, json.loads(wire.body)) == (error.status, {"error": error.message, "code": error.code})


def test_an_unknown_model_is_heard_as_one():
    assert type(STACK.hear_failure(STACK.fail(UnknownModel("which")))) is UnknownModel


def test_ranks_are_heard_as_an_array_and_as_infinitys_object():
    request = Score(model="", items=(Pair("q", "a"), Pair("q", "b")))
    array = b'[{"index": 1, "score": 0.75}, {"index": 0, "score": 0.5}]'
    whole = b'{"results": [{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.5}]}'

    assert [RERANK.hear(Wire(200, body), request).rows.tolist() for body in (array, whole)] == [[0.5, 0.75]] * 2


def test_another_object_is_no_answer_to_a_rerank():
    request = Score(model="", items=(Pair("q", "a"),))

    with pytest.raises(Upstream):
        RERANK.hear(Wire(200, b'{"scores": [0.5]}'), request)


@pytest.mark.parametrize(
    ("state", "status", "body"),
    [
        ("ready", 200, {"status": "ok", "models": ["dense"]}),
        ("loading", 503, {"status": "unavailable", "models": ["dense"], "reason": "because"}),
    ],
)
def test_health_is_a_status_and_the_models(state, status, body):
    memory = Memory(resident=1, mapped=0)
    known = Status(
        state=state, reason="because", models=(DENSE_MODEL,), find={}.get, started=0, uptime_s=1.0, memory=memory
    )
    wire = STACK.pages[0].show(known, "")

    assert (wire.status, json.loads(wire.body)) == (status, body)
