"""`embedstack worker runpod`, as users run it: against a queue, and alone over HTTP."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from embedstack import load
from embedstack.api import open_engine
from embedstack.engine.engine import Engine
from embedstack.errors import BadRequest, ConfigError
from embedstack.settings import Settings
from embedstack.worker import run as worker_run
from embedstack.worker import sdk
from support.commands import COMMAND, PATIENCE_S, process, run, settings_only, wanted
from support.handing import Platform, working
from support.tiny import CASES, write

AS_CURL = {"content-type": "application/x-www-form-urlencoded"}  # as `curl -d` sends it
PLAIN = {"EMBEDSTACK_PRECISION": "float32", "EMBEDSTACK_THREADS": "1", "EMBEDSTACK_LANES": "1"}


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("a", "--models", "b"), "models are given twice"),
        (("--local", "--emulator", "http://127.0.0.1:1"), "take one of them"),
        (("--emulator", "bge-m3"), "--emulator='bge-m3' is no URL"),
    ],
)
def test_what_contradicts_itself_is_refused(arguments: tuple[str, ...], why: str) -> None:
    result = run("worker", "runpod", *arguments)

    assert isinstance(result.exception, BadRequest)
    assert why in str(result.exception)


def test_without_a_source_of_jobs_it_ends_before_it_loads_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNPOD_WEBHOOK_GET_JOB", raising=False)

    result = run("worker", "runpod", "/there/is/no/such/model")

    assert isinstance(result.exception, ConfigError)
    assert "RUNPOD_WEBHOOK_GET_JOB is not set" in str(result.exception)


@pytest.mark.slow
def test_alone_it_listens_to_the_network_on_the_port_that_is_set(tmp_path: Path) -> None:
    done = process("worker", "runpod", "--local", cwd=tmp_path, env=settings_only(PORT="99999"))

    assert done.returncode == 2
    assert b"cannot listen on 0.0.0.0 port 99999" in done.stderr


# ------------------------------------------------------------------------------------------------ a queue


def answered(platform: Platform, home: Path, folder: Path, *texts: str) -> np.ndarray:
    platform.give("a", input={"texts": list(texts)})
    command = ("-m", "embedstack", "worker", "runpod", str(folder), f"--emulator={platform.url}")
    with working(platform, home, *command, EMBEDSTACK_CACHE_DIR=str(home / "cache"), **PLAIN) as worker:
        result = platform.result("a")
        worker.process.terminate()

        assert worker.ended() == 0
    assert "event=ready" in worker.text
    assert "event=untested_sdk" not in worker.text
    return np.array(result["output"]["embeddings"], np.float32)


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform(hold_s=PATIENCE_S)
    yield made
    made.close()


@pytest.mark.sdk
def test_a_worker_gives_the_vectors_of_the_library(platform: Platform, tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "tiny")

    made = answered(platform, tmp_path, folder, "sun", "moon tree")

    assert np.allclose(made, wanted(str(folder), "sun", "moon tree"), atol=1e-6)


@pytest.mark.sdk
@pytest.mark.weights
def test_a_worker_with_real_weights_proves_them_and_gives_their_vectors(
    platform: Platform, tmp_path: Path, minilm_folder: Path
) -> None:

    made = answered(platform, tmp_path, minilm_folder, "what is a panda", "The river and the city")

    with load(str(minilm_folder), precision="float32") as model:
        rows = model.encode(["what is a panda", "The river and the city"]).dense
    assert np.allclose(made, rows, atol=1e-5)


# ------------------------------------------------------------------------------------------------ over HTTP


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(CASES["bert-mean"], tmp_path_factory.mktemp("local") / "tiny")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A worker that is alone."""
    started = subprocess.Popen(
        [*COMMAND, "worker", "runpod", str(folder), "--local", "--host", "127.0.0.1", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder.parent,
        env=settings_only(EMBEDSTACK_CACHE_DIR=str(folder.parent / "cache")),
    )
    try:
        line = next((line for line in started.stderr if line.startswith("listening on ")), "")
        yield line.split()[-1]
    finally:
        started.terminate()
        started.wait(PATIENCE_S)
        started.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/runsync", ""])
def test_a_job_that_curl_sends_is_answered_at_once(url: str, folder: Path, path: str) -> None:
    reply = httpx.post(f"{url}{path}", content=b'{"input":{"texts":["sun"]}}', headers=AS_CURL)

    assert (reply.status_code, reply.json()["status"]) == (200, "COMPLETED")
    assert np.allclose(reply.json()["output"]["embeddings"], wanted(str(folder), "sun"), atol=1e-6)


@pytest.mark.slow
def test_the_worker_for_queries_is_tried_alone_in_the_same_way(url: str, folder: Path) -> None:
    reply = httpx.post(f"{url}/runsync", json={"input": {"action": "embed_query", "query": "sun"}})

    assert np.allclose([reply.json()["output"]["embedding"]], wanted(str(folder), "sun"), atol=1e-6)


@pytest.mark.slow
def test_its_health_check_runs_the_model(url: str) -> None:
    output = httpx.post(f"{url}/", json={"input": {"action": "health_check"}}).json()["output"]

    assert (output["status"], output["endpoint"], output["model"]) == ("ok", "query", "tiny")


@pytest.mark.slow
def test_what_is_not_available_says_so(url: str) -> None:
    reply = httpx.post(f"{url}/", json={"input": {"type": "predictive", "intent_embedding": [0.0]}}).json()

    assert reply["status"] == "FAILED"
    assert "predictive" in reply["error"]


@pytest.mark.slow
def test_a_load_balancer_is_told_that_it_is_ready(url: str) -> None:
    assert httpx.get(f"{url}/ping").status_code == 200


@pytest.mark.sdk
@pytest.mark.parametrize(("ends", "code"), [(False, 0), (True, 1)])
def test_a_worker_whose_engine_ended_says_so_by_its_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: bool, code: int
) -> None:
    opened: list[Engine] = []

    def opening(*given: object, **named: object) -> Engine:
        opened.append(open_engine(*given, **named))
        return opened[0]

    def start(config: dict[str, object]) -> None:  # in the place of the SDK, whose loop takes no job here
        if ends:
            opened[0].close()

    serverless = SimpleNamespace(register_fitness_check=lambda check: None, start=start)
    modules = {name: SimpleNamespace(run_worker=None) for name in ("worker", "rp_http", "rp_job", "rp_scale")}
    monkeypatch.setattr(sdk, "load", lambda: sdk.Sdk(version="0.1", serverless=serverless, **modules))
    monkeypatch.setattr(worker_run, "open_engine", opening)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # what is set for the SDK is undone
    settings = Settings(cache_dir=tmp_path / "cache", precision="float32", threads=1, lanes=1)

    assert worker_run.run(settings, [str(write(CASES["bert-mean"], tmp_path))], lambda line: None) == code
