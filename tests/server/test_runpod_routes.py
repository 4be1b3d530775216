"""RunPod's jobs through the app: at both paths, beside the dialects that have one of them too."""

import threading

import pytest

from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec

pytestmark = pytest.mark.anyio
JOB = {"input": {"texts": ["test"]}}


def every_kind():
    return HashEncoder((hash_spec(inputs=("text", "image")), overlap_spec(), labels_spec()))


@pytest.mark.parametrize("dialect", ["", "runpod"])
@pytest.mark.parametrize("path", ["/", "/runsync", "/runpod", "/runpod/runsync"])
async def test_a_job_is_done_at_either_path(serve, path, dialect):
    async with serve(dialect=dialect) as client:
        reply = await client.post(path, json={**JOB, "id": "local_test", "webhook": None})

    assert (reply.status_code, reply.json()["status"]) == (200, "COMPLETED")
    assert len(reply.json()["output"]["embeddings"]) == 1
    assert reply.headers["x-embedstack-space"] == reply.json()["output"]["space"]


@pytest.mark.parametrize("dialect", ["", "runpod"])
async def test_what_text_embeddings_inference_has_at_the_same_path_is_still_answered(serve, dialect):
    async with serve(dialect=dialect) as client:
        vectors = await client.post("/", json={"inputs": ["a", "b"], "model": "hash"})
        wrong = await client.post("/", json={"inputs": "a", "normalize": None})

    assert len(vectors.json()) == 2
    assert "normalize" in wrong.json()["error"]


@pytest.mark.parametrize("path", ["/", "/runsync"])
async def test_the_reason_is_that_of_the_kind_that_the_job_is(serve, path):
    async with serve() as client:
        reply = await client.post(path, json={"input": {"texts": [1]}, "id": "a"})

    assert "Expected `str`, got `int` - at `$.input.texts[0]`" in reply.json()["error"]


async def test_an_error_of_a_path_within_a_job_has_openais_envelope(serve):
    async with serve() as client:
        job = {"input": {"openai_route": "/v1/embeddings", "openai_input": {"input": "a", "model": "none"}}}
        reply = await client.post("/runsync", json=job)

    assert (reply.status_code, reply.json()["status"]) == (404, "FAILED")
    assert reply.json()["error"]["code"] == "model_not_found"


async def test_a_job_shows_the_models(serve):
    async with serve(every_kind) as client:
        reply = await client.post("/runsync", json={"input": {"openai_route": "/v1/models"}})

    assert [row["id"] for row in reply.json()["output"]["data"]] == ["hash", "overlap", "labels"]


async def test_texts_of_several_paragraphs_are_answered_together(serve):
    paragraphs = [{"paragraph_text": text, "sentence_texts": [text]} for text in ("Rain falls.", "It stops.")]
    async with serve() as client:
        reply = await client.post("/runsync", json={"input": {"action": "late_chunk_batch", "paragraphs": paragraphs}})

    assert [len(row["vectors"]) for row in reply.json()["output"]["results"]] == [1, 1]


async def test_the_page_of_the_balancer_has_no_body_while_loading(serve):
    gate = threading.Event()

    def slow():
        gate.wait(20)
        return HashEncoder()

    async with serve(slow, wait=False, dialect="runpod") as client:
        loading = await client.get("/ping")
        gate.set()

    assert (loading.status_code, loading.content) == (204, b"")


async def test_the_page_of_the_balancer_is_good_when_vectors_can_be_had(serve):
    async with serve(dialect="runpod") as client:
        assert (await client.get("/ping")).status_code == 200
