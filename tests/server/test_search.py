"""POST /search: what is found, who may, what is counted, and what is said where nothing can be found."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from embedstack.databases.database import Collection, Field, Points
from embedstack.databases.opening import open_database
from embedstack.server import create_app
from embedstack.server.served import AT_ONCE
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Encode, Encoded
from support.searched import SPEC, filled
from support.served_collections import TEXTS, fill

pytestmark = pytest.mark.anyio
FIRST, SECOND = hash_spec("first"), hash_spec("second", dim=16, cuts=())
AWAY = "http://127.0.0.1:9"  # the port of the discard service, where nobody listens
KEYS = "alice:alice-0123456789abcdef"
ALICE = {"authorization": "Bearer alice-0123456789abcdef"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collections of two models, one of them with words that are counted; and one that nobody has signed."""
    made = tmp_path_factory.mktemp("search")
    database = open_database(str(made))
    fill(database, "v1", FIRST, bm25=True)
    fill(database, "v2", SECOND)
    database.create(Collection(name="unsigned", fields={"": Field(dim=4)}))
    database.switch("docs", "v1", old=None)
    database.close()
    return made


def encoder() -> HashEncoder:
    return HashEncoder((FIRST, SECOND, overlap_spec()))


@pytest.fixture
def searching(serve, folder):
    """A context manager: a client of a server of these collections, with the settings given by keyword."""

    @asynccontextmanager
    async def opened(open_encoder=encoder, *names: str, **changes: object) -> AsyncIterator[httpx.AsyncClient]:
        text = ", ".join(f"{folder}#{name}" for name in names or ("docs",))
        async with serve(open_encoder, **{"collections": text, **changes}) as client:
            yield client

    return opened


async def asked(client: httpx.AsyncClient, query: object = TEXTS[0], headers=None, **body: object) -> httpx.Response:
    return await client.post("/search", json={"query": query, **body}, headers=headers)


# ------------------------------------------------------------------------------------------------ what is found


async def test_a_query_finds_its_text_by_all_vectors(searching) -> None:
    async with searching() as client:
        found = (await asked(client, limit=2)).json()

    best = found["hits"][0]
    assert (best["id"], best["text"], best["payload"]) == (1, TEXTS[0], {"text": TEXTS[0], "kind": "a", "year": 2000})
    assert best["scores"].keys() == {"dense", "bm25", "fused"}
    assert best["score"] == best["scores"]["fused"]
    assert (len(found["hits"]), found["fields"], found["notes"]) == (2, ["dense", "bm25"], [])
    assert found["took_ms"].keys() == {"embed", "search", "fuse"}
    assert (found["collection"], found["model"], found["space"]) == ("v1", "first", FIRST.space)


async def test_several_queries_give_a_list_in_their_order(searching) -> None:
    async with searching() as client:
        found = (await asked(client, list(TEXTS), limit=1)).json()
        alone = (await asked(client, [TEXTS[1]], limit=1)).json()

    assert [one["hits"][0]["text"] for one in found] == list(TEXTS)
    assert [one["hits"][0]["text"] for one in alone] == [TEXTS[1]]


WISHES: dict[str, tuple[dict[str, object], list[int]]] = {
    "a value": ({"where": {"all": [{"key": "kind", "values": ["two", "five"]}]}}, [2, 5]),
    "not a value": ({"where": {"none": [{"key": "kind", "values": ["a", "two", "five"]}]}}, [3, 4]),
    "a range": ({"where": {"all": [{"key": "year", "least": 2001, "most": 2002}]}}, [2, 3]),
    "a limit": ({"limit": 1}, [1]),
    "one field": ({"fields": ["bm25"]}, [1]),
    "a least score": ({"fields": ["dense"], "least": {"dense": 0.99}}, [1]),
    "words of SQL": ({"where": {"all": [{"key": "kind') OR 1=1 --", "values": ["') OR 1=1 --"]}]}}, []),
    "every point": ({"exact": True, "depth": 100, "limit": 100}, [1, 2, 3, 4, 5]),
}


