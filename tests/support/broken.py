"""An endpoint of the emulator with one real worker, asked by our client, in an event loop that runs as a test says so.

The worker is a program of the tests: `worker/jobs_program.py`, where a job with the text `wait` ends at a signal.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from chaos_stage import KEY, QUICK, Stage, staged
from embedstack.client import Client
from embedstack.emulator.endpoint import EndpointSettings
from embedstack.emulator.faults import Fault
from embedstack.emulator.job import Job
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Text

WAITING = "waiting for the signal"
PATIENCE_S = 20.0  # until workers have called again
UNKNOWNS = replace(QUICK, heartbeat_timeout_s=2.5)
ONE = EndpointSettings(workers_min=1, workers_max=1)
Got = TypeVar("Got")


class Here:
    """The endpoint, and what is done with it in its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stage: Stage) -> None:
        self.stage = stage
        self._loop = loop

    def run(self, doing: Awaitable[Got]) -> Got:
        return self._loop.run_until_complete(doing)

    def breaks(self, route: str, action: str, **how: object) -> None:
        self.stage.platform.faults.add(Fault(route=route, action=action, **how))

    async def ask(self, *texts: str, url: str = "", key: str = KEY, deadline_s: float = 40.0) -> np.ndarray:
        deadline = time.monotonic() + deadline_s
        request = Encode(model="hash", items=tuple(Text(text) for text in texts), deadline=deadline)
        async with Client(url or f"{self.stage.url}/runsync", key=key, pause=hurry) as client:
            return (await client.encode(request)).dense

    def jobs(self, text: str) -> list[Job]:
        """Those in which it stands."""
        return [job for job in self.stage.watch.jobs.values() if text.encode() in job.asked.input]

    async def begun(self, *texts: str, **how: object) -> "asyncio.Task[np.ndarray]":
        """A call whose job the worker has in hand."""
        before = self.stage.watch.said(WAITING)
        asking = asyncio.ensure_future(self.ask("wait", *texts, **how))
        await self.waits(before)
        return asking

    async def waits(self, before: int) -> None:
        await self.stage.watch.until(lambda: self.stage.watch.said(WAITING) > before, "a job in a worker's hands")

    def release(self) -> None:
        """Whatever waits in the worker ends."""
        os.kill(self.stage.process.pid, signal.SIGUSR1)

    async def replaced(self, worker_id: str) -> None:
        """Another worker is ready."""
        await self.stage.watch.until(
            lambda: [one.id for one in self.stage.endpoint.ready] not in ([], [worker_id]), "another worker"
        )

    async def broken(self, times: int) -> None:
        """Wait until it has gone wrong so often."""
        end = time.monotonic() + PATIENCE_S
        while self.fired < times:
            assert time.monotonic() < end, f"{self.fired} of {times} faults"
            await asyncio.sleep(0.01)

    @property
    def fired(self) -> int:
        return self.stage.platform.faults.fired

    @property
    def worker_id(self) -> str:
        (worker,) = self.stage.endpoint.ready
        return worker.id


async def hurry(seconds: float) -> None:
    """A tenth of what a client waits between its calls."""
    await asyncio.sleep(seconds / 10)


def made_of(*texts: str) -> np.ndarray:
    return asyncio.run(HashEncoder().encode(Encode(model="hash", items=tuple(map(Text, texts))))).dense


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("EMBEDSTACK_", "RUNPOD_"))}


def entered(loop: asyncio.AbstractEventLoop, command: Sequence[str]) -> Iterator[Here]:
    """The endpoint while this generator is held open, with a worker that is ready."""
    context = staged(command, environment(), settings=ONE, unknowns=UNKNOWNS)
    stage = loop.run_until_complete(context.__aenter__())
    try:
        loop.run_until_complete(stage.ready())
        yield Here(loop, stage)
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))


def within(loop: asyncio.AbstractEventLoop, command: Sequence[str], act: Callable[[Here], Got]) -> Got:
    """What comes of an act at an endpoint of its own."""
    running = entered(loop, command)
    try:
        return act(next(running))
    finally:
        running.close()
