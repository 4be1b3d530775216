"""What workers see: take, stop, done, stream and ping."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from embedstack.emulator.app import data_app
from embedstack.emulator.faults import Fault
from embedstack.emulator.job import Submission
from embedstack.emulator.limits import Limits
from embedstack.emulator.unknowns import Unknowns
from support.emulating import KEY, rig, turn

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# ------------------------------------------------------------------------------------------------ take


async def test_a_worker_gets_the_input_and_what_stood_beside_it() -> None:
    async with rig() as here:
        policy = {"executionTimeout": 60_000, "lowPriority": True}
        job_id = await here.submit(policy=policy, webhook="http://127.0.0.1:9/hook", other=1)
        reply = await here.client.get("/job-take/w?gpu=any&job_in_progress=0")

    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == {
        "id": job_id,
        "input": {"texts": ["a"]},
        "policy": policy,
        "webhook": "http://127.0.0.1:9/hook",
    }


async def test_a_poll_is_held_until_a_job_comes() -> None:
    async with rig() as here:
        poll = await here.begin("GET", "/job-take/w")
        before = poll.done()
        job_id = await here.submit()

        assert (before, (await poll).json()["id"]) == (False, job_id)


async def test_a_poll_that_brings_nothing_ends_after_its_time_with_204() -> None:
    async with rig(unknowns=Unknowns(take_hold_s=20.0)) as here:
        poll = await here.begin("GET", "/job-take/w")
        here.clock.advance(19.9)
        await turn()
        before = poll.done()
        here.clock.advance(0.2)
        reply = await poll

    assert (before, reply.status_code, reply.content) == (False, 204, b"")


async def test_one_job_goes_to_one_of_two_who_wait() -> None:
    async with rig() as here:
        polls = [await here.begin("GET", f"/job-take/{worker}") for worker in ("w", "v")]
        await here.submit()
        await turn()
        done = [poll.done() for poll in polls]
        here.clock.advance(30)
        replies = [(await poll).status_code for poll in polls]

    assert (sorted(done), sorted(replies)) == ([False, True], [200, 204])


async def test_a_batch_is_what_there_is_and_not_more_than_asked_for() -> None:
    async with rig() as here:
        jobs = [await here.submit() for _ in range(3)]
        first = await here.client.get("/job-take-batch/w?gpu=any&batch_size=2&job_in_progress=0")
        second = await here.client.get("/job-take-batch/w?gpu=any&batch_size=2&job_in_progress=1")

    assert [[job["id"] for job in reply.json()] for reply in (first, second)] == [jobs[:2], jobs[2:]]


async def test_a_batch_size_of_many_digits_is_as_many_as_there_are() -> None:
    async with rig() as here:
        job_id = await here.submit()
        reply = await here.client.get(f"/job-take-batch/w?batch_size={'9' * 5000}")

    assert [job["id"] for job in reply.json()] == [job_id]


async def test_the_first_poll_makes_a_worker_that_was_started_elsewhere_known() -> None:
    async with rig() as here:
        await here.begin("GET", "/job-take/w")
        worker = here.endpoint.workers["w"]

    assert (worker.is_external, worker.status) == (True, "IDLE")


async def test_the_first_poll_makes_a_worker_of_ours_ready() -> None:
    async with rig() as here:
        worker = here.platform.register_worker("ep", "w")
        before = worker.status
        await here.submit()
        await here.take()

    assert (before, worker.status, worker.is_external) == ("INITIALIZING", "RUNNING", False)


async def test_a_draining_workers_poll_ends_at_once_and_it_gets_no_job() -> None:
    async with rig() as here:
        poll, stop = [await here.begin("GET", f"/{route}/w") for route in ("job-take", "job-stop")]
        here.platform.drain_worker("ep", "w")
        await turn()
        await here.submit()
        again = await here.client.get("/job-take/w")

    assert [reply.status_code for reply in (poll.result(), stop.result(), again)] == [204, 204, 204]


async def test_a_job_that_did_not_reach_its_worker_waits_again() -> None:
    async with rig() as here:
        poll = await here.begin("GET", "/job-take/w")
        poll.cancel()
        await turn()
        job_id = await here.submit()

        assert await here.take("v") == job_id
        assert (await here.status(job_id))["status"] == "IN_PROGRESS"


async def test_a_job_whose_worker_hangs_up_before_it_is_sent_waits_again() -> None:
    async with rig(Fault(route="job-take", action="delay", seconds=5, after_commit=True)) as here:
        job_id = await here.submit()
        hung_up, sent = asyncio.Event(), []
        asking = asyncio.create_task(data_app(here.platform, [KEY])(poll_of("w"), until(hung_up), sending(sent)))
        await turn()
        before = await here.status(job_id)
        hung_up.set()
        await turn()
        here.clock.advance(5)
        await asking

        assert (before["status"], (await here.status(job_id))["status"], sent) == ("IN_PROGRESS", "IN_QUEUE", [])


async def test_a_job_whose_worker_hangs_up_just_before_it_comes_waits_again() -> None:
    async with rig() as here:
        hung_up, sent = asyncio.Event(), []
        asking = asyncio.create_task(data_app(here.platform, [KEY])(poll_of("w"), until(hung_up), sending(sent)))
        await turn()
        job = here.endpoint.book.submit(Submission(input=b"{}"), here.clock.now())
        hung_up.set()  # the poll has been woken first
        await asking

        assert (job.status, sent) == ("IN_QUEUE", [])


def poll_of(worker: str) -> dict[str, object]:
    headers = [(b"authorization", KEY.encode())]
    path = f"/v2/ep/job-take/{worker}"
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}


def until(hung_up: asyncio.Event) -> Callable[[], Awaitable[dict[str, object]]]:
    """A client that sends its request and hangs up when it is told to."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if messages:
            return messages.pop()
        await hung_up.wait()
        return {"type": "http.disconnect"}

    return receive


