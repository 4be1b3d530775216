"""An alias that is switched while it is asked: query and vectors are of one model, and the reply says which."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from embedstack.databases.database import Database
from embedstack.databases.opening import open_database
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Encode, Encoded
from support.served_collections import fill

pytestmark = pytest.mark.anyio
FIRST, SECOND = hash_spec("first"), hash_spec("second", dim=16, cuts=())
MODELS = {"v1": "first", "v2": "second"}
WIDTHS = {"first": 32, "second": 16}
QUERY = {"query": "a cat sleeps", "limit": 1}
ROUNDS, ASKERS = 20, 4


class Clock:
    """Seconds, moved by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Two collections; each text says in which it is."""
    made = open_database(str(tmp_path))
    fill(made, "v1", FIRST, texts=["a cat sleeps in v1", "dogs bark in v1"])
    fill(made, "v2", SECOND, texts=["a cat sleeps in v2", "dogs bark in v2"])
    made.switch("docs", "v1", old=None)
    yield made
    made.close()


def encoder(run_s: float = 0.0) -> HashEncoder:
    return HashEncoder((FIRST, SECOND, overlap_spec()), run_s=run_s)


async def embedded(client: httpx.AsyncClient, model: str = "docs") -> tuple[str, int]:
    """Who answered, and how wide the vector is."""
    reply = await client.post("/v1/embeddings", json={"model": model, "input": "a cat"})
    assert reply.status_code == 200, reply.text
    assert reply.json()["model"] == reply.headers["x-embedstack-model"]
    return reply.headers["x-embedstack-model"], len(reply.json()["data"][0]["embedding"])


async def test_with_the_alias_flips_the_embedder_of_every_route(serve, database: Database, tmp_path: Path) -> None:
    clock = Clock()
    routes = {
        "/v1/embeddings": {"model": "docs", "input": "a"},
        "/tei/embed": {"model": "docs", "inputs": "a"},
        "/infinity/embeddings": {"model": "docs", "input": ["a"]},
        "/cohere/v2/embed": {"model": "docs", "texts": ["a"], "input_type": "search_query"},
        "/jina/v1/embeddings": {"model": "docs", "input": ["a"], "task": "retrieval.query"},
        "/openai/v1/embeddings": {"model": "docs", "input": "a"},
        "/runsync": {"input": {"model": "docs", "input": "a"}},
        "/tei/tokenize": {"model": "docs", "inputs": "a"},
    }
    told: dict[str, list[str]] = {path: [] for path in routes}
    async with serve(encoder, clock=clock, collections=f"{tmp_path}#docs") as client:
        for old, new in (("v1", "v2"), ("v2", "v1")):
            for path, body in routes.items():
                told[path].append((await client.post(path, json=body)).headers["x-embedstack-model"])
            database.switch("docs", new, old=old)
            clock.now_s += 5

    assert told == {path: ["first", "second"] for path in routes}


async def test_a_page_about_the_name_shows_the_model_that_it_stands_for(
    serve, database: Database, tmp_path: Path
) -> None:
    clock = Clock()
    async with serve(encoder, clock=clock, collections=f"{tmp_path}#docs") as client:
        pages = [(await client.get("/openai/v1/models/docs")).json()["id"]]
        database.switch("docs", "v2", old="v1")
        clock.now_s += 5
        pages.append((await client.get("/openai/v1/models/docs")).json()["id"])

    assert pages == ["first", "second"]


async def test_a_collection_that_is_dropped_behind_the_switch_is_missed_by_nobody(
    serve, database: Database, tmp_path: Path
) -> None:
    async with serve(encoder, clock=Clock(), collections=f"{tmp_path}#docs") as client:
        before = (await client.post("/search", json=QUERY)).json()["collection"]
        database.switch("docs", "v2", old="v1")
        database.drop("v1")
        after = await client.post("/search", json=QUERY)

    assert (before, after.status_code) == ("v1", 200)
    assert (after.json()["collection"], after.json()["model"]) == ("v2", "second")


async def test_one_that_is_loaded_again_with_another_model_is_noticed(
    serve, database: Database, tmp_path: Path
) -> None:
    async with serve(encoder, clock=Clock(), collections=f"{tmp_path}#v1") as client:
        await client.post("/search", json=QUERY)
        database.drop("v1")
        fill(database, "v1", SECOND)
        reply = await client.post("/search", json=QUERY)

    assert (reply.status_code, reply.json()["model"]) == (200, "second")


@pytest.mark.slow
async def test_during_switches_no_answer_is_mixed_and_none_fails(serve, database: Database, tmp_path: Path) -> None:
    ticks = itertools.count(0, 5)  # every look is the last one's fifth second
    is_over = asyncio.Event()
    found: list[tuple[str, str, str]] = []
    vectors: list[tuple[str, int]] = []

    async def searching(client: httpx.AsyncClient) -> None:
        while not is_over.is_set():
            reply = await client.post("/search", json={**QUERY, "query": [QUERY["query"], "dogs bark"]})
            assert reply.status_code == 200, reply.text
            for one in reply.json():
                assert reply.headers["x-embedstack-model"] == one["model"]
                found.append((one["collection"], one["model"], one["hits"][0]["text"].split()[-1]))

    async def embedding(client: httpx.AsyncClient) -> None:
        while not is_over.is_set():
            vectors.append(await embedded(client))

    async def switching() -> None:
        for old, new in itertools.islice(itertools.cycle((("v1", "v2"), ("v2", "v1"))), ROUNDS):
            so_far = len(found)
            await asyncio.to_thread(database.switch, "docs", new, old=old)
            while len(found) < so_far + 2 * ASKERS:
                await asyncio.sleep(0)
        is_over.set()

    async with serve(lambda: encoder(0.001), clock=lambda: next(ticks), collections=f"{tmp_path}#docs") as client:
        await asyncio.gather(switching(), *(ask(client) for ask in (searching, embedding) for _ in range(ASKERS)))

    assert {collection for collection, _, _ in found} == {"v1", "v2"}
    assert [one for one in found if one[1] != MODELS[one[0]] or one[2] != one[0]] == []
    assert {model for model, _ in vectors} == {"first", "second"}
    assert [one for one in vectors if one[1] != WIDTHS[one[0]]] == []


class Gated(HashEncoder):
    """Begins, and answers when it is let."""

    def __init__(self) -> None:
        super().__init__((FIRST, SECOND))
        self.began, self.let = asyncio.Event(), asyncio.Event()

    async def encode(self, request: Encode) -> Encoded:
        self.began.set()
        await self.let.wait()
        return await super().encode(request)


ASKED: dict[str, tuple[dict[str, object], Callable[[httpx.Response], str]]] = {
    "/search": ({"query": "a cat sleeps in v1", "limit": 1}, lambda reply: reply.json()["hits"][0]["text"]),
    "/v1/embeddings": ({"model": "docs", "input": "a"}, lambda reply: str(len(reply.json()["data"][0]["embedding"]))),
}
BEGUN = {"/search": "a cat sleeps in v1", "/v1/embeddings": "32"}


@pytest.mark.parametrize("path", ASKED)
async def test_what_began_before_the_switch_ends_with_the_model_with_which_it_began(
    serve, database: Database, tmp_path: Path, path: str
) -> None:
    gated, clock = Gated(), Clock()
    body, shown = ASKED[path]
    async with serve(lambda: gated, clock=clock, collections=f"{tmp_path}#docs") as client:
        begun = asyncio.ensure_future(client.post(path, json=body))
        await gated.began.wait()
        database.switch("docs", "v2", old="v1")
        clock.now_s += 60
        gated.let.set()
        reply, later = await begun, await client.post(path, json=body)

    assert [one.headers["x-embedstack-model"] for one in (reply, later)] == ["first", "second"]
    assert shown(reply) == BEGUN[path]
