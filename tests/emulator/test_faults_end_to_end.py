"""Our client, the emulator and a worker with the real SDK in a process of its own, while each fault there is happens.

The worker has the fake encoder. A job with the text `wait` ends only once the worker is told so by a signal.
"""

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.emulator.clock import SystemClock
from embedstack.errors import DeadlineExceeded, EmbedstackError, Overloaded, TooLong, Upstream
from support.broken import UNKNOWNS, WAITING, Here, entered, made_of, within

pytest.importorskip("runpod", reason="RunPod's SDK is not installed")
pytestmark = [pytest.mark.sdk, pytest.mark.timeout(120)]

PROGRAM = Path(__file__).parents[1] / "worker" / "jobs_program.py"


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.run_until_complete(made.shutdown_asyncgens())
    made.close()


@pytest.fixture(scope="module")
def running(loop: asyncio.AbstractEventLoop) -> Iterator[Here]:
    yield from entered(loop, (sys.executable, str(PROGRAM)))


@pytest.fixture
def here(running: Here) -> Iterator[Here]:
    """One worker is ready, and nothing goes wrong yet."""
    running.run(running.stage.ready())
    limits = running.stage.platform.limits
    yield running
    running.stage.platform.faults.clear()
    running.stage.platform.limits = limits


# ---------------------------------------------------------------------------------------- between client and platform

BEFORE = [
    {"action": "reset"},
    {"action": "html"},
    *({"action": "status", "status": status} for status in (429, 500, 502, 503, 524)),
]
AFTER = [
    {"action": "reset", "after_commit": True},
    {"action": "html", "after_commit": True},
    {"action": "status", "status": 524, "after_commit": True},
    {"action": "truncate"},
]


def told(how: dict[str, object]) -> str:
    return "-".join(map(str, how.values()))


@pytest.mark.parametrize("how", BEFORE, ids=told)
def test_a_submission_that_fails_before_anything_is_done_is_made_again(here: Here, how: dict[str, object]) -> None:
    text = f"before {told(how)}"
    here.breaks("runsync", **how, times=2)

    assert np.array_equal(here.run(here.ask(text)), made_of(text))
    assert (len(here.jobs(text)), here.fired) == (1, 2)


@pytest.mark.parametrize("how", AFTER, ids=told)
def test_a_submission_whose_answer_is_lost_runs_twice_and_is_answered_once(here: Here, how: dict[str, object]) -> None:
    text = f"after {told(how)}"
    here.breaks("runsync", **how, times=1)

    assert np.array_equal(here.run(here.ask(text)), made_of(text))
    assert len(here.jobs(text)) == 2


@pytest.mark.parametrize("how", [*BEFORE, *AFTER], ids=told)
def test_a_look_at_a_job_that_fails_is_taken_again_and_the_job_runs_once(here: Here, how: dict[str, object]) -> None:
    text = f"looked at {told(how)}"
    here.breaks("status", **how, times=3)

    assert np.array_equal(here.run(here.ask(text, url=f"{here.stage.url}/run")), made_of(text))
    assert (len(here.jobs(text)), here.fired) == (1, 3)


@pytest.mark.parametrize(("route", "step"), [("runsync", "runsync"), ("status", "run")])
def test_an_answer_that_comes_late_is_waited_for(here: Here, route: str, step: str) -> None:
    text = f"late {route}"
    here.breaks(route, "delay", seconds=0.3, times=1)

    assert np.array_equal(here.run(here.ask(text, url=f"{here.stage.url}/{step}")), made_of(text))
    assert (len(here.jobs(text)), here.fired) == (1, 1)


@pytest.mark.parametrize(("status", "error"), [(429, Overloaded), (500, Upstream), (503, Upstream)])
def test_a_storm_that_does_not_end_is_an_error_that_may_pass(
    here: Here, status: int, error: type[EmbedstackError]
) -> None:
    here.breaks("client", "status", status=status)
    with pytest.raises(error) as caught:
        here.run(here.ask(f"storm {status}"))

    assert caught.value.retry
    assert here.jobs(f"storm {status}") == []


def test_a_wrong_key_is_said_and_not_shown(here: Here) -> None:
    with pytest.raises(Upstream, match="check the key") as caught:
        here.run(here.ask("unlocked", key="a-wrong-key"))

    assert "a-wrong-key" not in caught.value.message
    assert here.jobs("unlocked") == []


def test_an_endpoint_that_balances_load_is_named_as_that(here: Here) -> None:
    here.stage.platform.add_endpoint("lb", kind="LOAD_BALANCER")
    url = here.stage.url.replace(here.stage.endpoint.id, "lb")

    with pytest.raises(Upstream, match="it balances load"):
        here.run(here.ask("balanced", url=f"{url}/runsync"))


def test_an_endpoint_that_is_not_there_is_an_error_that_asks_for_its_id(here: Here) -> None:
    url = here.stage.url.replace(here.stage.endpoint.id, "nowhere")

    with pytest.raises(Upstream, match="id of the endpoint"):
        here.run(here.ask("nobody", url=f"{url}/runsync"))


