"""A job with a path and a body: what this server gives at that path, as OpenAI's clients of a job read it."""

import json

import pytest

from embedstack.dialects.dialect import Limits
from embedstack.dialects.jobs import output_of
from embedstack.dialects.runpod import chosen_route, fail_job
from embedstack.errors import BadRequest, UnknownModel
from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec
from embedstack.types import answered

pytestmark = pytest.mark.anyio
EMBEDDER = hash_spec(outputs=("dense", "sparse"), inputs=("text", "image"))
MODELS = (EMBEDDER, overlap_spec(), labels_spec())
LIMITS = Limits(max_items=8, truncate="right", find={spec.name: spec for spec in MODELS}.get)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def job(route, given=None):
    return chosen_route(json.dumps({"input": {"openai_route": route, "openai_input": given}}).encode())


async def done(path, given=None):
    route, body = job(path, given)
    request = route.ask(body, LIMITS, MODELS)
    many = request if isinstance(request, tuple) else () if request is None else (request,)
    answers = tuple([await answered(HashEncoder(MODELS), one) for one in many])
    answer = answers if isinstance(request, tuple) else next(iter(answers), None)
    return json.loads(output_of(route.reply_to(body, answer, MODELS)))


def refused(path, given=None):
    route, body = job(path, given)
    with pytest.raises(BadRequest) as caught:
        route.ask(body, LIMITS, MODELS)
    return json.loads(route.fail(caught.value).body)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings", "v1/embeddings/"])
async def test_openais_embeddings_are_a_list_with_one_object(path):
    (output,) = await done(path, {"input": ["a", "b"], "model": "hash"})

    assert output["object"] == "list"
    assert [row["index"] for row in output["data"]] == [0, 1]
    assert (output["space"], output["tokens_used"]) == (EMBEDDER.space, 2)


async def test_the_models_are_a_plain_object():
    output = await done("/v1/models")

    assert [row["id"] for row in output["data"]] == ["hash", "overlap", "labels"]
    assert output["object"] == "list"


async def test_the_reply_is_that_of_the_path_by_precedence_and_under_its_prefix():
    tei = await done("/rerank", {"query": "a", "texts": ["b", "a"]})
    infinity = await done("/rerank", {"query": "a", "documents": ["b", "a"]})
    cohere = await done("/cohere/v2/rerank", {"query": "a", "documents": ["b", "a"], "model": "overlap"})

    assert [row["index"] for row in tei] == [1, 0]
    assert infinity["object"] == "rerank"
    assert {"id", "results", "meta", "space"} <= cohere.keys()


async def test_the_model_decides_where_several_routes_take_a_body():
    vectors, labels = [await done("/", {"inputs": ["a", "b"], "model": name}) for name in ("hash", "labels")]

    assert isinstance(vectors[0], list)
    assert isinstance(labels[0], dict)


async def test_what_needs_no_model_is_answered_without_one():
    output = await done("/kriptik/api/embeddings/similarity", {"embedding1": [1, 0], "embedding2": [1, 0]})

    assert output["data"]["similarity"] == pytest.approx(1)


async def test_keys_of_the_route_are_not_changed_by_ours():
    output = await done("/v1/rerank", {"query": "a", "documents": ["b", "a"]})

    assert output["model"] == "overlap"
    assert (output["usage"]["total_tokens"], output["tokens_used"]) == (2, 2)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v2", "/runsync", "/runpod/runsync"])
def test_an_unknown_path_is_refused_in_the_words_of_infinitys_worker(path):
    error = refused(path, {"input": "a"})["error"]

    assert error["message"] == f"Invalid OpenAI Route: {path}"
    assert error.keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("given", [None, {}])
def test_a_path_without_a_body_misses_its_input(given):
    assert refused("/v1/embeddings", given)["error"]["message"] == "Missing input"


def test_an_error_of_the_inner_route_has_openais_envelope():
    reply = refused("/v1/embeddings", {"input": "a", "dimension": 8})

    assert (reply["status"], reply["error"]["param"]) == ("FAILED", "dimension")


def test_an_unknown_model_is_a_404_as_openai_says_it():
    route, _ = job("/v1/embeddings", {"input": "a"})
    wire = route.fail(UnknownModel("model 'x' is not served here"))

    assert (wire.status, json.loads(wire.body)["error"]["code"]) == (404, "model_not_found")


def test_a_failure_has_the_envelope_of_the_kind_of_its_job():
    forward, plain, none = (
        json.loads(fail_job(raw, UnknownModel("no such model")).body)["error"]
        for raw in (b'{"input": {"openai_route": "/v1/embeddings"}}', b'{"input": {"texts": ["a"]}}', b"no job")
    )

    assert (forward["message"], plain, none) == ("no such model",) * 3
