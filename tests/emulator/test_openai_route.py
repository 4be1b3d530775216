"""OpenAI's paths on a queue: a request becomes a job, and what its worker says becomes the reply."""

import pytest

from embedstack.emulator.openai_routes import first_of
from support.emulating import Rig, rig

pytestmark = pytest.mark.anyio
ASKED = {"model": "m", "input": ["a"]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def taken(here: Rig) -> dict[str, object]:
    job = (await here.client.get("/job-take/w")).json()
    assert isinstance(job, dict)
    return job


async def test_the_path_and_the_body_become_the_input() -> None:
    async with rig() as here:
        await here.begin("POST", "/openai/v1/embeddings", json=ASKED)
        job = await taken(here)

    assert job["input"] == {"openai_route": "/v1/embeddings", "openai_input": ASKED}


async def test_a_get_has_an_empty_input() -> None:
    async with rig() as here:
        await here.begin("GET", "/openai/v1/models")
        job = await taken(here)

    assert job["input"] == {"openai_route": "/v1/models", "openai_input": {}}


@pytest.mark.parametrize("output", [b'{"output": [{"object": "list"}]}', b'{"output": {"object": "list"}}'])
async def test_the_reply_is_the_first_of_a_list_or_the_object_itself(output: bytes) -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/openai/v1/embeddings", json=ASKED)
        job = await taken(here)
        await here.finish(str(job["id"]), output)
        reply = await waiting

    assert (reply.status_code, reply.json()) == (200, {"object": "list"})


async def test_a_generator_that_does_not_collect_is_answered_by_its_first_chunk() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/openai/v1/embeddings", json=ASKED)
        job_id = (await taken(here))["id"]
        await here.client.post(f"/job-stream/w/{job_id}?isStream=false", content=b'{"output": {"object": "list"}}')
        await here.finish(str(job_id), b'{"output": []}')

        assert (await waiting).json() == {"object": "list"}


def test_an_output_that_is_nothing_is_null() -> None:
    assert [first_of(None, []), first_of(b"[]", [])] == [b"null", b"null"]


async def test_a_job_that_failed_is_an_error_with_what_the_worker_said() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/openai/v1/embeddings", json=ASKED)
        job = await taken(here)
        await here.finish(str(job["id"]), b'{"error": "no such model"}')
        reply = await waiting

    assert (reply.status_code, reply.json()) == (500, {"error": "no such model"})


async def test_the_edge_does_not_wait_for_ever() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/openai/v1/embeddings", json=ASKED)
        here.clock.advance(101)

        assert (await waiting).status_code == 524


DEEP = b'{"input": %b%b}' % (b"[" * 100_000, b"]" * 100_000)


@pytest.mark.parametrize("body", [b"not json", b"[1]", DEEP], ids=["no JSON", "a list", "deeper than can be read"])
async def test_a_body_that_is_no_object_is_400(body: bytes) -> None:
    async with rig() as here:
        assert (await here.client.post("/openai/v1/embeddings", content=body)).status_code == 400


async def test_a_stream_is_events_that_end_with_done() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/openai/v1/completions", json={"stream": True})
        job_id = (await taken(here))["id"]
        for chunk in (b'{"text": "a"}', b'"data: {\\"text\\": \\"b\\"}\\n\\n"', b'"data: [DONE]\\n\\n"'):
            await here.client.post(f"/job-stream/w/{job_id}?isStream=false", content=b'{"output": %b}' % chunk)
        await here.finish(str(job_id), b'{"output": []}')
        reply = await waiting

    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.text == 'data: {"text": "a"}\n\ndata: {"text": "b"}\n\ndata: [DONE]\n\n'


async def test_a_worker_that_does_not_stream_is_one_event() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/openai/v1/completions", json={"stream": True})
        job = await taken(here)
        await here.finish(str(job["id"]), b'{"output": [{"text": "a"}]}')

        assert (await waiting).text == 'data: {"text": "a"}\n\ndata: [DONE]\n\n'


async def test_a_stream_that_fails_ends_with_the_error() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/openai/v1/completions", json={"stream": True})
        job = await taken(here)
        await here.finish(str(job["id"]), b'{"error": "no"}')

        assert (await waiting).text == 'data: {"error":"no"}\n\n'