def sending(sent: list[object]) -> Callable[[dict[str, object]], Awaitable[None]]:
    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    return send


# ------------------------------------------------------------------------------------------------ stop


async def test_the_stop_channel_names_a_job_that_was_cancelled() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        stop = await here.begin("GET", "/job-stop/w")
        before = stop.done()
        await here.client.post(f"/cancel/{job_id}")

        assert (before, (await stop).json()) == (False, {"jobsToStop": [job_id]})


async def test_the_stop_channel_names_a_job_over_its_execution_timeout() -> None:
    async with rig() as here:
        job_id = await here.submit(policy={"executionTimeout": 5000})
        await here.take()
        stop = await here.begin("GET", "/job-stop/w")
        here.clock.advance(5)

        assert (await stop).json() == {"jobsToStop": [job_id]}
        assert (await here.status(job_id))["status"] == "TIMED_OUT"


async def test_the_stop_channel_ends_after_its_time_with_204() -> None:
    async with rig() as here:
        stop = await here.begin("GET", "/job-stop/w")
        here.clock.advance(21)

        assert (await stop).status_code == 204


# ------------------------------------------------------------------------------------------------ done


DEEP = b'{"output": %b%b}' % (b"[" * 100_000, b"]" * 100_000)


@pytest.mark.parametrize(
    "body",
    [b'{"output": NaN}', b"not json", b"[]", b"", b'{"output": "\xff"}', DEEP],
    ids=["NaN", "no JSON", "a list", "nothing", "no UTF-8", "deeper than can be read"],
)
async def test_a_result_that_is_no_json_is_400_and_the_job_runs_on(body: bytes) -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        reply = await here.finish(job_id, body)

        assert (reply.status_code, (await here.status(job_id))["status"]) == (400, "IN_PROGRESS")


async def test_a_result_over_the_limit_is_400_and_the_job_runs_on() -> None:
    async with rig(limits=Limits(run_bytes=1 << 20)) as here:
        job_id = await here.submit()
        await here.take()
        reply = await here.finish(job_id, b'{"output": "%b"}' % (b"x" * (1 << 20)))

        assert (reply.status_code, reply.json()) == (400, {"error": "exceeded max body size of 1MiB"})
        assert (await here.status(job_id))["status"] == "IN_PROGRESS"


