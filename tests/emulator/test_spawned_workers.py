"""Workers of the unmodified SDK that the emulator starts and ends: from zero, back to zero, and through a crash."""

import asyncio
import logging
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import psutil
import pytest

from embedstack.emulator.app import data_app
from embedstack.emulator.autoscaler import spawning
from embedstack.emulator.billing import Ledger, Meter
from embedstack.emulator.endpoint import EndpointSettings
from embedstack.emulator.job import Job, Submission
from embedstack.emulator.platform import Change, Platform
from embedstack.emulator.serve import listen, served, url_of

pytestmark = pytest.mark.sdk

PATIENCE_S = 100.0
WORKER = """
import asyncio, os, pathlib
import runpod

async def handler(job):
    note = pathlib.Path(job["input"].get("note", "/nowhere"))
    if job["input"].get("hang") and not note.exists():
        note.write_text(str(os.getpid()))
        await asyncio.sleep(1000)
    return {"said": job["input"]["text"], "worker": os.environ["RUNPOD_POD_ID"]}

if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
"""
SCALING = EndpointSettings(idle_timeout_s=0.5)


@pytest.fixture
def command(tmp_path: Path) -> str:
    file = tmp_path / "worker.py"
    file.write_text(textwrap.dedent(WORKER))
    return f"{sys.executable} {file}"


@asynccontextmanager
async def emulator(command: str, settings: EndpointSettings = SCALING) -> AsyncIterator[Platform]:
    platform = Platform()
    Meter(platform, Ledger())
    platform.add_endpoint("e", settings=settings)
    listener = listen("127.0.0.1", 0)
    async with (
        served(platform, {data_app(platform, ["key"]): listener}),
        spawning(platform, command, os.environ, url=url_of(listener), key="key", ping_ms=1000),
    ):
        yield platform


def children() -> set[int]:
    """Processes that this one started and that have not ended."""
    there = psutil.Process().children()
    return {child.pid for child in there if child.status() != psutil.STATUS_ZOMBIE}


def submit(platform: Platform, body: bytes) -> Job:
    return platform.endpoints["e"].book.submit(Submission(input=body), platform.clock.now())


class Watch:
    """Waits for changes of a platform."""

    def __init__(self, platform: Platform) -> None:
        self._changed = asyncio.Event()
        platform.subscribe(self._heard)

    def _heard(self, change: Change) -> None:
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not holds():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), PATIENCE_S)


@pytest.mark.timeout(150)
def test_an_endpoint_with_the_real_sdk_scales_from_zero_and_back(
    command: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = children()

    async def run() -> tuple[Job, set[int]]:
        async with emulator(command) as platform:
            watch = Watch(platform)
            job = submit(platform, b'{"text": "hello"}')
            await watch.until(lambda: job.is_final)
            alive = children() - before
            await watch.until(lambda: not platform.endpoints["e"].workers)
            return job, alive

    with caplog.at_level(logging.INFO, "embedstack.emulator"):
        job, alive = asyncio.run(run())

    assert (job.status, orjson.loads(job.output or b"{}")["said"]) == ("COMPLETED", "hello")
    assert len(alive) == 2  # it and its guard
    assert alive & children() == set()
    assert [record.message.split()[0] for record in caplog.records] == ["event=worker_starting", "event=worker_stopped"]


@pytest.mark.timeout(150)
def test_a_job_whose_worker_is_killed_is_done_by_another(command: str, tmp_path: Path) -> None:
    note = tmp_path / "note"

    async def run() -> Job:
        async with emulator(command) as platform:
            watch = Watch(platform)
            job = submit(platform, f'{{"text": "hello", "hang": true, "note": "{note}"}}'.encode())
            await watch.until(lambda: job.status == "IN_PROGRESS")
            while not note.exists() or not note.read_text():
                await asyncio.sleep(0.02)
            os.kill(int(note.read_text()), signal.SIGKILL)
            await watch.until(lambda: job.is_final)
            return job

    job = asyncio.run(run())

    assert (job.status, job.retries) == ("COMPLETED", 1)
