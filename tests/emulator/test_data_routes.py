"""What an endpoint's clients see, route by route, as RunPod's own pages show it."""

import json

import pytest

from embedstack.emulator.limits import MIB, Limits, Rate
from embedstack.emulator.unknowns import Unknowns
from support.emulating import KEY, rig, turn

pytestmark = pytest.mark.anyio

DEEP = 100_000  # levels of JSON


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# ------------------------------------------------------------------------------------------------ run and status


async def test_run_answers_at_once_with_an_id_and_in_queue() -> None:
    async with rig() as here:
        reply = await here.client.post("/run", json={"input": {"texts": ["a"]}})

    assert (reply.status_code, set(reply.json()), reply.json()["status"]) == (200, {"id", "status"}, "IN_QUEUE")
    assert reply.json()["id"].endswith("-u1")


async def test_the_status_of_a_job_that_waits_has_no_more_than_that() -> None:
    async with rig() as here:
        job_id = await here.submit()

        assert await here.status(job_id) == {"id": job_id, "status": "IN_QUEUE"}


async def test_the_status_of_a_job_that_runs_says_who_has_it_and_how_long_it_waited() -> None:
    async with rig() as here:
        job_id = await here.submit()
        here.clock.advance(2.188)
        await here.take()

        assert await here.status(job_id) == {
            "id": job_id,
            "status": "IN_PROGRESS",
            "delayTime": 2188,
            "workerId": "w",
        }


async def test_the_status_of_a_finished_job_has_what_the_docs_show() -> None:
    async with rig() as here:
        job_id = await here.submit()
        here.clock.advance(2.188)
        await here.take()
        here.clock.advance(1.234)
        await here.finish(job_id, b'{"output": {"dim": 384}}')

        assert await here.status(job_id) == {
            "id": job_id,
            "status": "COMPLETED",
            "delayTime": 2188,
            "executionTime": 1234,
            "workerId": "w",
            "output": {"dim": 384},
            "retries": 0,
        }


async def test_a_job_without_output_has_no_output_key() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id, b"{}")
        shown = await here.status(job_id)

    assert (shown["status"], "output" in shown) == ("COMPLETED", False)


async def test_the_error_of_a_failed_job_is_passed_on_whatever_json_it_is() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id, b'{"error": {"code": 7}}')
        shown = await here.status(job_id)

    assert (shown["status"], shown["error"]) == ("FAILED", {"code": 7})


async def test_status_is_also_answered_to_a_post() -> None:
    async with rig() as here:
        job_id = await here.submit()

        assert (await here.client.post(f"/status/{job_id}")).json()["id"] == job_id


async def test_a_job_that_nobody_knows_is_404() -> None:
    async with rig() as here:
        replies = [
            await here.client.request(method, path)
            for method, path in [
                ("GET", "/status/x"),
                ("GET", "/stream/x"),
                ("GET", "/status-sync/x"),
                ("POST", "/cancel/x"),
                ("POST", "/retry/x"),
            ]
        ]

    assert {reply.status_code for reply in replies} == {404}


async def test_a_result_is_gone_after_half_an_hour() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id)
        here.clock.advance(1801)

        assert (await here.client.get(f"/status/{job_id}")).status_code == 404


async def test_a_status_with_a_ttl_decides_how_long_the_result_is_kept() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id)
        await here.client.get(f"/status/{job_id}?ttl=6000")
        here.clock.advance(7)

        assert (await here.client.get(f"/status/{job_id}")).status_code == 404


# ------------------------------------------------------------------------------------------------ runsync


async def test_runsync_answers_with_the_result_when_it_comes() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/runsync", json={"input": {}})
        job_id = await here.take()
        await here.finish(job_id)
        reply = (await waiting).json()

    assert job_id.startswith("sync-")
    assert (reply["id"], reply["status"], reply["output"]) == (job_id, "COMPLETED", "vectors")


@pytest.mark.parametrize(("query", "wait_s"), [("", 90), ("?wait=5000", 5), ("?wait=10", 1)])
async def test_runsync_says_how_the_job_stands_when_the_wait_is_over(query: str, wait_s: float) -> None:
    async with rig() as here:
        waiting = await here.begin("POST", f"/runsync{query}", json={"input": {}})
        here.clock.advance(wait_s - 0.1)
        await turn()
        before = waiting.done()
        here.clock.advance(0.2)
        reply = (await waiting).json()

    assert (before, reply["status"], set(reply)) == (False, "IN_QUEUE", {"id", "status"})