async def test_the_result_of_a_job_that_somebody_waits_for_may_be_longer() -> None:
    async with rig(limits=Limits(run_bytes=100, runsync_bytes=1000)) as here:
        waiting = await here.begin("POST", "/runsync", json={"input": {}})
        job_id = await here.take()
        reply = await here.finish(job_id, b'{"output": "%b"}' % (b"x" * 500))
        await waiting

    assert reply.status_code == 200


async def test_a_result_of_another_worker_is_404() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take("w")
        reply = await here.finish(job_id, worker="stranger")

    assert reply.status_code == 404


async def test_a_second_result_is_404_and_changes_nothing() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id)
        late = await here.finish(job_id, b'{"error": "late"}')

        assert (late.status_code, (await here.status(job_id))["status"]) == (404, "COMPLETED")


async def test_a_second_result_is_200_where_that_is_assumed() -> None:
    async with rig(unknowns=Unknowns(late_status=200)) as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id)
        late = await here.finish(job_id, b'{"error": "late"}')

        assert (late.status_code, (await here.status(job_id))["status"]) == (200, "COMPLETED")


async def test_an_error_that_is_null_is_none() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id, b'{"output": 1, "error": null}')

        assert (await here.status(job_id))["status"] == "COMPLETED"


async def test_progress_comes_the_same_way_and_is_shown() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id, b'{"status": "IN_PROGRESS", "output": "half"}')
        shown = await here.status(job_id)

    assert (shown["status"], shown["output"]) == ("IN_PROGRESS", "half")


async def test_a_chunk_over_its_limit_is_400() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        reply = await here.client.post(
            f"/job-stream/w/{job_id}?isStream=false", content=b'{"output": "%b"}' % (b"x" * (1 << 20))
        )

    assert reply.status_code == 400


async def test_a_worker_that_asks_to_be_replaced_gets_no_more_jobs() -> None:
    async with rig() as here:
        changes = []
        here.platform.subscribe(lambda change: changes.append((change.kind, change.subject)))
        here.platform.register_worker("ep", "w")
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id, b'{"output": 1, "stopPod": true}')
        await here.submit()

        assert ("recycle", "w") in changes
        assert (await here.client.get("/job-take/w")).status_code == 204


async def test_a_worker_that_nobody_here_can_replace_goes_on() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        await here.finish(job_id, b'{"output": 1, "stopPod": true}')
        second = await here.submit()

        assert await here.take() == second


# ------------------------------------------------------------------------------------------------ ping


async def test_pings_that_name_a_job_keep_it() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        for _ in range(5):
            here.clock.advance(10)
            await here.client.get("/ping/w", params={"job_id": f"{job_id},another", "runpod_version": "1.12.0"})

        assert (await here.status(job_id))["status"] == "IN_PROGRESS"


async def test_without_pings_a_job_is_handed_out_again() -> None:
    async with rig() as here:
        job_id = await here.submit()
        await here.take()
        poll = await here.begin("GET", "/job-take/v")
        here.clock.advance(20)
        poll_again = await poll
        here.clock.advance(5)

        assert poll_again.status_code == 204
        assert await here.take("v") == job_id


async def test_a_worker_that_says_that_it_is_not_well_is_counted_so() -> None:
    async with rig() as here:
        here.platform.register_worker("ep", "w")
        await here.client.get("/ping/w?status=unhealthy&check=gpu&reason=none")
        reply = (await here.client.get("/health")).json()

    assert reply["workers"]["unhealthy"] == 1


async def test_a_worker_that_falls_silent_is_no_longer_listed() -> None:
    async with rig() as here:
        await here.submit()
        await here.take()
        here.clock.advance(120)
        health = (await here.client.get("/health")).json()

    assert (health["workers"]["ready"], health["jobs"]["inQueue"]) == (0, 1)
