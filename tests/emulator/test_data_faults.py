"""What goes wrong when a rule says so, and what is done and not done then."""

import math

import httpx
import pytest

from embedstack.emulator.faults import CLIENT_ROUTES, Fault, Faults, read_faults
from embedstack.errors import BadRequest, ConfigError
from support.emulating import rig, turn

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# ------------------------------------------------------------------------------------------------ rules


def test_a_rule_fires_so_often_after_so_many() -> None:
    faults = Faults([Fault(route="run", action="status", skip=1, times=2)])

    assert [faults.pick("run") is not None for _ in range(5)] == [False, True, True, False, False]
    assert faults.fired == 2


def test_a_share_is_by_chance_and_the_same_for_the_same_seed() -> None:
    def fired(seed: int) -> list[bool]:
        faults = Faults([Fault(route="run", action="status", share=0.05)], seed)
        return [faults.pick("run") is not None for _ in range(2000)]

    assert fired(1) == fired(1) != fired(2)
    assert 60 <= sum(fired(1)) <= 140


def test_a_rule_of_one_endpoint_leaves_the_others_alone() -> None:
    faults = Faults([Fault(route="run", action="status", endpoint="a")])

    assert (faults.pick("run", "b"), faults.pick("run", "a") is not None) == (None, True)


def test_a_group_is_all_of_its_routes() -> None:
    faults = Faults([Fault(route="client", action="status")])

    assert all(faults.pick(route) for route in CLIENT_ROUTES)
    assert faults.pick("job-take") is None


def test_the_first_rule_that_fires_decides() -> None:
    first, second = Fault(route="run", action="status", times=1), Fault(route="run", action="html")
    faults = Faults([first, second])

    assert [faults.pick("run"), faults.pick("run")] == [first, second]


def test_a_route_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadRequest, match=r"'job-tak'.*job-take"):
        Faults([Fault(route="job-tak", action="status")])


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"share": 5.0}, r"share=5 is not within 0 and 1"),
        ({"share": math.nan}, "share=nan"),
        ({"status": 99}, "status=99 is not within 200 and 599"),
        ({"status": 1000}, "status=1000"),
        ({"action": "delay", "seconds": -1.0}, "seconds=-1 is not"),
        ({"action": "delay", "seconds": math.inf}, "seconds=inf"),
        ({"times": 0}, "times=0"),
        ({"skip": -1}, "skip=-1"),
        ({"action": "double"}, "only what job-take hands out"),
        ({"action": "double", "route": "job-take", "after_commit": True}, "nothing is left to be done"),
        ({"action": "ignore", "after_commit": True}, "nothing is left to be done"),
        ({"action": "html", "route": "spawn"}, "it takes status, delay, reset"),
        ({"after_commit": True, "route": "spawn"}, "without after_commit"),
    ],
)
def test_a_rule_that_could_do_nothing_is_refused(how: dict[str, object], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        Faults([Fault(**{"route": "run", "action": "status", **how})])


def test_rules_are_read_from_a_file(tmp_path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text('seed = 3\n[[fault]]\nroute = "job-done"\naction = "status"\nstatus = 502\ntimes = 1\n')

    assert read_faults(path).pick("job-done") == Fault(route="job-done", action="status", status=502, times=1)


@pytest.mark.parametrize("text", ['[[fault]]\nroute = "run"\naction = "explode"', "x = 1", "not toml", ""])
def test_a_file_of_something_else_is_refused(tmp_path, text: str) -> None:
    path = tmp_path / "faults.toml"
    if text:
        path.write_text(text)

    with pytest.raises(ConfigError, match=r"faults\.toml"):
        read_faults(path)


# ------------------------------------------------------------------------------------------------ on the way


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 502, 503, 524])
async def test_a_status_before_anything_is_done_commits_nothing(status: int) -> None:
    async with rig(Fault(route="run", action="status", status=status, times=1)) as here:
        reply = await here.client.post("/run", json={"input": {}})

    assert (reply.status_code, len(here.endpoint.book)) == (status, 0)


async def test_a_status_after_all_is_done_hides_a_job_that_runs() -> None:
    async with rig(Fault(route="run", action="status", after_commit=True, times=1)) as here:
        reply = await here.client.post("/run", json={"input": {}})

    assert (reply.status_code, len(here.endpoint.book)) == (500, 1)


@pytest.mark.parametrize(("after_commit", "jobs"), [(False, 0), (True, 1)])
async def test_a_reset_leaves_the_client_without_an_answer(after_commit: bool, jobs: int) -> None:
    async with rig(Fault(route="run", action="reset", after_commit=after_commit, times=1)) as here:
        with pytest.raises(ConnectionResetError):
            await here.client.post("/run", json={"input": {}})

        assert len(here.endpoint.book) == jobs


