"""Which of several dialects at one path of the root a body is for."""

import pytest

pytestmark = pytest.mark.anyio


async def test_a_body_that_the_first_refuses_goes_to_the_one_that_knows_its_fields(serve):
    async with serve() as client:
        reply = await client.post("/v1/embeddings", json={"input": "a", "embedding_type": "ubinary", "task": "x"})

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
