"""The many inputs of RunPod workers: which is which, what each asks for, and the words in which it is refused."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from embedstack.dialects.dialect import Limits, Memory, Status
from embedstack.dialects.jobs import output_of
from embedstack.dialects.pictures import DARK
from embedstack.dialects.runpod import RunPod, chosen_route
from embedstack.dialects.wire import Misfit
from embedstack.errors import BadRequest, NotReady, Unsupported
from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec
from embedstack.types import Encode, Image, Score, Text, answered

pytestmark = pytest.mark.anyio
RUNPOD = RunPod()
SMALL = hash_spec("small", outputs=("dense", "sparse", "multi"), inputs=("text", "image"), max_tokens=8)
MODELS = (SMALL, overlap_spec(), labels_spec())
LIMITS = Limits(max_items=8, truncate="right")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def raw(**given) -> bytes:
    return json.dumps({"input": given}).encode()


def asked(**given):
    route, body = chosen_route(raw(**given))
    return route.ask(body, LIMITS, MODELS)


async def done(**given):
    """The output of a job, answered by the fake."""
    route, body = chosen_route(raw(**given))
    request = route.ask(body, LIMITS, MODELS)
    many = request if isinstance(request, tuple) else () if request is None else (request,)
    answers = tuple([await answered(HashEncoder(MODELS), one) for one in many])
    answer = answers if isinstance(request, tuple) else next(iter(answers), None)
    return json.loads(output_of(route.reply_to(body, answer, MODELS)))


def refused(**given) -> dict:
    with pytest.raises(BadRequest) as caught:
        asked(**given)
    return json.loads(RUNPOD.fail(caught.value).body)


def test_what_stands_beside_the_input_is_ignored():
    job = {"id": "sync-1", "webhook": "https://a/b", "policy": {"executionTimeout": 5000}, "input": {"texts": ["a"]}}

    assert chosen_route(json.dumps(job).encode())[1].input.texts == ["a"]


@pytest.mark.parametrize("given", [b"{}", b'{"input": "a"}', b'{"input": ["a"]}', b'{"input": null}', b"[]", b"no"])
def test_what_is_no_job_is_refused(given):
    with pytest.raises(Misfit):
        chosen_route(given)


# ------------------------------------------------------------------------------------------------ the originals


@pytest.mark.parametrize("given", [{"query": ""}, {"queries": []}, {"action": "embed_query"}])
def test_without_a_query_it_says_what_the_worker_for_queries_said(given):
    assert refused(**given)["error"] == "No query provided"


@pytest.mark.parametrize(
    "given", [{"texts": []}, {"texts": ""}, {"action": "embed_batch"}, {"action": "embed_batch", "texts": []}]
)
def test_without_texts_there_are_no_vectors_beside_the_error(given):
    reply = refused(**given)

    assert (reply["error"], reply["embeddings"]) == ("No texts provided", [])


def test_an_unknown_action_is_named():
    assert refused(action="embed_all", texts=["a"])["error"] == "Unknown action: embed_all"


@pytest.mark.parametrize("given", [{}, {"documents": ["a"]}, {"nonsense": 1}, {"texts": None}])
def test_what_nobody_takes_is_refused_as_the_stacks_worker_did_with_all_that_is_taken(given):
    error = refused(**given)["error"]

    assert error.startswith("Invalid request. Provide 'texts' for embeddings or 'query'+'documents' for reranking.")
    assert "late_chunk_batch" in error


def test_whether_texts_are_queries_must_be_said_where_it_changes_the_vectors():
    route, body = chosen_route(raw(action="embed_batch", texts=["a"]))
    prompted = replace(hash_spec(), prompts={"query": "query: ", "document": "passage: "})

    with pytest.raises(BadRequest, match="send is_query true or false"):
        route.ask(body, LIMITS, (prompted,))
    assert route.ask(body, LIMITS, (hash_spec(),)).items == (Text("a"),)


def test_a_failure_is_a_failed_job_with_the_status_of_its_kind():
    wire = RUNPOD.fail(NotReady("the model is loading", retry_after_s=3))

    assert (wire.status, wire.headers["retry-after"]) == (503, "3")
    assert json.loads(wire.body) == {"status": "FAILED", "error": "the model is loading", "code": "not_ready"}


# ------------------------------------------------------------------------------------------------ what is asked


def test_texts_are_documents_of_length_one_unless_the_job_says_otherwise():
    plain = asked(texts=["a"])
    told = asked(texts="a", role="query", dim=8, max_tokens=4, truncate="left", normalize=False)

    assert (plain.items, plain.normalize, plain.truncate) == ((Text("a"),), True, "right")
    assert told.items == (Text("a", "query"),)
    assert (told.dim, told.max_tokens, told.truncate, told.normalize) == (8, 4, "left", False)


def test_options_of_kriptiks_worker_choose_the_vectors():
    request = asked(texts=["a"], options={"return_sparse": True, "return_colbert": True, "max_length": 5})

    assert (request.outputs, request.max_tokens) == ({"dense", "sparse", "multi"}, 5)


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ({"query": "a"}, "query"),
        ({"queries": ["a"]}, "query"),
        ({"action": "embed_batch", "texts": ["a"]}, "document"),
        ({"action": "embed_batch", "texts": ["a"], "is_query": True}, "query"),
        ({"input": "a"}, "none"),
    ],
)
def test_each_worker_means_texts_of_a_role(given, role):
    assert asked(**given).items == (Text("a", role),)


def test_a_job_of_the_kinds_of_pictures_asks_for_them():
    assert [type(item) for item in asked(images=[DARK, DARK]).items] == [Image, Image]
    assert [type(item) for item in asked(type="visual_text", image=DARK, text="a").items] == [Image, Text]


def test_pairs_are_scored_as_logits():
    request = asked(query="q", documents=["a", "b"], max_tokens=4, truncate="refuse")

    assert isinstance(request, Score)
    assert (request.raw_scores, request.max_tokens, request.truncate) == (True, 4, "refuse")


def test_predictions_are_refused_for_want_of_outcomes():
    with pytest.raises(Unsupported, match="outcomes of earlier attempts"):
        asked(type="predictive", intent="a shop")


def test_a_health_check_needs_no_name_where_several_models_are_served():
    route, body = chosen_route(raw(action="health_check"))
    request = route.ask(body, LIMITS, (hash_spec("first"), hash_spec("second")))

    assert isinstance(request, Encode)
    assert request.model == "first"


def test_bge_m3_answers_texts_beside_other_models():
    route, body = chosen_route(raw(texts=["a"]))

    assert route.ask(body, LIMITS, (hash_spec("first"), hash_spec("bge-m3"))).model == "bge-m3"


# ------------------------------------------------------------------------------------------------ what is given


async def test_texts_get_all_names_that_the_three_clients_read_with_the_numbers_once():
    output = await done(texts=["a b", "c " * 10])

    assert len(output["embeddings"]) == 2
    assert output["dimensions"] == output["metadata"]["dimension"] == 32
    assert (output["texts_processed"], output["metadata"]["count"], output["tokens_used"]) == (2, 2, 10)
    assert (output["model"], output["space"]) == ("small", SMALL.space)
    assert (output["truncated"], output["dropped_tokens"], output["normalized"]) == (1, 2, True)


async def test_sparse_and_token_vectors_stand_beside_the_dense_ones():
    output = await done(texts=["a b"], options={"return_sparse": True, "return_colbert": True})

    assert [len(output[name]) for name in ("embeddings", "sparse_embeddings", "colbert_embeddings")] == [1, 1, 1]


@pytest.mark.parametrize(("form", "packed", "near"), [("base64", "<f4", 0), ("float16", "<f2", 1e-3)])
async def test_packed_vectors_are_those_of_the_numbers(form, packed, near):
    plain, made = [(await done(texts=["a", "b"], encoding_format=one)) for one in ("float", form)]

    rows = [np.frombuffer(base64.b64decode(row), packed) for row in made["embeddings"]]
    assert np.abs(np.array(rows, np.float32) - np.array(plain["embeddings"], np.float32)).max() <= near
    assert (made["encoding_format"], "encoding_format" in plain) == (form, False)


PACKABLE = [
    ({"query": "a"}, "embedding"),
    ({"queries": ["a"]}, "embeddings"),
    ({"action": "embed_batch", "texts": ["a"]}, "embeddings"),
    ({"action": "late_chunk", "paragraph_text": "a", "sentence_texts": ["a"]}, "vectors"),
]


@pytest.mark.parametrize(("given", "name"), PACKABLE)
async def test_every_job_of_texts_may_have_its_vectors_packed(given, name):
    plain, made = [(await done(**given, encoding_format=one)) for one in ("float", "base64")]

    (row,) = [made[name]] if name == "embedding" else made[name]
    (numbers,) = [plain[name]] if name == "embedding" else plain[name]
    assert np.array_equal(np.frombuffer(base64.b64decode(row), "<f4"), np.array(numbers, np.float32))
    assert (made["encoding_format"], "encoding_format" in plain) == ("base64", False)


async def test_sentences_of_several_texts_may_be_packed():
    paragraphs = [{"paragraph_text": "a", "sentence_texts": ["a"]}]
    output = await done(action="late_chunk_batch", paragraphs=paragraphs, encoding_format="float16")

    assert np.frombuffer(base64.b64decode(output["results"][0]["vectors"][0]), "<f2").shape == (32,)
    assert output["encoding_format"] == "float16"


async def test_what_float16_cannot_hold_is_refused():
    route, body = chosen_route(raw(texts=["a"], encoding_format="float16", normalize=False))
    made = await HashEncoder(MODELS).encode(Encode(model="small", items=(Text("a"),)))
    answer = replace(made, dense=np.array([[1e6, 0.0]], np.float32))

    with pytest.raises(Unsupported, match="65504"):
        route.write(body, answer)


async def test_an_input_gets_openais_object_and_its_provider_the_rows():
    output = await done(input=["a", "b"], model="small")

    assert (output["object"], output["usage"]) == ("list", {"prompt_tokens": 2, "total_tokens": 2})
    assert [row["index"] for row in output["data"]] == [0, 1]


async def test_one_query_has_one_vector_and_several_have_a_list():
    one, several = await done(query="a"), await done(queries=["a", "b"])

    assert one["embedding"] == several["embeddings"][0]
    assert "embeddings" not in one


async def test_ranks_are_sorted_cut_and_between_nought_and_one():
    documents = ["rain", "a cat", "what is a cat"]
    output = await done(query="what is a cat", documents=documents, top_n=2)
    whole = await done(query="what is a cat", documents=documents, top_n=0)
    raw_ones = await done(query="what is a cat", documents=documents, raw_scores=True)

    assert [row["index"] for row in output["results"]] == [2, 1]
    assert all(0 < row["relevance_score"] < 1 for row in output["results"])
    assert len(whole["results"]) == 3
    assert raw_ones["results"][0]["relevance_score"] != output["results"][0]["relevance_score"]


async def test_docs_keep_the_order_of_the_job():
    docs = ["rain", "what is a cat"]
    plain, told = [await done(query="what is a cat", docs=docs, return_docs=one) for one in (None, True)]

    assert [row["index"] for row in plain["results"]] == [0, 1]
    assert [row["document"] for row in told["results"]] == docs
    assert plain["results"][1]["relevance_score"] > plain["results"][0]["relevance_score"]
    assert plain["usage"]["total_tokens"] == plain["tokens_used"]


async def test_a_health_check_has_run_the_model():
    output = await done(action="health_check")

    assert (output["status"], output["endpoint"], output["dimensions"]) == ("ok", "query", 32)
    assert (output["space"], output["tokens_used"]) == (SMALL.space, 3)


async def test_items_get_their_ids_and_one_identity():
    output = await done(
        items=[{"id": "x", "type": "text", "content": "a"}, {"id": "y", "type": "image", "content": DARK}]
    )

    assert [row["id"] for row in output["results"]] == ["x", "y"]
    assert (output["metadata"]["image"], output["model"]) == (1, "small")


async def test_pictures_get_vectors_and_what_they_were_made_by():
    output = await done(images=[DARK])

    assert (len(output["embeddings"]), output["metadata"]["count"], output["space"]) == (1, 1, SMALL.space)


async def test_a_cut_text_of_an_intent_is_told():
    output = await done(type="intent", text="a " * 10)

    assert (output["type"], output["truncated"], output["dropped_tokens"]) == ("intent", 1, 2)


# ------------------------------------------------------------------------------------------------ the page


@pytest.mark.parametrize(
    ("state", "status"), [("loading", 204), ("ready", 200), ("draining", 503), ("failed", 503), ("dead", 503)]
)
def test_the_balancer_is_told_by_the_status_alone(state, status):
    wire = RUNPOD.pages[0].show(standing(state), "")

    assert (wire.status, wire.body) == (status, b"")


def standing(state) -> Status:
    return Status(
        state=state,
        reason="" if state == "ready" else state,
        models=MODELS,
        find={spec.name: spec for spec in MODELS}.get,
        started=1.7e9,
        uptime_s=1.0,
        memory=Memory(resident=2, mapped=1),
        states={} if state != "failed" else {spec.name: "failed" for spec in MODELS},
    )


def test_one_model_that_answers_is_enough_for_the_balancer():
    status = replace(standing("failed"), states={"small": "loaded", "overlap": "failed", "labels": "failed"})

    assert RUNPOD.pages[0].show(status, "").status == 200