async def test_a_page_of_a_proxy_is_a_200_that_is_no_json() -> None:
    async with rig(Fault(route="status", action="html", times=1)) as here:
        reply = await here.client.get(f"/status/{await here.submit()}")

    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_a_delay_passes_on_the_clock_and_then_all_is_well() -> None:
    async with rig(Fault(route="health", action="delay", seconds=30)) as here:
        waiting = await here.begin("GET", "/health")
        before = waiting.done()
        here.clock.advance(30)

        assert (before, (await waiting).status_code) == (False, 200)


async def test_a_result_that_is_delayed_over_the_execution_timeout_is_late() -> None:
    async with rig(Fault(route="job-done", action="delay", seconds=10)) as here:
        job_id = await here.submit(policy={"executionTimeout": 5000})
        await here.take()
        sending = await here.begin("POST", f"/job-done/w/{job_id}?isStream=false", content=b'{"output": 1}')
        here.clock.advance(10)

        assert (await sending).status_code == 404
        assert (await here.status(job_id))["status"] == "TIMED_OUT"


async def test_a_result_that_is_lost_on_its_way_leaves_the_job_running_until_its_lease_ends() -> None:
    async with rig(Fault(route="job-done", action="reset", times=1)) as here:
        job_id = await here.submit()
        await here.take()
        with pytest.raises(ConnectionResetError):
            await here.finish(job_id)
        before = await here.status(job_id)
        here.clock.advance(25)

        assert (before["status"], (await here.status(job_id))["status"]) == ("IN_PROGRESS", "IN_QUEUE")


async def test_a_result_whose_answer_is_lost_counts_and_the_second_sending_is_late() -> None:
    async with rig(Fault(route="job-done", action="reset", after_commit=True, times=1)) as here:
        job_id = await here.submit()
        await here.take()
        with pytest.raises(ConnectionResetError):
            await here.finish(job_id)

        assert ((await here.finish(job_id)).status_code, (await here.status(job_id))["status"]) == (404, "COMPLETED")


async def test_a_job_that_is_lost_on_its_way_to_a_worker_is_leased_until_its_time_is_over() -> None:
    async with rig(Fault(route="job-take", action="reset", after_commit=True, times=1)) as here:
        job_id = await here.submit()
        with pytest.raises(ConnectionResetError):
            await here.client.get("/job-take/w")
        before = await here.status(job_id)
        here.clock.advance(25)

        assert (before["status"], await here.take("v")) == ("IN_PROGRESS", job_id)


async def test_a_poll_that_brings_nothing_does_not_use_up_a_rule_for_jobs() -> None:
    async with rig(Fault(route="job-take", action="html", after_commit=True, times=1)) as here:
        poll = await here.begin("GET", "/job-take/w")
        here.clock.advance(21)
        await poll
        await here.submit()
        reply = await here.client.get("/job-take/w")

    assert reply.headers["content-type"].startswith("text/html")


async def test_a_job_can_be_handed_out_twice() -> None:
    async with rig(Fault(route="job-take", action="double", times=1)) as here:
        job_id = await here.submit()

        assert [await here.take("w"), await here.take("v")] == [job_id, job_id]
        assert ((await here.finish(job_id, worker="v")).status_code, (await here.finish(job_id)).status_code) == (
            200,
            404,
        )


async def test_heartbeats_that_are_not_noted_cost_a_worker_its_job() -> None:
    async with rig(Fault(route="ping", action="ignore")) as here:
        job_id = await here.submit()
        await here.take()
        for _ in range(3):
            here.clock.advance(10)
            assert (await here.client.get("/ping/w", params={"job_id": job_id})).status_code == 200

        assert (await here.status(job_id))["status"] == "IN_QUEUE"


async def test_a_clock_that_jumps_ends_what_was_due_meanwhile() -> None:
    async with rig() as here:
        job_id = await here.submit()
        waiting = await here.begin("POST", "/runsync", json={"input": {}})
        here.clock.advance(86_400)
        await turn()

        assert waiting.done()
        assert (await here.client.get(f"/status/{job_id}")).status_code == 404


async def test_an_answer_that_breaks_off_says_how_long_it_should_have_been() -> None:
    async with rig(Fault(route="health", action="truncate", times=1)) as here:
        with pytest.raises((ConnectionResetError, httpx.HTTPError)):
            await here.client.get("/health")