def test_a_body_that_is_too_large_for_the_platform_is_said_to_be(here: Here) -> None:
    here.stage.platform.limits = replace(here.stage.platform.limits, runsync_bytes=10_000)

    with pytest.raises(TooLong, match="exceeded max body size"):
        here.run(here.ask("large " * 2000))


# ---------------------------------------------------------------------------------------- between platform and worker

TAKING = {"job-take": ({"action": "reset"}, {"action": "html"}, {"action": "status", "status": 500})}
SENDING = {
    "job-done": (
        {"action": "reset"},
        {"action": "reset", "after_commit": True},
        {"action": "truncate"},
        {"action": "status", "status": 429},
        {"action": "status", "status": 503},
        {"action": "status", "status": 500, "after_commit": True},
    ),
}
PASSING = [(route, (how,)) for table in (TAKING, SENDING) for route, every in table.items() for how in every]
PASSING += [  # made once in a second or two: one after the other, and then a job
    ("job-stop", ({"action": "reset"}, {"action": "status", "status": 500})),
    ("ping", ({"action": "reset"}, {"action": "html"})),
]
LOSING = [
    ("job-take", {"action": "reset", "after_commit": True}),
    ("job-take", {"action": "truncate"}),
    ("job-done", {"action": "html"}),
    ("job-done", {"action": "ignore"}),
]