async def test_the_edge_cuts_off_a_wait_that_is_longer_than_it_has_patience() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/runsync?wait=300000", json={"input": {}})
        here.clock.advance(101)
        reply = await waiting

    assert (reply.status_code, reply.headers["content-type"].startswith("text/html")) == (524, True)


async def test_the_result_of_runsync_is_kept_a_minute() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/runsync", json={"input": {}})
        job_id = await here.take()
        await here.finish(job_id)
        await waiting
        here.clock.advance(59)
        before = await here.client.get(f"/status/{job_id}")
        here.clock.advance(2)

        assert (before.status_code, (await here.client.get(f"/status/{job_id}")).status_code) == (200, 404)


async def test_a_job_that_expires_while_somebody_waits_for_it_is_404() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/runsync", json={"input": {}, "policy": {"ttl": 10_000}})
        here.clock.advance(11)

        assert (await waiting).status_code == 404


async def test_a_wait_for_a_job_ends_when_its_endpoint_is_removed() -> None:
    async with rig() as here:
        waiting = await here.begin("POST", "/runsync", json={"input": {}})
        here.platform.remove_endpoint("ep")

        assert (await waiting).json()["status"] == "IN_QUEUE"


# ------------------------------------------------------------------------------------------------ stream


async def test_a_stream_gives_each_chunk_once_and_ends_with_the_state() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        for chunk in (b"1", b'"two"'):
            await here.client.post(f"/job-stream/w/{job_id}?isStream=false", content=b'{"output": %b}' % chunk)
        first = (await here.client.get(f"/stream/{job_id}")).json()
        await here.finish(job_id, b'{"output": []}')
        last = (await here.client.get(f"/stream/{job_id}")).json()

    assert first == {"status": "IN_PROGRESS", "stream": [{"output": 1}, {"output": "two"}]}
    assert last == {"status": "COMPLETED", "stream": []}


async def test_a_stream_waits_for_the_next_chunk() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        waiting = await here.begin("GET", f"/stream/{job_id}")
        before = waiting.done()
        await here.client.post(f"/job-stream/w/{job_id}?isStream=false", content=b'{"output": 1}')

        assert (before, (await waiting).json()["stream"]) == (False, [{"output": 1}])


async def test_a_stream_waits_less_than_the_ten_seconds_of_the_sdk() -> None:
    async with rig() as here:
        job_id = await here.submit()
        waiting = await here.begin("GET", f"/stream/{job_id}?wait=60000")
        here.clock.advance(9.1)

        assert (await waiting).json() == {"status": "IN_QUEUE", "stream": []}


# ------------------------------------------------------------------------------------------------ the rest


async def test_cancel_says_so() -> None:
    async with rig() as here:
        job_id = await here.submit()
        reply = (await here.client.post(f"/cancel/{job_id}")).json()

    assert reply == {"id": job_id, "status": "CANCELLED"}


async def test_retry_queues_a_failed_job_under_its_id() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id, b'{"error": "no"}')
        reply = (await here.client.post(f"/retry/{job_id}")).json()

        assert reply == {"id": job_id, "status": "IN_QUEUE"}
        assert await here.take() == job_id


async def test_retry_of_a_job_that_is_well_is_refused() -> None:
    async with rig() as here:
        reply = await here.client.post(f"/retry/{await here.submit()}")

    assert (reply.status_code, "IN_QUEUE" in reply.json()["error"]) == (400, True)


async def test_purge_says_how_many_it_removed() -> None:
    async with rig() as here:
        for _ in range(2):
            await here.submit()
        reply = (await here.client.post("/purge-queue")).json()

    assert reply == {"removed": 2, "status": "completed"}


async def test_health_has_the_keys_of_the_docs() -> None:
    async with rig() as here:
        await here.submit()
        await here.submit()
        await here.take()
        reply = (await here.client.get("/health")).json()

    assert reply == {
        "jobs": {"completed": 0, "failed": 0, "inProgress": 1, "inQueue": 1, "retried": 0},
        "workers": {"idle": 0, "initializing": 0, "ready": 1, "running": 1, "throttled": 0, "unhealthy": 0},
    }


async def test_metrics_name_the_workers_that_are_ready() -> None:
    async with rig() as here:
        here.platform.register_worker("ep", "cold")
        await here.submit()
        await here.take()
        reply = (await here.client.get("/metrics")).json()

    assert (reply["readyWorkers"], reply["workers"]["initializing"]) == (["w"], 1)


