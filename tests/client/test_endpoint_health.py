"""How an endpoint is, by its own health page: whether it would answer, whether at once, and why not."""

import asyncio

import pytest
from platform_stub import KEY, Platform, client_of

from embedstack.client import Client
from embedstack.client.health import Health
from embedstack.errors import NotReady
from embedstack.testing.fake import HashEncoder

WORKERS = {"idle": 0, "initializing": 0, "ready": 0, "running": 0, "throttled": 0, "unhealthy": 0}


def health_of(url: str, **options) -> Health:
    async def run() -> Health:
        async with Client(url, **options) as client:
            return await client.health()

    return asyncio.run(run())


def health_with(queued: int = 0, **workers: int) -> Health:
    """Of an endpoint of jobs."""
    page = {"jobs": {"inQueue": queued, "completed": 1}, "workers": {**WORKERS, **workers}}

    async def run() -> Health:
        async with client_of(Platform(health=page)) as client:
            return await client.health()

    return asyncio.run(run())


@pytest.mark.parametrize("dialect", ["openai", "tei", "infinity", "model-worker", "ml-service", "rag-stack", "kriptik"])
def test_our_own_server_is_ready(ours, dialect):
    health = health_of(ours, dialect=dialect)

    assert (health.is_ready, health.is_warm, health.reason) == (True, True, "")


def test_a_server_without_models_says_why_it_is_not_ready(serve):
    def broken() -> HashEncoder:
        raise NotReady("the weights are on their way")

    with serve(broken) as url:
        health = health_of(url, dialect="tei")

    assert not health.is_ready
    assert "the weights are on their way" in health.reason


@pytest.mark.parametrize(
    ("workers", "is_ready", "is_warm", "said"),
    [
        ({"idle": 1}, True, True, ""),
        ({"running": 2, "unhealthy": 1}, True, True, ""),
        ({"ready": 1}, True, True, ""),
        ({}, True, False, "no worker runs; the first job starts one"),
        ({"initializing": 1, "throttled": 1}, True, False, "a worker starts"),
        ({"throttled": 2}, False, False, "wait for a machine (2 throttled)"),
        ({"unhealthy": 1, "throttled": 2}, False, False, "unhealthy (1)"),
    ],
)
def test_workers_say_whether_a_job_is_worth_sending(workers, is_ready, is_warm, said):
    health = health_with(**workers)

    assert (health.is_ready, health.is_warm) == (is_ready, is_warm)
    assert said in health.reason


def test_workers_and_waiting_jobs_are_counted():
    health = health_with(queued=3, idle=1, running=2)

    assert (health.ready_workers, health.queued_jobs) == (3, 3)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (401, "check the key"),
        ((404, {}, b'{"error":"endpoint not found"}'), "endpoint not found"),
        ((404, {}, b""), "404 Not Found"),
        ((404, {}, b"<html>no such page</html>"), "404 Not Found"),
        (500, "500"),
        ("lost", "is it running"),
    ],
    ids=str,
)
def test_an_endpoint_of_jobs_that_gives_no_page_is_not_ready(fault, said):
    async def run() -> Health:
        async with client_of(Platform(faults={"health": [fault]})) as client:
            return await client.health()

    health = asyncio.run(run())
    assert not health.is_ready
    assert said in health.reason


def test_nobody_listening_is_not_ready_and_no_error():
    health = health_of("http://127.0.0.1:9")

    assert not health.is_ready
    assert "is it running" in health.reason


def test_a_server_without_such_a_page_is_taken_to_be_there(tell):
    assert health_of(tell((404, {})).url, dialect="rag-stack").is_ready


def test_our_own_server_of_jobs_is_there_under_its_prefix_too(ours):
    assert health_of(f"{ours}/runpod/runsync").is_ready


def test_a_worker_that_is_tried_alone_with_runpods_own_server_is_there():
    lost = (404, {}, b'{"detail":"Not Found"}')

    async def run() -> Health:
        async with client_of(Platform(faults={"health": [lost]})) as client:
            return await client.health()

    assert asyncio.run(run()).is_ready


def test_a_page_that_says_not_ready_with_status_200_is_believed(tell):
    health = health_of(tell({"ready": False, "message": "models are loading"}).url, dialect="ml-service")

    assert (health.is_ready, health.reason) == (False, "models are loading")


@pytest.mark.parametrize("dialect", ["cohere", "jina", "huggingface"])
def test_where_there_is_no_page_nobody_is_asked(dialect):
    health = health_of("http://127.0.0.1:9", dialect=dialect)

    assert health.is_ready
    assert "no health page" in health.reason


def test_a_key_that_is_echoed_is_masked(tell):
    health = health_of(tell((401, {"error": {"message": f"bad key {KEY}"}})).url, key=KEY)

    assert "bad key ***" in health.reason


def test_the_page_is_asked_for_once_and_with_the_key():
    platform = Platform(health={"workers": WORKERS}, faults={"health": [500]}, is_stuck=True)

    async def run() -> None:
        async with client_of(platform) as client:
            await client.health()

    asyncio.run(run())
    (seen,) = platform.seen
    assert (seen.path, seen.headers["authorization"]) == ("/v2/abc/health", f"Bearer {KEY}")
