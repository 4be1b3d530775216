"""Whether the description of the server is true: statuses, schemas, keys."""

import pytest
from jsonschema import Draft202012Validator

from embedstack.dialects import open_dialects
from embedstack.errors import BadRequest, NotReady, Overloaded, TooLong, Unauthorized, UnknownModel, Unsupported
from embedstack.server.openapi import describe
from embedstack.server.statuses import failures
from embedstack.server.table import places

pytestmark = pytest.mark.anyio
TABLE = places(open_dialects())
DESCRIPTION = describe(TABLE)
POSTS = [(place, DESCRIPTION["paths"][place.path]["post"]) for place in TABLE if place.method == "POST"]
KEYS = {"api_keys": "alice:alice-0123456789abcdef"}


def fits(schema: dict[str, object], value: object) -> bool:
    whole = {"components": DESCRIPTION["components"], **schema}
    return Draft202012Validator(whole).is_valid(value)


def body_of(path: str) -> dict[str, object]:
    return DESCRIPTION["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


@pytest.mark.parametrize("error", [BadRequest, TooLong, UnknownModel, Unsupported, Unauthorized, Overloaded, NotReady])
def test_every_status_with_which_a_route_can_fail_is_described(error):
    for place, operation in POSTS:
        for one in place.servings:
            status = (one.what.fail or one.dialect.fail)(error("why")).status
            assert str(status) in operation["responses"], (place.path, one.dialect.name)


def test_nothing_is_left_to_a_default():
    operations = [one for methods in DESCRIPTION["paths"].values() for one in methods.values()]

    assert all({"200"} <= one["responses"].keys() and "default" not in one["responses"] for one in operations)


def test_each_status_says_why():
    serving = next(place.first for place in TABLE if place.path == "/openai/v1/embeddings")

    assert "there is nothing in the list" in failures(serving)[400]
    assert "too much is waiting" in failures(serving)[429]


def test_a_route_that_may_have_its_body_in_the_query_says_so():
    single, several = (DESCRIPTION["paths"][f"/embeddings/{path}text"]["post"] for path in ("single/", ""))

    queries = [[one["name"] for one in route["parameters"] if one["in"] == "query"] for route in (single, several)]
    assert queries == [["text", "model"], []]
    assert [route["requestBody"]["required"] for route in (single, several)] == [False, True]


def test_a_field_that_the_first_refuses_is_refused_by_the_others_in_the_description_too():
    taken = {"input": "a", "embedding_type": "ubinary"}  # Jina's

    assert fits(body_of("/v1/embeddings"), taken)
    assert not fits(body_of("/v1/embeddings"), {"input": "a", "dimension": 8})
    assert fits(body_of("/tei/v1/embeddings"), {"input": "a", "dimension": 8})  # which overlooks what it does not know


async def test_a_merged_reply_is_as_described(serve):
    async with serve() as client:
        replies = {
            ("/v1/rerank", "post"): await client.post("/v1/rerank", json={"query": "a", "documents": ["b", "a"]}),
            ("/v1/models", "get"): await client.get("/v1/models"),
        }

    for (path, method), reply in replies.items():
        described = DESCRIPTION["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        assert fits(described, reply.json()), path


def test_a_page_without_a_body_has_no_schema():
    assert "content" not in DESCRIPTION["paths"]["/tei/ping"]["get"]["responses"]["200"]


async def test_keys_are_described_where_they_are_needed(serve):
    async with serve(**KEYS) as client:
        kept = (await client.get("/openapi.json")).json()
    async with serve() as client:
        free = (await client.get("/openapi.json")).json()

    assert {"bearer": []} in kept["paths"]["/embed"]["post"]["security"]
    assert "security" not in kept["paths"]["/tei/ping"]["get"]
    assert "security" not in free["paths"]["/embed"]["post"]


@pytest.mark.parametrize("path", ["/", "/docs", "/livez", "/ready", "/metrics", "/openapi.json", "/tei/metrics"])
async def test_the_servers_own_pages_are_described(serve, path):
    async with serve() as client:
        reply = await client.get(path)

    described = DESCRIPTION["paths"][path]["get"]["responses"][str(reply.status_code)]["content"]
    assert reply.headers["content-type"].partition(";")[0] in described


@pytest.mark.parametrize("path", ["/", "/tei", "/embed", "/livez", "/v1/models"])
async def test_a_refused_method_names_all_that_are_described(serve, path):
    async with serve() as client:
        reply = await client.request("OPTIONS", path)

    described = {method.upper() for method in DESCRIPTION["paths"][path]}
    assert (reply.status_code, set(reply.headers["allow"].split(", ")) - {"HEAD"}) == (405, described)
