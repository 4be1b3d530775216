"""The unmodified SDK, its worker and its clients, against the emulator over real connections."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from embedstack.emulator.background import Emulated, emulated
from embedstack.emulator.clock import SystemClock
from embedstack.emulator.faults import Fault
from embedstack.emulator.life import Order
from embedstack.emulator.platform import Platform
from embedstack.emulator.processes import worker_environment
from embedstack.emulator.unknowns import Unknowns

pytest.importorskip("aiohttp")  # the SDK's own; without it there is no SDK

pytestmark = pytest.mark.sdk
HERE = Path(__file__).parent
KEY = "a key of the tests"
KINDS = ("sync", "coroutine", "several", "generator", "async_generator")
HANDLERS = {kind: kind for kind in KINDS} | {"once": "once", "ended": "coroutine"}  # by endpoint
PATIENCE_S = 90.0
LEASE_S = 25.0


@dataclass
class Worker:
    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self, words: str) -> int:
        return self.log.read_text().count(words)


@contextmanager
def sdk_worker(emulator: Emulated, endpoint_id: str, kind: str, home: Path) -> Iterator[Worker]:
    """A process of the SDK, in a group of its own since its heartbeat is another."""
    worker_id = f"{endpoint_id}-w"
    variables = worker_environment(
        Order(endpoint_id, worker_id),
        os.environ,
        url=emulator.url.removesuffix("/v2"),
        key=KEY,
        home=home,
        ping_ms=1000,
    )
    log = home / f"{worker_id}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "sdk_worker.py"), kind],
            env=variables,
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Worker(process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass
class Rig:
    emulator: Emulated
    workers: dict[str, Worker]
    home: Path

    @property
    def platform(self) -> Platform:
        return self.emulator.platform

    def call(self, method: str, path: str, **given: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {KEY}"}
        return httpx.request(method, f"{self.emulator.url}/{path}", headers=headers, timeout=PATIENCE_S, **given)

    def run(self, endpoint_id: str, given: object, **beside: object) -> str:
        return str(self.call("POST", f"{endpoint_id}/run", json={"input": given, **beside}).json()["id"])

    def done(self, endpoint_id: str, given: object) -> dict[str, object]:
        """The status object of a job when it has ended."""
        return self.ended(endpoint_id, self.run(endpoint_id, given))

    def ended(self, endpoint_id: str, job_id: str) -> dict[str, object]:
        return self.until(endpoint_id, job_id, lambda job: job["status"] not in ("IN_QUEUE", "IN_PROGRESS"))

    def until(self, endpoint_id: str, job_id: str, is_enough: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        for job in looks(lambda: self.call("GET", f"{endpoint_id}/status/{job_id}").json()):
            if is_enough(job):
                return job
        raise AssertionError("unreachable")

    def jump(self, seconds: float = LEASE_S + 1) -> None:
        clock = self.platform.clock
        assert isinstance(clock, SystemClock)
        self.emulator.do(lambda: clock.jump(seconds))

    def fault(self, fault: Fault) -> None:
        self.emulator.do(lambda: self.platform.faults.add(fault))


def looks(look: Callable[[], object]) -> Iterator[object]:
    """What is seen, again and again, until nobody has patience any more."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        yield look()
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def wait_for(is_so: Callable[[], bool]) -> None:
    next(filter(None, looks(is_so)))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    home = tmp_path_factory.mktemp("workers")
    platform = Platform(unknowns=Unknowns(take_hold_s=2.0, stop_hold_s=2.0, heartbeat_timeout_s=LEASE_S))
    for endpoint_id in (*HANDLERS, "nobody"):
        platform.add_endpoint(endpoint_id)
    with emulated(platform, [KEY]) as emulator, ExitStack() as stack:
        workers = {one: stack.enter_context(sdk_worker(emulator, one, kind, home)) for one, kind in HANDLERS.items()}
        yield Rig(emulator, workers, home)


# ------------------------------------------------------------------------------------------------ handlers


@pytest.mark.parametrize("kind", ["sync", "coroutine", "several"])
def test_a_handlers_return_is_the_output(here: Rig, kind: str) -> None:
    job = here.done(kind, {"a": 1})

    assert (job["status"], job["output"], job["workerId"]) == ("COMPLETED", {"echo": {"a": 1}}, f"{kind}-w")


@pytest.mark.parametrize("output", ["text", [1, 2], True, 1.5])
def test_an_output_of_any_kind_arrives_as_it_is(here: Rig, output: object) -> None:
    assert here.done("sync", {"return": output})["output"] == output


def test_an_exception_fails_the_job_with_what_the_sdk_says_of_it(here: Rig) -> None:
    job = here.done("sync", {"raise": "no such model"})

    assert job["status"] == "FAILED"
    assert json.loads(str(job["error"]))["error_message"] == "no such model"