async def test_requests_are_the_last_jobs() -> None:
    async with rig() as here:
        jobs = [await here.submit() for _ in range(2)]
        reply = (await here.client.get("/requests")).json()

    assert [one["id"] for one in reply["requests"]] == jobs[::-1]


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"input": null}',
        b'{"input": "text"}',
        b'{"input": {"x": NaN}}',
        b'{"input": {}, "webhook": 1}',
        b'{"input": {}, "policy": {"executionTimeout": "soon"}}',
        b'{"input": {}, "policy": {"executionTimeout": 10}}',
        b'{"input": {}, "policy": {"ttl": 1}}',
        b'{"input": {"a": "\xff"}}',
        pytest.param(b'{"input": {"a": %b%b}}' % (b"[" * DEEP, b"]" * DEEP), id="deeper than can be read"),
    ],
)
@pytest.mark.parametrize("route", ["run", "runsync"])
async def test_a_body_that_is_no_submission_is_400_with_a_sentence(route: str, body: bytes) -> None:
    async with rig() as here:
        reply = await here.client.post(f"/{route}", content=body)

    assert (reply.status_code, list(reply.json())) == (400, ["error"])


async def test_an_input_of_any_kind_is_taken_where_that_is_assumed() -> None:
    async with rig(unknowns=Unknowns(input_is_object=False)) as here:
        reply = await here.client.post("/run", content=b'{"input": "text"}')

    assert reply.status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(("route", "limit"), [("run", 10), ("runsync", 20)])
async def test_a_body_over_the_limit_is_400_in_the_words_of_runpod(route: str, limit: int) -> None:
    async with rig() as here:
        reply = await here.client.post(f"/{route}", json={"input": {"a": "x" * limit * MIB}})

    assert (reply.status_code, reply.json()) == (400, {"error": f"exceeded max body size of {limit}MiB"})


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer wrong"}, {"authorization": ""}])
async def test_without_a_sound_key_all_is_401(header: dict[str, str]) -> None:
    async with rig() as here:
        here.client.headers.pop("authorization")
        replies = [
            await here.client.request(method, path, headers=header)
            for method, path in [("POST", "/run"), ("GET", "/health"), ("GET", "/job-take/w"), ("GET", "/ping/w")]
        ]

    assert {reply.status_code for reply in replies} == {401}


async def test_a_key_is_taken_with_and_without_bearer() -> None:
    async with rig() as here:
        replies = [await here.client.get("/health", headers={"authorization": key}) for key in (KEY, f"Bearer {KEY}")]

    assert [reply.status_code for reply in replies] == [200, 200]


@pytest.mark.parametrize(
    "path", ["http://runpod/v2/other/health", "http://runpod/v2/ep", "http://runpod/v2/ep/nonsense", "/run/extra"]
)
async def test_a_path_that_is_none_is_404(path: str) -> None:
    async with rig() as here:
        assert (await here.client.get(path)).status_code == 404


async def test_a_load_balanced_endpoint_has_no_queue() -> None:
    async with rig(kind="LOAD_BALANCER") as here:
        reply = await here.client.post("/run", json={"input": {}})

    assert (reply.status_code, reply.json()) == (400, {"error": "not allowed for QB API"})


async def test_more_than_the_rate_is_429_until_time_has_passed() -> None:
    async with rig(limits=Limits(rates={"health": Rate(2, 10)})) as here:
        statuses = [(await here.client.get("/health")).status_code for _ in range(3)]
        here.clock.advance(5)
        statuses.append((await here.client.get("/health")).status_code)

    assert statuses == [200, 200, 429, 200]


async def test_more_than_so_many_at_once_is_429() -> None:
    async with rig(limits=Limits(rates={"runsync": Rate(100, 1)})) as here:
        waiting = await here.begin("POST", "/runsync", json={"input": {}})
        refused = await here.client.post("/runsync", json={"input": {}})
        here.clock.advance(91)
        await waiting
        again = await here.begin("POST", "/runsync", json={"input": {}})
        here.clock.advance(91)

        assert (refused.status_code, (await again).status_code) == (429, 200)


async def test_errors_whose_shape_nobody_knows_are_no_json() -> None:
    async with rig() as here:
        reply = await here.client.get("/status/x")

    with pytest.raises(json.JSONDecodeError):
        reply.json()


async def test_every_wait_ends_when_the_emulator_does() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        waiting = [
            await here.begin(method, path, **given)
            for method, path, given in [
                ("POST", "/runsync", {"json": {"input": {}}}),
                ("GET", f"/stream/{job_id}", {}),
                ("GET", "/job-stop/w", {}),
            ]
        ]
        here.platform.close()

        assert [(await one).status_code for one in waiting] == [200, 200, 204]