@pytest.mark.parametrize("name", WISHES)
async def test_a_wish_is_heard(searching, name: str) -> None:
    wish, ids = WISHES[name]
    async with searching() as client:
        found = (await asked(client, **wish)).json()

    assert sorted(hit["id"] for hit in found["hits"]) == ids


async def test_weights_and_fusions_change_the_scores(searching) -> None:
    wishes = [{}, {"rrf_k": 1}, {"weights": {"dense": 3.0}}, {"fusion": "dbsf"}, {"fusion": "weighted"}]
    async with searching() as client:
        scores = [(await asked(client, **wish)).json()["hits"][1]["score"] for wish in wishes]

    assert len(set(scores)) == len(wishes)


async def test_a_reranker_orders_the_first_ones_anew(searching) -> None:
    async with searching() as client:
        reply = await asked(client, "fish fish", limit=1, rerank="overlap", rerank_top=5)

    assert reply.json()["hits"][0]["text"] == "four fish swim"
    assert reply.json()["hits"][0]["score"] == reply.json()["hits"][0]["scores"]["rerank"]
    assert reply.headers["x-embedstack-model"] == "first, overlap"


async def test_a_vector_of_tokens_orders_the_first_ones_anew(serve, tmp_path) -> None:
    with closing(open_database(str(tmp_path))) as database:
        await asyncio.to_thread(filled, database, fields=("dense", "bm25", "late"))  # it has a loop of its own
    async with serve(lambda: HashEncoder((SPEC,)), collections=f"{tmp_path}#docs") as client:
        by_tokens, alone = [
            (await asked(client, "panda river", limit=40, depth=40, **wish)).json()
            for wish in ({"rerank": "late", "rerank_top": 40}, {"fields": ["late"]})
        ]
        refused = await asked(client, "panda", rerank="dense")

    assert by_tokens["fields"] == ["dense", "bm25"]
    assert [hit["score"] for hit in by_tokens["hits"]] == [hit["score"] for hit in alone["hits"]]
    assert (refused.status_code, "only multi vectors rerank" in refused.text) == (400, True)


async def test_the_model_of_a_vector_that_reranks_is_missed_as_that_of_one_that_is_asked(serve, tmp_path) -> None:
    with closing(open_database(str(tmp_path))) as database:
        await asyncio.to_thread(filled, database, fields=("bm25", "late"))
    async with serve(lambda: HashEncoder((hash_spec("other"),)), collections=f"{tmp_path}#docs") as client:
        replies = [
            await asked(client, "panda", **wish)
            for wish in ({"fields": ["late"]}, {"fields": ["bm25"], "rerank": "late"})
        ]

    assert [reply.status_code for reply in replies] == [503, 503]
    assert replies[0].json() == replies[1].json()


async def test_words_that_are_counted_need_no_model(searching) -> None:
    async with searching() as client:
        reply = await asked(client, "dogs", fields=["bm25"])

    assert [hit["id"] for hit in reply.json()["hits"]] == [2]
    assert reply.json()["model"] == reply.headers["x-embedstack-model"] == "bm25-en"


async def test_several_collections_are_asked_by_their_names(searching) -> None:
    async with searching(encoder, "docs", "v2") as client:
        found = [(await asked(client, collection=name)).json() for name in ("docs", "v2")]

    assert [(one["collection"], one["model"]) for one in found] == [("v1", "first"), ("v2", "second")]


async def test_the_reply_says_whose_vectors_they_are_and_what_was_cut(searching) -> None:
    async with searching() as client:
        reply = await asked(client, ["cat " * 300, "dog"])

    told = {name.removeprefix("x-embedstack-"): value for name, value in reply.headers.items()}
    assert (told["model"], told["space"], told["fingerprint"]) == ("first", FIRST.space, FIRST.fingerprint("float32"))
    assert (told["truncated"], told["dropped-tokens"]) == ("1", "44")
    assert "inference;dur=" in told["server-timing"]