@pytest.mark.parametrize("error", ["no", {"code": 7}])
def test_a_returned_error_fails_the_job_and_keeps_what_is_beside_it(here: Rig, error: object) -> None:
    job = here.done("coroutine", {"return": {"error": error, "embeddings": []}})

    assert (job["status"], job["error"], job["output"]) == ("FAILED", error, {"embeddings": []})


def test_a_worker_that_asks_to_be_replaced_has_its_result_kept(here: Rig) -> None:
    job = here.done("sync", {"return": {"refresh_worker": True, "a": 1}})

    assert (job["status"], job["output"]) == ("COMPLETED", {"a": 1})


@pytest.mark.parametrize(("kind", "output"), [("generator", []), ("async_generator", [{"number": 0}, {"number": 1}])])
def test_a_generators_chunks_are_streamed_and_only_collected_where_it_asks(
    here: Rig, kind: str, output: object
) -> None:
    job_id = here.run(kind, {"count": 2})
    job = here.ended(kind, job_id)
    stream = here.call("GET", f"{kind}/stream/{job_id}").json()

    assert (job["status"], job["output"]) == ("COMPLETED", output)
    assert stream == {"status": "COMPLETED", "stream": [{"output": {"number": 0}}, {"output": {"number": 1}}]}


def test_a_generator_that_fails_in_the_middle_has_streamed_until_there(here: Rig) -> None:
    job_id = here.run("generator", {"count": 1, "raise": "enough"})
    job = here.ended("generator", job_id)

    assert (job["status"], "enough" in str(job["error"])) == ("FAILED", True)
    assert here.call("GET", f"generator/stream/{job_id}").json()["stream"] == [{"output": {"number": 0}}]


def test_a_worker_of_several_jobs_takes_them_in_batches(here: Rig) -> None:
    jobs = [here.run("several", {"n": number}) for number in range(20)]

    assert {here.ended("several", job_id)["status"] for job_id in jobs} == {"COMPLETED"}


def test_a_worker_that_ends_after_a_job_has_sent_its_result(here: Rig) -> None:
    job = here.done("once", {"a": 1})
    status = here.workers["once"].process.wait(PATIENCE_S)

    assert (job["output"], status) == ({"echo": {"a": 1}}, 0)


def test_openais_path_reaches_the_handler_and_its_answer_comes_back(here: Rig) -> None:
    reply = here.call("POST", "sync/openai/v1/embeddings", json={"input": "a"})

    assert reply.json() == {"echo": {"openai_route": "/v1/embeddings", "openai_input": {"input": "a"}}}


# ------------------------------------------------------------------------------------------------ in mid-job


def sleeping(here: Rig) -> str:
    """The id of a long job that has begun: the SDK overlooks that it should stop one that it has only queued."""
    worker = here.workers["coroutine"]
    before = worker.said("sleeping")
    job_id = here.run("coroutine", {"sleep": 600})
    wait_for(lambda: worker.said("sleeping") > before)
    return job_id


def test_a_cancelled_job_is_stopped_and_the_worker_takes_the_next(here: Rig) -> None:
    job_id = sleeping(here)
    here.call("POST", f"coroutine/cancel/{job_id}")

    assert here.done("coroutine", {"a": 1})["status"] == "COMPLETED"
    assert here.call("GET", f"coroutine/status/{job_id}").json()["status"] == "CANCELLED"


def test_heartbeats_keep_a_long_job(here: Rig) -> None:
    job_id = sleeping(here)
    worker = here.platform.endpoints["coroutine"].workers["coroutine-w"]
    book = here.platform.endpoints["coroutine"].book
    for _ in range(3):
        found = here.emulator.do(lambda: book.find(job_id, here.platform.clock.now()))
        assert found is not None
        lease = found.lease_until
        wait_for(lambda found=found, lease=lease: found.lease_until > lease)
        here.jump(LEASE_S - 10)
    job = here.call("GET", f"coroutine/status/{job_id}").json()
    here.call("POST", f"coroutine/cancel/{job_id}")

    assert (job["status"], worker.last_ping is not None) == ("IN_PROGRESS", True)


def test_a_worker_that_is_asked_to_end_finishes_its_job(here: Rig) -> None:
    worker = here.workers["ended"]
    job_id = here.run("ended", {"sleep": 1.0})
    wait_for(lambda: worker.said("sleeping") == 1)
    here.emulator.do(lambda: here.platform.drain_worker("ended", "ended-w"))
    worker.process.send_signal(signal.SIGTERM)
    status = worker.process.wait(PATIENCE_S)

    assert (status, here.ended("ended", job_id)["status"]) == (0, "COMPLETED")


# ------------------------------------------------------------------------------------------------ faults


def test_the_sdk_sends_a_result_again_that_was_answered_with_a_5xx(here: Rig) -> None:
    here.fault(Fault(route="job-done", action="status", status=502, times=1, endpoint="sync"))
    job = here.done("sync", {"a": 1})

    assert (job["status"], job["retries"]) == ("COMPLETED", 0)


