"""Settings become a running worker: models loaded, warmed up and proven first, then jobs until a signal ends it."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from embedstack.api import Say, open_engine
from embedstack.catalog.network import to_stderr
from embedstack.dialects.dialect import Limits
from embedstack.engine.engine import Engine
from embedstack.engine.links import Links
from embedstack.engine.memory import ProcessMemory
from embedstack.errors import NotReady
from embedstack.proof.startup import check_start
from embedstack.settings import Settings
from embedstack.worker import sdk
from embedstack.worker.answering import Answering
from embedstack.worker.output import RUNSYNC_BYTES

log = logging.getLogger(__name__)
JOB_S = 600  # that a job has by default; https://docs.runpod.io/serverless/endpoints/send-requests


def run(settings: Settings, names: Sequence[str], say: Say = to_stderr) -> int:
    """Answer jobs until SIGTERM or SIGINT, then finish those in hand; 0 if all went well, 1 if the engine ended.

    Raises:
        ConfigError: the SDK is not installed. EmbedstackError: a model cannot be opened, or is not what it should be.
    """
    sdk.set_variables({})
    loaded = sdk.load()
    engine = open_engine(waiting(settings), names, say, serving=True)
    try:
        proof = check_start(engine, settings.cache_dir, settings.precision)
        log.info("event=ready models=%s proof=%s", ",".join(spec.name for spec in engine.models()), proof)
        sdk.start(
            loaded,
            answering(engine, settings).answer,
            concurrency=settings.jobs_at_once,
            is_fit=fitness(engine),
            why_end=why_end(engine, settings.memory_mb),
        )
        code = 0 if engine.alive else 1
    finally:
        engine.close()
    log.info("event=stopped")
    return code


def waiting(settings: Settings) -> Settings:
    """The settings of an engine that refuses no job for its wait: the platform has queued it, and counts its time."""
    return replace(
        settings, max_wait_ms=settings.max_wait_ms or JOB_S * 1000, max_bulk_wait_s=max(settings.max_bulk_wait_s, JOB_S)
    )


def answering(engine: Engine, settings: Settings) -> Answering:
    """What answers jobs, as the settings have it."""
    limits = Limits(
        max_items=settings.max_items,
        truncate=settings.truncate,
        token_ids=settings.token_ids,
        max_body_bytes=RUNSYNC_BYTES,
        image_links=settings.image_links,
        find=engine.spec_of,
    )
    return Answering(engine, limits, Links(settings), engine.spec_of)


def fitness(engine: Engine) -> Callable[[], Awaitable[None]]:
    """The last look before jobs are taken; the vectors were proven at the start."""

    async def is_fit() -> None:
        if not engine.alive:
            raise NotReady("the engine ended while it was opened; see the log, and start the worker again")

    return is_fit


def why_end(engine: Engine, memory_mb: int) -> Callable[[], str]:
    """Why this worker should be started anew: its engine ended, or its process holds more than it may."""
    memory = ProcessMemory()

    def why() -> str:
        if not engine.alive:
            return "the engine ended; see the log above"
        held_mb = memory.now_bytes() // 1_000_000 if memory_mb else 0
        return (
            f"the process holds {held_mb} MB, more than the {memory_mb} of --memory-mb" if held_mb > memory_mb else ""
        )

    return why