async def test_a_text_over_the_limit_is_refused_where_the_settings_say_so(searching) -> None:
    async with searching(truncate="refuse") as client:
        reply = await asked(client, "cat " * 300)

    assert reply.status_code == 400
    assert "has 300 tokens, the limit is 256" in reply.json()["error"]["message"]


async def test_a_long_document_is_cut_for_the_reranker_whatever_is_done_to_long_queries(serve, tmp_path) -> None:
    database = open_database(str(tmp_path))
    fill(database, "docs", FIRST, texts=["cat " * 300])
    async with serve(encoder, truncate="refuse", collections=f"{tmp_path}#docs") as client:
        reply = await asked(client, "cat", rerank="overlap")

    assert reply.status_code == 200
    assert reply.headers["x-embedstack-truncated"] == "0, 1"


async def test_a_payload_comes_as_it_is_also_with_numbers_over_64_bits(serve, tmp_path) -> None:
    database = open_database(str(tmp_path))
    fill(database, "docs", FIRST, texts=["a cat"])
    payload = {"many": 2**70, "deep": {"list": [1, None, "é"]}, "text": 5}
    vectors = database.get("docs", [1], vectors=[""])[0].vectors[""]
    database.write("docs", Points(ids=[1], vectors={"": vectors[None]}, payloads=[payload]))
    async with serve(encoder, collections=f"{tmp_path}#docs") as client:
        (hit,) = (await asked(client, "a cat")).json()["hits"]

    assert (hit["payload"], hit["text"]) == (payload, None)


# ------------------------------------------------------------------------------------------------ what is not there


async def test_another_name_is_told_those_that_are_served(searching) -> None:
    async with searching(encoder, "docs", "v2") as client:
        unknown, unnamed = await asked(client, collection="v1"), await asked(client)

    assert (unknown.status_code, unnamed.status_code) == (404, 400)
    assert "'v1' is not served here; served: docs, v2" in unknown.json()["error"]["message"]
    assert unnamed.json()["error"]["param"] == "collection"


async def test_a_collection_that_is_not_in_its_database_is_a_404(searching) -> None:
    async with searching(encoder, "later") as client:
        reply = await asked(client)

    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_collection")
    assert "v1" not in reply.text


async def test_without_collections_it_is_said_how_to_serve_one(serve) -> None:
    async with serve() as client:
        reply = await asked(client)

    assert reply.status_code == 404
    assert "--collections" in reply.json()["error"]["message"]


async def test_vectors_that_nobody_has_signed_are_not_asked(searching) -> None:
    async with searching(encoder, "unsigned") as client:
        reply = await asked(client)

    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "mismatch")
    assert "nobody has signed" in reply.json()["error"]["message"]


async def test_a_model_of_that_name_and_another_space_is_a_409_with_both(searching) -> None:
    changed = hash_spec("other")
    renamed = type(changed)(
        **{**{name: getattr(changed, name) for name in changed.__dataclass_fields__}, "name": "first"}
    )
    async with searching(lambda: HashEncoder((renamed,))) as client:
        reply = await asked(client)

    assert reply.status_code == 409
    assert all(space[:12] in reply.json()["error"]["message"] for space in (FIRST.space, changed.space))


async def test_a_model_that_is_not_served_is_a_503_that_says_what_to_serve(searching) -> None:
    async with searching(lambda: HashEncoder((SECOND,))) as client:
        reply, counted = await asked(client), await asked(client, "dogs", fields=["bm25"])

    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert "'first'" in reply.json()["error"]["message"]
    assert "--models" in reply.json()["error"]["message"]
    assert counted.status_code == 200