@pytest.mark.parametrize(
    ("route", "hows"), PASSING, ids=lambda given: given if isinstance(given, str) else "+".join(map(told, given))
)
def test_a_call_of_a_worker_that_fails_costs_no_job_its_result(
    here: Here, route: str, hows: tuple[dict[str, object], ...]
) -> None:
    for how in hows:
        here.breaks(route, **how, times=2 // len(hows))
    texts = [f"{turn} {route} {' '.join(map(told, hows))}" for turn in ("first", "second")]

    async def act() -> list[np.ndarray]:
        first = await here.ask(texts[0])
        await here.broken(2)  # the poll that was under way had passed the rule
        return [first, await here.ask(texts[1])]

    assert all(map(np.array_equal, here.run(act()), map(made_of, texts)))
    assert [[job.retries for job in here.jobs(text)] for text in texts] == [[0], [0]]


def jump(here: Here, seconds: float = UNKNOWNS.heartbeat_timeout_s + 0.1) -> None:
    """All leases end."""
    clock = here.stage.platform.clock
    assert isinstance(clock, SystemClock)
    clock.jump(seconds)


@pytest.mark.parametrize(("route", "how"), LOSING, ids=lambda given: given if isinstance(given, str) else told(given))
def test_a_job_or_a_result_that_is_lost_unseen_is_handed_out_again(
    here: Here, route: str, how: dict[str, object]
) -> None:
    text = f"unseen {route} {told(how)}"
    here.breaks(route, **how, times=1)

    async def act() -> np.ndarray:
        asking = asyncio.ensure_future(here.ask(text))
        await here.broken(1)
        jump(here)
        return await asking

    assert np.array_equal(here.run(act()), made_of(text))
    assert [job.retries for job in here.jobs(text)] == [1]


def test_a_job_that_is_handed_out_twice_is_answered_once(here: Here) -> None:
    here.breaks("job-take", "double", times=1)
    rows = here.run(here.ask("handed out twice"))
    (job,) = here.jobs("handed out twice")

    assert np.array_equal(rows, made_of("handed out twice"))
    assert (here.stage.watch.handed_out[job.id], job.retries) == (2, 0)


def test_a_result_that_is_too_large_fails_its_job_with_the_way_out(here: Here) -> None:
    here.stage.platform.limits = replace(here.stage.platform.limits, runsync_bytes=2_000)

    with pytest.raises(EmbedstackError, match=r"refused the output of \d+ bytes.*send fewer items"):
        here.run(here.ask(*(f"t{number}" for number in range(30))))


def test_a_number_that_is_none_fails_its_job_by_the_items_place(here: Here) -> None:
    with pytest.raises(EmbedstackError, match="not finite for item 1"):
        here.run(here.ask("a number", "nan"))


# ------------------------------------------------------------------------------------------------ jobs in hand


def test_a_worker_that_is_killed_in_mid_job_loses_nothing(here: Here) -> None:
    async def act() -> np.ndarray:
        asking, killed, before = await here.begun("killed"), here.worker_id, here.stage.watch.said(WAITING)
        here.stage.process.kill()
        await here.replaced(killed)
        await here.waits(before)
        here.release()
        return await asking

    rows = here.run(act())

    assert np.array_equal(rows, made_of("wait", "killed"))
    assert [job.retries for job in here.jobs("killed")] == [1]


def test_a_worker_that_gets_sigterm_in_mid_job_finishes_it(here: Here) -> None:
    async def act() -> tuple[np.ndarray, int]:
        asking, old = await here.begun("terminated"), here.worker_id
        process = here.stage.process
        process.terminate()
        os.kill(process.pid, signal.SIGUSR1)
        rows, code = await asking, await process.wait()
        await here.replaced(old)
        return rows, code

    rows, code = here.run(act())

    assert np.array_equal(rows, made_of("wait", "terminated"))
    assert ([job.retries for job in here.jobs("terminated")], code) == ([0], 0)


def test_a_job_whose_heartbeats_are_lost_runs_twice_and_is_answered_once(here: Here) -> None:
    async def act() -> np.ndarray:
        here.breaks("ping", "ignore")
        asking, before = await here.begun("unheard"), here.stage.watch.said(WAITING)
        jump(here)
        await here.waits(before)
        here.stage.platform.faults.clear()
        here.release()
        return await asking

    rows = here.run(act())
    (job,) = here.jobs("unheard")

    assert np.array_equal(rows, made_of("wait", "unheard"))
    assert (here.stage.watch.handed_out[job.id], job.retries) == (2, 1)


def test_heartbeats_that_stay_lost_end_in_an_error_before_the_deadline(here: Here) -> None:
    here.breaks("ping", "ignore")
    began = time.monotonic()

    async def act() -> None:
        asking = await here.begun("never heard", deadline_s=3.0)
        before = here.stage.watch.said(WAITING)
        jump(here)
        await here.waits(before)
        jump(here)
        with pytest.raises(DeadlineExceeded):
            await asking

    here.run(act())
    took_s = time.monotonic() - began
    here.release()

    assert took_s < 3.0 + 2.0
    assert here.jobs("never heard")[0].error == b'"job timed out after 1 retries"'
    assert len(here.jobs("never heard")) > 1


def test_a_job_that_expires_while_it_runs_is_sent_again(here: Here) -> None:
    async def act() -> np.ndarray:
        asking = await here.begun("expired", url=f"{here.stage.url}/run")
        before = here.stage.watch.said(WAITING)
        jump(here, 120.0)
        await here.waits(before)
        here.release()
        return await asking

    rows = here.run(act())

    assert np.array_equal(rows, made_of("wait", "expired"))
    assert len(here.jobs("expired")) == 2


def test_a_deadline_ends_the_call_and_the_job(here: Here) -> None:
    async def act() -> None:
        before = here.stage.watch.said("given up")
        asking = await here.begun("in a hurry", deadline_s=1.5)
        with pytest.raises(DeadlineExceeded):
            await asking
        await here.stage.watch.until(lambda: here.stage.watch.said("given up") > before, "the worker stops")

    here.run(act())

    assert [job.status for job in here.jobs("in a hurry")] == ["CANCELLED"]


def test_a_caller_that_leaves_takes_its_job_along(here: Here) -> None:
    async def act() -> None:
        before = here.stage.watch.said("given up")
        asking = await here.begun("not wanted", url=f"{here.stage.url}/run")
        asking.cancel()
        await asyncio.wait({asking})
        await here.stage.watch.until(lambda: here.stage.watch.said("given up") > before, "the worker stops")

    here.run(act())

    assert [job.status for job in here.jobs("not wanted")] == ["CANCELLED"]


def test_a_job_waits_for_a_machine_and_for_a_cold_start(here: Here) -> None:
    async def act() -> np.ndarray:
        here.breaks("spawn", "status", seconds=0.5, times=1)
        here.breaks("spawn", "delay", seconds=0.5, times=1)
        old = here.worker_id
        here.stage.process.kill()
        asking = asyncio.ensure_future(here.ask("cold"))
        await here.replaced(old)
        return await asking

    assert np.array_equal(here.run(act()), made_of("cold"))


# ---------------------------------------------------------------------------------------- a worker that is not ours

FOREIGN_S = 2.0
FOREIGN = """
import runpod

async def handler(job):
    return {"embeddings": [[float("nan")] * 4 for text in job["input"]["texts"]]}

if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
"""


def test_a_foreign_worker_whose_result_is_no_json_ends_in_an_error_before_the_deadline(
    loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    program = tmp_path / "handler.py"
    program.write_text(textwrap.dedent(FOREIGN))

    def act(there: Here) -> tuple[EmbedstackError, float]:
        began, watch = time.monotonic(), there.stage.watch

        async def ask() -> None:
            asking = asyncio.ensure_future(there.ask("anything", deadline_s=FOREIGN_S))
            await watch.until(lambda: watch.handed_out.total() == 1, "a first lease")
            jump(there)
            await watch.until(lambda: watch.handed_out.total() > 1 or asking.done(), "a second one")
            await asking

        with pytest.raises(EmbedstackError) as caught:
            there.run(ask())
        return caught.value, time.monotonic() - began

    error, took_s = within(loop, (sys.executable, str(program)), act)

    assert isinstance(error, DeadlineExceeded | Upstream)
    assert took_s < FOREIGN_S + 2.0
