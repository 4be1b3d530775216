"""Which of several dialects at one path of the root a body is for."""

import threading

import pytest

from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec

pytestmark = pytest.mark.anyio


async def test_a_body_that_the_first_refuses_goes_to_the_one_that_knows_its_fields(serve):
    async with serve() as client:
        reply = await client.post(
            "/v1/embeddings", json={"input": "a", "embedding_type": "ubinary", "task": "separation"}
        )

    assert (reply.status_code, len(reply.json()["data"][0]["embedding"])) == (200, 4)


async def test_a_misspelt_field_is_refused_although_a_later_dialect_would_overlook_it(serve):
    async with serve() as client:
        reply = await client.post("/v1/embeddings", json={"input": "a", "dimension": 8})

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "dimension")


@pytest.mark.parametrize(("field", "kind"), [("texts", list), ("documents", dict)])
async def test_an_unknown_field_is_overlooked_where_the_first_overlooks_it_too(serve, field, kind):
    async with serve() as client:
        reply = await client.post("/rerank", json={"query": "a", field: ["b", "a"], "nonsense": 1})

    assert (reply.status_code, type(reply.json())) == (200, kind)


async def test_the_reason_is_of_the_dialect_whose_fields_the_body_has(serve):
    async with serve() as client:
        reply = await client.post("/", json={"inputs": ["a text", ["and", "a pair"]]})

    assert "mixes texts with lists" in reply.json()["error"]


async def test_what_another_dialects_clients_read_stands_beside_the_results(serve):
    async with serve() as client:
        reply = (await client.post("/v1/rerank", json={"query": "a", "documents": ["b", "a"]})).json()

    assert {"id", "results", "meta", "model", "usage"} <= reply.keys()


async def test_models_stand_under_the_keys_of_all_dialects(serve):
    async with serve() as client:
        reply = (await client.get("/v1/models")).json()

    assert [row["id"] for row in reply["data"]] == [row["name"] for row in reply["models"]]


# ------------------------------------------------------------------------------------------------ tasks and models


def with_labels():
    return HashEncoder((hash_spec(), overlap_spec(), labels_spec()))


@pytest.mark.parametrize("path", ["/", "/invocations", "/tei"])
@pytest.mark.parametrize(("model", "kind"), [("hash", list), ("labels", dict)])  # a vector, a label of the pair
async def test_the_named_model_decides_what_is_done(serve, path, model, kind):
    async with serve(with_labels) as client:
        reply = await client.post(path, json={"inputs": ["a", "b"], "model": model})

    assert reply.status_code == 200
    assert isinstance(reply.json()[0], kind)


async def test_a_named_reranker_predicts_beside_a_classifier(serve):
    async with serve(with_labels) as client:
        reply = await client.post("/predict", json={"inputs": ["a", "a b"], "model": "overlap"})

    assert reply.status_code == 200


@pytest.mark.parametrize("wrong", [{"normalize": None}, {"dimensions": 0}])
async def test_a_wrong_value_is_no_wish_for_another_task(serve, wrong):
    async with serve(with_labels) as client:
        reply = await client.post("/", json={"inputs": ["a", "b"], **wrong})

    assert reply.status_code == 422
    assert next(iter(wrong)) in reply.json()["error"]


async def test_a_first_dialect_that_overlooks_fields_leaves_those_that_another_knows_to_it(serve):
    async with serve(dialect="tei") as client:
        plain, query, bits = [
            (await client.post("/v1/embeddings", json={"input": "a", **more})).json()["data"][0]["embedding"]
            for more in ({}, {"input_type": "query"}, {"task": "retrieval.query", "embedding_type": "ubinary"})
        ]

    assert plain != query
    assert len(bits) == 4


async def test_a_page_that_another_dialect_cannot_show_yet_is_still_the_first_ones(serve):
    gate = threading.Event()

    def slow():
        gate.wait(20)
        return HashEncoder()

    async with serve(slow, wait=False, dialect="model-worker") as client:
        reply = await client.get("/health")
        gate.set()

    assert (reply.status_code, reply.json()["status"]) == (503, "initializing")
    assert "error" not in reply.json()


async def test_the_reason_is_of_the_form_that_the_body_came_furthest_in(serve):
    async with serve() as client:
        reply = await client.post("/tei", content=b'{"inputs": [%s]}' % (b"1" * 5000))

    assert "out of range" in reply.json()["error"]