@pytest.mark.slow
async def test_a_database_that_is_away_is_a_503_and_the_server_stays_ready(serve, caplog) -> None:
    with caplog.at_level(logging.WARNING, "embedstack.server"):
        async with serve(encoder, collections=f"{AWAY}#docs") as client:
            reply, ready = await asked(client), await client.get("/ready")

    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
    assert "the database of 'docs' does not answer" in reply.json()["error"]["message"]
    assert "127.0.0.1" not in reply.text
    assert "127.0.0.1" in caplog.text
    assert ready.status_code == 200


async def test_a_reranker_that_is_not_served_is_named(searching) -> None:
    async with searching() as client:
        reply = await asked(client, rerank="nobody")

    assert reply.status_code == 404
    assert "'nobody' is not served" in reply.json()["error"]["message"]


async def test_while_the_model_loads_a_search_is_told_so(serve, folder) -> None:
    release = threading.Event()
    async with serve(lambda: release.wait() and encoder(), wait=False, collections=f"{folder}#docs") as client:
        reply = await asked(client)
        release.set()

    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")


# ------------------------------------------------------------------------------------------------ who, and how long


class Recorder(HashEncoder):
    """Keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__((FIRST,))
        self.asked: list[Encode] = []

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append(request)
        return await super().encode(request)


async def test_a_key_is_needed_where_the_server_has_keys(searching) -> None:
    async with searching(api_keys=KEYS) as client:
        replies = [await asked(client), await asked(client, headers=ALICE)]

    assert [reply.status_code for reply in replies] == [401, 200]
    assert replies[0].headers["www-authenticate"] == "Bearer"


async def test_the_encoder_hears_who_searches_and_how_urgently(searching) -> None:
    recorder = Recorder()
    headers = {**ALICE, "x-embedstack-caller": "bob", "x-embedstack-priority": "bulk", "x-embedstack-timeout-s": "60"}
    async with searching(lambda: recorder, api_keys=KEYS) as client:
        await asked(client, headers=headers)

    (request,) = recorder.asked
    assert (request.caller, request.priority, request.items[0].role) == ("alice", "bulk", "query")
    assert request.deadline is not None


async def test_searches_are_in_the_totals_of_their_caller(searching) -> None:
    async with searching(api_keys=KEYS) as client:
        await asked(client, ["a b", "c"], headers=ALICE)
        await asked(client, "x", headers=ALICE, fields=["bm25"])
        await asked(client, "", headers=ALICE)
        stats = (await client.get("/api/embeddings/stats", headers=ALICE)).json()["data"]["callers"]["alice"]

    assert (stats["requests"], stats["failures"], stats["tokens"]) == (3, 1, 3)


async def test_a_deadline_that_passes_is_a_504(searching) -> None:
    async with searching(lambda: HashEncoder((FIRST,), run_s=5)) as client:
        reply = await asked(client, headers={"x-embedstack-timeout-s": "0.05"})

    assert reply.status_code == 504


class Busy(HashEncoder):
    """Counts how many it answers at once."""

    def __init__(self) -> None:
        super().__init__((FIRST,), run_s=0.001)
        self.now = self.most = 0

    async def encode(self, request: Encode) -> Encoded:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().encode(request)
        finally:
            self.now -= 1


@pytest.mark.slow
async def test_so_many_searches_run_in_a_database_at_once_and_the_others_wait(searching) -> None:
    busy = Busy()
    async with searching(lambda: busy) as client:
        replies = await asyncio.gather(*(asked(client, ["a", "b", "c", "d"], limit=1) for _ in range(AT_ONCE)))

    assert {reply.status_code for reply in replies} == {200}
    assert 1 < busy.most <= AT_ONCE


class Held(HashEncoder):
    """Begins and never ends."""

    def __init__(self) -> None:
        super().__init__((FIRST,))
        self.began, self.dropped = asyncio.Event(), asyncio.Event()

    async def encode(self, request: Encode) -> Encoded:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.dropped.set()
        raise AssertionError


async def test_a_caller_who_hangs_up_cancels_the_search(folder) -> None:
    held, opened = Held(), asyncio.Event()
    loop = asyncio.get_running_loop()
    app = create_app(
        lambda: held,
        Settings(collections=f"{folder}#docs"),
        on_settled=lambda error: loop.call_soon_threadsafe(opened.set),
    )
    body = iter([{"type": "http.request", "body": json.dumps({"query": ["a", "b"]}).encode()}])

    async def receive():
        message = next(body, None)
        if message is None:
            await held.began.wait()
            return {"type": "http.disconnect"}
        return message

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/search", "headers": [], "query_string": b"", "root_path": ""}
    async with app.router.lifespan_context(app):
        await opened.wait()
        await app(scope, receive, send)
        await held.dropped.wait()

    assert sent[0]["status"] == 499


# ------------------------------------------------------------------------------------------------ what is seen of it


async def test_searches_are_counted_by_collection_and_outcome(searching) -> None:
    async with searching() as client:
        await asked(client)
        await asked(client, fields=["nothing"])
        await asked(client, collection="nowhere")
        lines = (await client.get("/metrics")).text.splitlines()

    for collection, outcome in (("docs", "ok"), ("docs", "bad_request"), ("(none)", "unknown_collection")):
        of_it = f'{{collection="{collection}",outcome="{outcome}"}}'
        assert f"embedstack_searches_total{of_it} 1.0" in lines
        assert f"embedstack_search_seconds_count{of_it} 1.0" in lines
    where = 'dialect="server",route="/search"'
    assert f'embedstack_requests_total{{{where},status="200"}} 1.0' in lines
    assert f"embedstack_tokens_total{{{where}}} 3.0" in lines


async def test_a_search_is_a_span_with_its_stages_below_it(searching, monkeypatch) -> None:
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    in_memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from embedstack.server.tracing import recorder

    exporter = in_memory.InMemorySpanExporter()
    made = recorder(export.SimpleSpanProcessor(exporter))
    monkeypatch.setattr("embedstack.server.front.recorder", lambda: made)
    async with searching(traces=True) as client:
        await asked(client, "a secret text")

    spans = {span.name: span for span in exporter.get_finished_spans()}
    root = spans.pop("POST /search")
    assert spans.keys() == {"embed", "search", "fuse"}
    assert (root.attributes["db.operation.name"], root.attributes["db.collection.name"]) == ("search", "v1")
    assert root.attributes["embedstack.model"] == "first"
    assert "secret" not in str(root.to_json())


async def test_nothing_of_a_query_or_a_payload_is_in_the_log(searching, caplog) -> None:
    with caplog.at_level(logging.DEBUG, "embedstack.server"):
        async with searching() as client:
            await asked(client, "what nobody may read", headers={"x-request-id": "r-1"})
            await asked(client, "what nobody may read", fields=["what nobody may read"])

    assert "id=r-1 method=POST route=/search dialect=server status=200" in caplog.text
    assert "what nobody may read" not in caplog.text
    assert TEXTS[0] not in caplog.text


@pytest.mark.slow
async def test_a_password_is_in_no_page_and_no_log(serve, caplog) -> None:
    url = "postgresql://me:s3cret@127.0.0.1:9/db?connect_timeout=1"
    with caplog.at_level(logging.DEBUG):
        async with serve(encoder, collections=f"{url}#docs") as client:
            replies = [await asked(client), await client.get("/collections"), await client.get("/docs")]

    assert [reply.status_code for reply in replies] == [503, 200, 200]
    assert "s3cret" not in "".join(reply.text for reply in replies)
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(Settings(collections=url))


async def test_a_wrong_method_names_the_right_one(serve) -> None:
    async with serve() as client:
        replies = [await client.get("/search"), await client.post("/collections"), await client.post("/searches")]

    assert [(reply.status_code, reply.headers.get("allow")) for reply in replies[:2]] == [
        (405, "POST"),
        (405, "GET, HEAD"),
    ]
    assert "the nearest is POST /search" in replies[2].json()["error"]["message"]
