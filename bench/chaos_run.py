"""Submissions and known vectors -> what became of each, with faults on all ways and workers killed in mid-job."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import orjson

from chaos_count import LEAST_COSINE, PRECISION, Made, Seen, Traces, least_cosine, summary
from chaos_plan import DEADLINES_S, Ask, number_of, storm
from chaos_stage import KEY, Stage, staged
from embedstack import load
from embedstack.client import Client
from embedstack.emulator.endpoint import EndpointSettings
from embedstack.emulator.job import Job
from embedstack.errors import EmbedstackError
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded, Text

COMMAND = (sys.executable, "-m", "embedstack", "worker", "runpod")
SETTINGS = {"EMBEDSTACK_PRECISION": PRECISION, "EMBEDSTACK_THREADS": "1", "EMBEDSTACK_OFFLINE": "true"}
HUNG_S = 10.0  # behind its deadline: whoever still waits then, would for ever
CANCELLED_S = 5.0  # that a cancelled call may take to end
END_S = 30.0  # for jobs whose callers have gone: two leases and a restart
STRIKE_S = 0.005  # after a job was handed out its worker has it
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """How hard it is.

    Args:
        share: of all calls that go wrong.
        kill_every: hand-outs of jobs from one killed worker to the next.
        at_once: submissions under way.
    """

    share: float = 0.05
    kill_every: int = 100
    at_once: int = 32
    workers: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What the engine here makes of each text."""

    spec: ModelSpec
    rows: Mapping[str, np.ndarray]

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, dim)."""
        return np.array([self.rows[text] for text in texts], np.float32)


def known_of(asks: Sequence[Ask]) -> Known:
    """Of all their texts."""
    texts = sorted({text for ask in asks for text in ask.texts})
    with load(precision=PRECISION, offline=True) as model:
        dense = model.encode(texts).dense
        return Known(model.spec, dict(zip(texts, dense, strict=True)))


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Of workers: nothing is set but where models lie, and what makes them small."""
    others = {name: value for name, value in environ.items() if not name.startswith(("EMBEDSTACK_", "RUNPOD_"))}
    kept = {name: environ[name] for name in ("EMBEDSTACK_CACHE_DIR",) if name in environ}
    return {**others, **kept, **SETTINGS}


async def run(asks: Sequence[Ask], known: Known, storm_of: Storm, say: Say = lambda line: None) -> Made:
    """All of them, and what was seen."""
    settings = EndpointSettings(workers_min=storm_of.workers, workers_max=storm_of.workers)
    faults = storm(storm_of.share)
    async with staged(COMMAND, environment(os.environ), settings=settings, faults=faults, seed=storm_of.seed) as stage:
        await stage.ready(storm_of.workers)
        reaper, began = Reaper(stage, storm_of.kill_every), time.monotonic()
        seen = await _submitted(stage, asks, known, storm_of.at_once, say)
        seconds = time.monotonic() - began
        made = _facts(stage, reaper) | {"seconds": round(seconds, 1), "at_once": storm_of.at_once}
        await _ended(stage)
        traces = Traces(_numbers(stage.watch.jobs), stage.watch.handed_out, stage.watch.ended)
    return summary(seen, traces, count=len(asks), patient_s=max(DEADLINES_S)) | made


async def _submitted(stage: Stage, asks: Sequence[Ask], known: Known, at_once: int, say: Say) -> list[Seen]:
    seen: list[Seen] = []
    room = asyncio.Semaphore(at_once)

    async def one(client: Client, ask: Ask) -> None:
        async with room:
            seen.append(await submitted(client, ask, known))
        if len(seen) % 500 == 0:
            say(f"{len(seen)} of {len(asks)} submissions have ended")

    async with Client(f"{stage.url}/runsync", key=KEY, spec=known.spec) as client:
        await asyncio.gather(*(one(client, ask) for ask in asks))
    return seen


async def submitted(client: Client, ask: Ask, known: Known) -> Seen:
    """One submission until it ends, or until nobody can say that it will."""
    began = time.monotonic()
    items = tuple(Text(text) for text in ask.texts)
    request = Encode(model=known.spec.name, items=items, deadline=began + ask.deadline_s)
    call, is_cancelled = asyncio.ensure_future(client.encode(request)), False
    limit_s = ask.deadline_s + HUNG_S
    if ask.cancel_after_s is not None:
        await asyncio.wait({call}, timeout=ask.cancel_after_s)
        is_cancelled, limit_s = call.cancel(), CANCELLED_S
    await asyncio.wait({call}, timeout=limit_s)
    took_s = time.monotonic() - began
    if not call.done():
        call.cancel()
        return Seen(ask.number, "hung", took_s, ask.deadline_s)
    return seen_of(ask, call, took_s, known, is_cancelled=is_cancelled)


def seen_of(ask: Ask, call: "asyncio.Future[Encoded]", took_s: float, known: Known, *, is_cancelled: bool) -> Seen:
    """How a call that is over ended."""
    if call.cancelled():
        return Seen(ask.number, "cancelled" if is_cancelled else "bug", took_s, ask.deadline_s)
    error = call.exception()
    if isinstance(error, EmbedstackError):
        return Seen(ask.number, "error", took_s, ask.deadline_s, error.code)
    if error is not None:
        return Seen(ask.number, "bug", took_s, ask.deadline_s, repr(error))
    cosine = least_cosine(np.asarray(call.result().dense), known.of(ask.texts))
    fate = "proven" if cosine >= LEAST_COSINE else "wrong"
    return Seen(ask.number, fate, took_s, ask.deadline_s, cosine=cosine)


async def _ended(stage: Stage) -> None:
    """Give jobs a while to end for which nobody waits any more: somebody pays for them."""
    with suppress(AssertionError):  # those that do not end are counted
        await stage.watch.until(lambda: not stage.open_jobs(), "the end of all jobs", END_S)


def _facts(stage: Stage, reaper: "Reaper") -> Made:
    faults = {
        "fired": stage.platform.faults.fired,
        "calls": sum(stage.calls.values()),
        "by_route": dict(sorted(stage.calls.items())),
    }
    return {"faults": faults, "kills": reaper.kills, "workers_started": len(stage.spawner.processes)}


def _numbers(jobs: Mapping[str, Job]) -> dict[str, int]:
    return {job_id: number_of(orjson.loads(job.asked.input)["texts"]) for job_id, job in jobs.items()}


class Reaper:
    """Kills a worker with jobs in its hands, once for so many that were handed out.

    Args:
        kills: how many jobs each of them had.
    """

    def __init__(self, stage: Stage, every: int) -> None:
        self.kills: list[int] = []
        self._stage, self._every = stage, every
        self._handed_out = self._due = 0
        self._struck: set[str] = set()
        stage.watch.on_hand_out(self._heard)

    def _heard(self, job: Job) -> None:
        self._handed_out += 1
        self._due += self._handed_out % self._every == 0
        if self._due:
            clock = self._stage.platform.clock
            clock.call_at(clock.now() + STRIKE_S, partial(self._strike, job.worker_id))

    def _strike(self, worker_id: str) -> None:
        worker = self._stage.endpoint.workers.get(worker_id)
        if self._due and worker is not None and worker.jobs and worker_id not in self._struck:
            self._due -= 1
            self._struck.add(worker_id)
            self.kills.append(len(worker.jobs))
            self._stage.spawner.processes[worker_id].kill()
