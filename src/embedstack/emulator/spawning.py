"""A command that starts a worker -> a platform that starts and ends as many of them as its endpoints need."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from embedstack.emulator.autoscaler import Autoscaler, Environment
from embedstack.emulator.platform import Platform
from embedstack.emulator.processes import PING_MS, ProcessSpawner, Say, command_words

log = logging.getLogger("embedstack.emulator")


@asynccontextmanager
async def spawning(
    platform: Platform,
    command: str,
    environ: Mapping[str, str],
    *,
    url: str,
    key: str,
    say: Say = lambda worker_id, line: None,
    env_of: Environment = lambda endpoint_id: {},
    machines: int | None = None,
    cold_start_s: float = 0.0,
    ping_ms: int = PING_MS,
) -> AsyncIterator[Autoscaler]:
    """Within it workers come and go; at its end they are asked to end, and the data plane must still answer them.

    Args:
        command: as a shell would take it.
        environ: the variables of this machine.
        url: where the data plane can be reached from here, without a path.
        key: that workers show there.
    Raises:
        ConfigError: the command cannot be run.
    """
    words = command_words(command, environ)
    with TemporaryDirectory(prefix="embedstack-worker-") as home:
        spawner = ProcessSpawner(words, environ, url=url, key=key, home=Path(home), say=say, ping_ms=ping_ms)
        scaler = Autoscaler(platform, spawner, env_of=env_of, machines=machines, cold_start_s=cold_start_s)
        task = asyncio.create_task(scaler.run())
        task.add_done_callback(_tell)
        try:
            yield scaler
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _tell(task: "asyncio.Task[None]") -> None:
    """A scaler that failed must not do so unseen."""
    if not task.cancelled() and (error := task.exception()):
        log.error("event=autoscaler_failed error=%r", error)
