"""`embedstack emulate runpod` as a user runs it."""

import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from embedstack.cli.emulate import what_to_type
from embedstack.emulator.endpoint import EndpointSettings
from embedstack.emulator.run import Wanted
from embedstack.emulator.serve import listen
from embedstack.errors import ConfigError
from support.shown import calls, resolve

PATIENCE_S = 60
KEY = {"authorization": "Bearer local"}


@contextmanager
def emulating(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", list[str]]]:
    """The process, and what it said until it answered."""
    words = ["-m", "embedstack", "emulate", "runpod", "--port", "0", "--control-port", "0", *arguments]
    process = subprocess.Popen(
        [sys.executable, *words], stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_PROXY": "127.0.0.1"}
    )
    try:
        assert process.stderr is not None
        said = []
        while not said or not said[-1].startswith("a client:"):
            line = process.stderr.readline()
            assert line, f"it ended with {process.wait()}: {''.join(said)}"
            said.append(line)
        yield process, said
    finally:
        process.kill()
        process.communicate()


def data_url(said: list[str]) -> str:
    found = re.search(r"jobs: +(\S+)", said[0])
    assert found
    return found[1]


@pytest.mark.slow
def test_it_says_what_to_type_next_and_that_is_possible() -> None:
    with emulating() as (_, said):
        url = data_url(said)
        health = httpx.get(f"{url}/health", headers=KEY).json()
        page = "```\n" + "".join(line.partition(":  ")[2] for line in said[2:]) + "```"
        shown = calls(page)
        for words in shown:
            resolve(words)  # which refuses what is none

    assert health["jobs"]["inQueue"] == 0
    assert [words[0] for words in shown] == ["worker", "embed"]
    assert f"--via {url}/runsync" in said[-1]


@pytest.mark.slow
def test_a_worker_by_hand_takes_the_job_of_a_client() -> None:
    with emulating() as (_, said):
        url = data_url(said)
        job_id = httpx.post(f"{url}/run", json={"input": {"a": 1}}, headers=KEY).json()["id"]
        job = httpx.get(f"{url}/job-take/w?gpu=none", headers={"authorization": "local"}).json()
        httpx.post(f"{url}/job-done/w/{job_id}?gpu=none", content=b'{"output": 2}', headers={"authorization": "local"})
        shown = httpx.get(f"{url}/status/{job_id}", headers=KEY).json()

    assert (job, shown["output"]) == ({"id": job_id, "input": {"a": 1}}, 2)


@pytest.mark.slow
def test_a_signal_ends_it_although_a_worker_and_a_client_wait() -> None:
    with emulating() as (process, said):
        url, statuses = data_url(said), []

        def wait(method: str, path: str) -> None:
            reply = httpx.request(
                method,
                f"{url}/{path}",
                headers=KEY,
                timeout=PATIENCE_S,
                json={"input": {}} if method == "POST" else None,
            )
            statuses.append(reply.status_code)

        asking = [("GET", "job-stop/w"), ("POST", "runsync?wait=90000")]
        threads = [threading.Thread(target=wait, args=one) for one in asking]
        for thread in threads:
            thread.start()
        while httpx.get(f"{url}/health", headers=KEY).json()["jobs"]["inQueue"] == 0:
            pass
        process.send_signal(signal.SIGTERM)
        status = process.wait(PATIENCE_S)
        for thread in threads:
            thread.join(PATIENCE_S)

    assert (status, sorted(statuses)) == (0, [200, 204])


@pytest.mark.slow
def test_a_reset_closes_a_real_connection(tmp_path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(
        '[[fault]]\nroute = "health"\naction = "reset"\ntimes = 1\n'
        '[[fault]]\nroute = "health"\naction = "truncate"\ntimes = 1\n'
    )
    with emulating("--faults", str(path)) as (_, said):
        failures = []
        for _ in range(2):
            with pytest.raises(httpx.TransportError) as failure:
                httpx.get(f"{data_url(said)}/health", headers=KEY)
            failures.append(failure.type)
        reply = httpx.get(f"{data_url(said)}/health", headers=KEY)

    assert (len(failures), reply.status_code) == (2, 200)


def test_another_key_than_the_usual_one_is_not_said() -> None:
    worker, client = what_to_type("http://127.0.0.1:8001/v2/mine", "a-secret")

    assert worker.startswith('a worker:  RUNPOD_AI_API_KEY="$RUNPOD_API_KEY" embedstack worker runpod --emulator=http')
    assert (worker.endswith("/v2/mine"), "a-secret" in worker + client) == (True, False)


@pytest.mark.parametrize(
    "wanted",
    [
        {"settings": EndpointSettings(workers_min=4)},
        {"settings": EndpointSettings(workers_min=-1)},
        {"settings": EndpointSettings(workers_min=-2, workers_max=-1)},
        {"settings": EndpointSettings(idle_timeout_s=-1.0)},
        {"settings": EndpointSettings(idle_timeout_s=math.nan)},
        {"endpoint": "a/b"},
        {"endpoint": ""},
        {"endpoint": ".."},
        {"key": ""},
        {"key": " "},
        {"key": "a\nb"},
    ],
    ids=str,
)
def test_what_cannot_be_emulated_is_refused(wanted: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"; (give|take) "):
        Wanted(**wanted)


def test_a_port_that_is_taken_is_said() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="choose another port"):
        listen("127.0.0.1", taken.getsockname()[1])