@pytest.mark.parametrize("action", ["reset", "ignore"])
def test_a_result_that_the_sdk_loses_is_computed_again_after_the_lease(here: Rig, action: str) -> None:
    here.fault(Fault(route="job-done", action=action, times=1, endpoint="sync"))
    finished = here.workers["sync"].said("Finished.")
    job_id = here.run("sync", {"a": 1})
    wait_for(lambda: here.workers["sync"].said("Finished.") == finished + 1)
    wait_for(lambda: not held_by_pings(here, job_id))
    here.jump()
    job = here.ended("sync", job_id)

    assert (job["status"], job["retries"]) == ("COMPLETED", 1)


def held_by_pings(here: Rig, job_id: str) -> bool:
    """Whether the last heartbeat may still have named the job: two more have come since."""
    worker = here.platform.endpoints["sync"].workers["sync-w"]
    last = worker.last_ping or 0.0
    wait_for(lambda: (worker.last_ping or 0.0) > last)
    return False


POLLS = (
    Fault(route="job-take", action="status", status=500, times=2, endpoint="sync"),
    Fault(route="job-take", action="status", status=400, times=2, endpoint="coroutine"),
    Fault(route="job-take", action="status", status=429, times=1, endpoint="several"),
    Fault(route="job-take", action="html", times=2, endpoint="generator"),
    Fault(route="job-take", action="reset", times=2, endpoint="async_generator"),
    Fault(route="job-stop", action="status", status=500, times=1, endpoint="coroutine"),
    Fault(route="ping", action="status", status=503, times=1, endpoint="sync"),
)


def test_the_sdk_survives_polls_that_go_wrong(here: Rig) -> None:
    """Of five endpoints at once, since each of these mistakes makes it wait."""
    before = here.platform.faults.fired
    for fault in POLLS:
        here.fault(fault)
    wait_for(lambda: here.platform.faults.fired >= before + sum(fault.times or 0 for fault in POLLS))
    jobs = {kind: here.run(kind, {"count": 1}) for kind in KINDS}

    assert {kind: here.ended(kind, jobs[kind])["status"] for kind in KINDS} == dict.fromkeys(KINDS, "COMPLETED")


@pytest.mark.parametrize("action", ["truncate", "html", "reset"])
def test_a_job_that_does_not_reach_the_sdk_is_handed_out_again_after_the_lease(here: Rig, action: str) -> None:
    here.fault(Fault(route="job-take", action=action, after_commit=True, times=1, endpoint="sync"))
    job_id = here.run("sync", {"a": 1})
    here.until("sync", job_id, lambda job: job["status"] == "IN_PROGRESS")
    here.jump()
    job = here.ended("sync", job_id)

    assert (job["status"], job["retries"]) == ("COMPLETED", 1)


def test_a_job_that_is_handed_out_twice_ends_once(here: Rig) -> None:
    here.fault(Fault(route="job-take", action="double", times=1, endpoint="several"))
    job_id = here.run("several", {"sleep": 1.0})
    wait_for(lambda: here.workers["several"].said("sleeping") >= 2)
    job = here.ended("several", job_id)

    assert (job["status"], job["retries"]) == ("COMPLETED", 0)


# ------------------------------------------------------------------------------------------------ clients


@pytest.fixture(scope="module")
def got(here: Rig) -> dict[str, dict[str, object]]:
    """What the SDK's two clients got, in a process of their own."""
    home = str(here.home)
    done = subprocess.run(
        [sys.executable, str(HERE / "sdk_client.py"), here.emulator.url, KEY],
        env={**os.environ, "HOME": home, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    found = json.loads(line.removeprefix("RESULT "))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("client", ["sync", "async"])
def test_a_client_of_the_sdk_gets_the_output(got, client: str) -> None:
    assert (got[client]["output"], got[client]["status"]) == ({"echo": {"a": 1}}, "COMPLETED")


def test_the_sdk_learns_of_a_failure_but_not_why(got) -> None:
    assert got["sync"]["failed"] == [None, "FAILED"]


def test_run_sync_of_the_sdk_returns_the_output(got) -> None:
    assert got["sync"]["run_sync"] == {"echo": {"b": 2}}


@pytest.mark.parametrize(("client", "count"), [("sync", 3), ("async", 2)])
def test_a_stream_reaches_the_sdk_whole(got, client: str, count: int) -> None:
    assert got[client]["stream"] == [{"number": number} for number in range(count)]


@pytest.mark.parametrize("client", ["sync", "async"])
def test_cancel_purge_and_health_of_the_sdk_work(got, client: str) -> None:
    found = got[client]

    assert (found["cancel"], found["purge"]) == ("CANCELLED", {"removed": 0, "status": "completed"})
    assert found["health"] == ["jobs", "workers"]


def test_a_wrong_key_is_what_the_sdk_says_it_is(got) -> None:
    assert "401 Unauthorized" in str(got["sync"]["wrong key"])
