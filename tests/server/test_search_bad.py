"""Bad searches through the app: each is answered with the reason and the field, and the next one is served."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedstack.databases.opening import open_database
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from support.served_collections import fill

pytestmark = pytest.mark.anyio
GOOD = {"query": "a cat sleeps"}
MANY = [{"key": "a", "least": 0}] * 65

BAD: dict[str, tuple[object, int, str, str | None]] = {
    "nothing": (b"", 400, "not JSON", None),
    "no JSON": (b"query=a", 400, "not JSON", None),
    "no UTF-8": (b'{"query":"\xff"}', 400, "not UTF-8", None),
    "a lone surrogate": (b'{"query":"\\ud800"}', 400, "lone surrogate", None),
    "deep nesting": (b'{"where":' + b"[" * 100_000, 400, "`$.where`", "where"),
    "no object": ([], 400, "got `array`", None),
    "no query": ({}, 400, "missing required field `query`", "query"),
    "a number": ({"query": 1}, 400, "got `int`", "query"),
    "an empty query": ({"query": ""}, 400, "query is empty", "query"),
    "a query of spaces": ({"query": " \n"}, 400, "query is empty", "query"),
    "no queries": ({"query": []}, 400, "query is an empty list", "query"),
    "an empty one among others": ({"query": ["a", ""]}, 400, "query 1 is empty", "query"),
    "a long query": ({"query": "a" * 32_769}, 400, "length <= 32768", "query"),
    "101 queries": ({"query": ["a"] * 101}, 400, "length <= 100", "query"),
    "a field unheard of": ({**GOOD, "filter": {}}, 400, "unknown field `filter`", "filter"),
    "a limit of 0": ({**GOOD, "limit": 0}, 400, "`int` >= 1", "limit"),
    "a limit too large": ({**GOOD, "limit": 1001}, 400, "`int` <= 1000", "limit"),
    "too many hits in all": ({"query": ["a"] * 11, "limit": 1000}, 400, "11000 in all, the limit is 10000", "limit"),
    "a depth too large": ({**GOOD, "depth": 10_001}, 400, "`int` <= 10000", "depth"),
    "too much to look through": ({"query": ["a"] * 11, "depth": 10_000}, 400, "the limit is 100000", "depth"),
    "too much in all fields": ({"query": ["a"] * 6, "depth": 10_000}, 400, "6 queries of 2 fields is 120000", "depth"),
    "a depth below the limit": ({**GOOD, "depth": 5}, 400, "depth=5 candidates", None),
    "no fields": ({**GOOD, "fields": []}, 400, "length >= 1", "fields"),
    "a field that is not there": ({**GOOD, "fields": ["title"]}, 400, "no field 'title' for fields", "fields"),
    "a weight of one": ({**GOOD, "weights": {"title": 1}}, 400, "it has: 'dense', 'bm25'", "weights"),
    "a least score of one": ({**GOOD, "least": {"title": 1}}, 400, "no field 'title' for least", "least"),
    "a weight of one that is not asked": (
        {**GOOD, "fields": ["dense"], "weights": {"bm25": 2}},
        400,
        "a weight is given for vector 'bm25', which is not asked",
        None,
    ),
    "a weight below 0": ({**GOOD, "weights": {"dense": -1}}, 400, ">= 0.0", "weights"),
    "weights without a meaning": ({**GOOD, "fusion": "dbsf", "weights": {"dense": 2}}, 400, "'dbsf'", None),
    "a fusion unheard of": ({**GOOD, "fusion": "sum"}, 400, "'sum'", "fusion"),
    "k below 0": ({**GOOD, "rrf_k": -1}, 400, "`int` >= 0", "rrf_k"),
    "a condition on nothing": ({**GOOD, "where": {"all": [{"key": "a"}]}}, 400, "on 'a' asks for nothing", "where"),
    "a condition without a key": ({**GOOD, "where": {"all": [{"least": 1}]}}, 400, "`$.where.all[0]`", "key"),
    "a value that is none": ({**GOOD, "where": {"none": [{"key": "a", "values": [{}]}]}}, 400, "got `obj", "where"),
    "65 conditions": ({**GOOD, "where": {"all": MANY}}, 400, "length <= 64", "where"),
    "a number that is none": (
        b'{"query":"a","where":{"all":[{"key":"a","least":1e999}]}}',
        400,
        "out of range",
        "where",
    ),
    "a list of rerankers": ({**GOOD, "rerank": ["overlap"]}, 400, "got `array`", "rerank"),
    "a reranker that is none": ({**GOOD, "rerank": "hash"}, 400, "'hash' is made for the task 'embed'", None),
    "nothing to rerank": ({**GOOD, "rerank": "overlap", "rerank_top": 0}, 400, "`int` >= 1", "rerank_top"),
    "another collection": ({**GOOD, "collection": "x"}, 404, "'x' is not served here; served: docs", None),
    "a body over the limit": (b" " * (1024 * 1024 + 1), 413, "1 MB", None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("bad")
    database = open_database(str(made))
    fill(database, "docs", hash_spec(), bm25=True)
    yield made
    database.close()


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_search_is_answered_and_the_next_one_is_served(serve, folder: Path, name: str) -> None:
    body, status, said, param = BAD[name]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with serve(
        lambda: HashEncoder((hash_spec(), overlap_spec())), max_body_mb=1, collections=f"{folder}#docs"
    ) as client:
        bad = await client.post("/search", content=raw)
        good = await client.post("/search", json=GOOD)

    error = bad.json()["error"]
    assert (bad.status_code, error["param"]) == (status, param), error
    assert said in error["message"]
    assert good.status_code == 200


LONG = "m" * 1_000_000


@pytest.mark.parametrize("field", ["collection", "rerank", "fusion", "fields", "weights", LONG])
async def test_a_long_value_is_refused_and_not_echoed(serve, folder: Path, field: str) -> None:
    value: object = {"fields": [LONG], "weights": {LONG: 1}}.get(field, LONG)
    async with serve(collections=f"{folder}#docs") as client:
        reply = await client.post("/search", json={**GOOD, field: value})

    assert reply.status_code == 400
    assert len(reply.content) < 1000
