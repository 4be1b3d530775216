"""Totals by caller."""

from dataclasses import replace

import pytest

from embedstack.dialects.dialect import CallerTotals
from embedstack.server.usage import MOST_CALLERS, UsageTotals
from embedstack.testing.fake import HashEncoder
from embedstack.types import Text, Tokenize, Tokenized, Usage


def test_what_a_caller_used_adds_up():
    totals = UsageTotals()
    totals.answered("a", Usage(items=2, tokens=10, run_s=0.5), images=1)
    totals.answered("a", Usage(items=1, tokens=3, run_s=0.25))
    totals.failed("a")

    assert totals.snapshot() == {"a": CallerTotals(requests=3, failures=1, items=3, tokens=13, images=1, seconds=0.75)}


def test_callers_are_apart():
    totals = UsageTotals()
    totals.answered("a", Usage(items=1, tokens=1))
    totals.failed("b")

    assert {name: one.failures for name, one in totals.snapshot().items()} == {"a": 0, "b": 1}


def test_who_was_not_heard_of_for_longest_is_forgotten():
    totals = UsageTotals(most=2)
    for caller in ("a", "b", "a", "c"):
        totals.failed(caller)

    assert list(totals.snapshot()) == ["a", "c"]


def test_invented_callers_take_bounded_memory():
    totals = UsageTotals()
    for number in range(MOST_CALLERS + 10):
        totals.failed(str(number))

    assert len(totals.snapshot()) == MOST_CALLERS


def test_a_snapshot_does_not_change_any_more():
    totals = UsageTotals()
    before = totals.snapshot()
    totals.failed("a")

    assert before == {}


def test_a_caller_sees_only_what_is_its_own():
    totals = UsageTotals()
    totals.failed("a")
    totals.failed("b")

    assert [list(totals.seen_by(caller)) for caller in ("a", "c")] == [["a"], []]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "body"),
    [({"x-embedstack-caller": "team"}, {"user": "u"}), ({}, {"user": "team"})],
    ids=["head", "body"],
)
async def test_answers_and_failures_of_a_caller_are_booked_under_one_name(serve, headers, body):
    async with serve() as client:
        await client.post("/v1/embeddings", json={"input": "a", **body}, headers=headers)
        await client.post("/v1/embeddings", json={"input": "a", "dimensions": 8, **body}, headers=headers)
        late = {"input": "a", **body}
        await client.post("/v1/embeddings", json=late, headers={**headers, "x-embedstack-timeout-s": "1e-9"})
        stats = (await client.get("/api/embeddings/stats", headers={"x-embedstack-caller": "team"})).json()

    (totals,) = stats["data"]["callers"].values()
    assert (totals["requests"], totals["failures"]) == (3, 1)


@pytest.mark.anyio
async def test_without_a_name_the_peer_is_the_caller_of_answers_failures_and_pages(serve):
    async with serve() as client:
        await client.post("/embed", json={"inputs": "a"})
        await client.post("/embed", json={"inputs": []})
        callers = (await client.get("/api/embeddings/stats")).json()["data"]["callers"]

    assert [(name, one["requests"], one["failures"]) for name, one in callers.items()] == [("127.0.0.1", 2, 1)]


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "body"), [("/tokenize", {"inputs": "a b"}), ("/decode", {"ids": [1, 2]})])
async def test_tokens_that_no_model_read_are_not_counted_and_have_no_stages(serve, path, body):
    async with serve() as client:
        reply = await client.post(f"/tei{path}", json=body)
        lines = (await client.get("/metrics")).text.splitlines()
        callers = (await client.get("/api/embeddings/stats")).json()["data"]["callers"]

    of_it = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if f'"/tei{path}"' in line}
    where = f'dialect="tei",route="/tei{path}"'
    stages = [of_it[f'embedstack_stage_seconds_count{{{where},stage="{name}"}}'] for name in ("queue", "inference")]
    assert reply.status_code == 200
    assert of_it[f"embedstack_items_total{{{where}}}"] == 1
    assert of_it[f"embedstack_tokens_total{{{where}}}"] == 0
    assert stages == [0, 0]
    assert callers["127.0.0.1"]["tokens"] == 0


class Misread(HashEncoder):
    """Its tokeniser makes other tokens than its model reads, which is seen when the reply is written."""

    async def tokens(self, request: Tokenize) -> Tokenized:
        return await super().tokens(replace(request, items=(Text("another text"),)))


@pytest.mark.anyio
async def test_tokens_that_were_only_looked_at_are_not_counted_beside_those_that_a_model_read(serve):
    job = {"input": {"action": "embed_tokens", "text": "rain falls"}}
    async with serve() as client:
        alone = await client.post("/tei/embed_all", json={"inputs": "rain falls"})
        reply = await client.post("/runpod/runsync", json=job, headers={"x-embedstack-caller": "job"})
        lines = (await client.get("/metrics")).text.splitlines()
        stats = await client.get("/api/embeddings/stats", headers={"x-embedstack-caller": "job"})

    read = int(alone.headers["x-compute-tokens"])
    assert f'embedstack_tokens_total{{dialect="runpod",route="/runpod/runsync"}} {2 * read}.0' in lines
    assert stats.json()["data"]["callers"]["job"]["tokens"] == 2 * read  # for the states, and for the vector
    assert reply.headers["x-embedstack-model"] == alone.headers["x-embedstack-model"]


@pytest.mark.anyio
async def test_an_answer_that_cannot_be_written_is_one_request_that_failed(serve):
    async with serve(Misread) as client:
        reply = await client.post("/runpod/runsync", json={"input": {"action": "embed_tokens", "text": "rain"}})
        callers = (await client.get("/api/embeddings/stats")).json()["data"]["callers"]

    assert reply.json()["code"] == "unsupported"
    assert [(one["requests"], one["failures"]) for one in callers.values()] == [(1, 1)]
