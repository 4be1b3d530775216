"""Decisions of the scaler become workers that start and end: the loop that ties platform, scaling and processes."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from embedstack.emulator.endpoint import Endpoint, Worker
from embedstack.emulator.life import Life, Order, Spawner, Streak
from embedstack.emulator.platform import Change, Platform
from embedstack.emulator.processes import PING_MS, ProcessSpawner, Say, command_words
from embedstack.emulator.scaling import INIT_TIMEOUT_S, Demand, Rules, Standing, decide

TICK_S = 0.25  # between two looks: short beside the delays that can be set, of which 0.5 s is the least
GRACE_S = 10.0  # from SIGTERM to SIGKILL, as `docker stop` has it; RunPod's is not published
INIT_TIMEOUT = "RUNPOD_INIT_TIMEOUT"  # the variable of an endpoint, in seconds

log = logging.getLogger("embedstack.emulator")

LOOP = (
    "event=crash_loop endpoint=%s crashes=%d no more are started until its settings change; in production they would "
    "be, and paid for"
)

Environment = Callable[[str], Mapping[str, str]]
"""An endpoint's id -> the variables that it sets in its workers."""


def new_worker_id() -> str:
    """An id of the form that RunPod gives."""
    return secrets.token_hex(7)


def rules_of(endpoint: Endpoint, env: Mapping[str, str]) -> Rules:
    """What the scaler of this endpoint goes by."""
    settings = endpoint.settings
    scaling = (settings.scaling.kind, settings.scaling.value)
    return Rules(
        workers_min=settings.workers_min,
        workers_max=settings.workers_max,
        scaling=scaling,
        idle_timeout_s=settings.idle_timeout_s if settings.scaling.kind == "QUEUE_DELAY" else 0.0,
        init_timeout_s=_seconds(env.get(INIT_TIMEOUT, ""), INIT_TIMEOUT_S),
    )


def _seconds(text: str, default: float) -> float:
    return float(text) if text.isascii() and text.isdecimal() else default


def standing_of(worker: Worker, version: int) -> Standing:
    """A worker as the scaler sees it."""
    return Standing(
        id=worker.id,
        status=worker.status,
        since=worker.started_at if worker.idle_since is None else worker.idle_since,
        started_at=worker.started_at,
        is_stale=worker.version < version,
        is_draining=worker.is_draining,
    )


class Autoscaler:
    """Looks at every endpoint again and again. Workers that somebody else started are none of its business.

    Args:
        env_of: what an endpoint sets in its workers.
        grace_s: that a worker has to end after SIGTERM.
    """

    def __init__(
        self,
        platform: Platform,
        spawner: Spawner,
        *,
        env_of: Environment = lambda endpoint_id: {},
        grace_s: float = GRACE_S,
        new_id: Callable[[], str] = new_worker_id,
    ) -> None:
        self._platform, self._spawner, self._env_of = platform, spawner, env_of
        self._grace_s, self._new_id = grace_s, new_id
        self._lives: dict[str, Life] = {}
        self._streaks: dict[str, Streak] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        platform.subscribe(self._heard)

    async def run(self) -> None:
        """Look until cancelled, then end all workers."""
        try:
            while True:
                self.look()
                await self._platform.clock.sleep(TICK_S)
        finally:
            await self.close()

    def look(self) -> None:
        """Decide once, and begin what was decided."""
        for endpoint in tuple(self._platform.endpoints.values()):
            self._look_at(endpoint)
        for life in tuple(self._lives.values()):
            self._look_after(life)
        for life in tuple(self._lives.values()):
            self._advance(life)

    async def close(self) -> None:
        """SIGTERM to all of them, SIGKILL after the grace; they may finish what they have."""
        for life in tuple(self._lives.values()):
            self._end(life)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -------------------------------------------------------------------------------------------- deciding

    def _look_at(self, endpoint: Endpoint) -> None:
        if endpoint.kind == "LOAD_BALANCER":  # its workers are HTTP servers, which nothing here leads requests to
            return
        now, book = self._platform.clock.now(), endpoint.book
        lives = [one for one in self._lives.values() if one.worker.endpoint_id == endpoint.id and self._is_known(one)]
        demand = Demand(book.urgent(now), book.oldest_wait_s(now), book.counts(now).in_progress)
        rules = rules_of(endpoint, self._env_of(endpoint.id))
        decision = decide(rules, demand, [standing_of(life.worker, endpoint.version) for life in lives], now)
        for life in lives:
            life.has_failed |= life.worker.id in decision.hung or life.worker.status == "UNHEALTHY"
        for worker_id in decision.drain:
            self._platform.drain_worker(endpoint.id, worker_id)
        if any(life.has_failed for life in lives):  # its successor waits, as after any crash
            return
        if decision.start and self._streak(endpoint.id).may_start(now):
            for _ in range(decision.start):
                self._order(endpoint)

    def _order(self, endpoint: Endpoint) -> None:
        worker = self._platform.register_worker(endpoint.id, self._new_id())
        self._platform.set_status(worker, "THROTTLED")
        self._lives[worker.id] = Life(worker)

    # -------------------------------------------------------------------------------------------- one worker

    def _look_after(self, life: Life) -> None:
        """End it where the platform no longer has it, or where it shall go and has nothing left to do."""
        has_left = life.worker.is_draining and (life.has_failed or not life.worker.jobs)
        if has_left or not self._is_known(life):
            self._end(life)

    def _is_known(self, life: Life) -> bool:
        endpoint = self._platform.endpoints.get(life.worker.endpoint_id)
        return endpoint is not None and endpoint.workers.get(life.worker.id) is life.worker

    def _end(self, life: Life) -> None:
        if self._is_known(life) and not life.worker.is_draining:  # so that its polls end, for which the SDK waits
            self._platform.drain_worker(life.worker.endpoint_id, life.worker.id)
        life.end(self._platform.clock, self._grace_s)
        if life.task is None:
            self._forget(life)

    def _advance(self, life: Life) -> None:
        """What comes next for it: a machine, then its process."""
        now = self._platform.clock.now()
        if life.task is None and not life.has_machine and now >= life.not_before:
            self._give_machine(life)
        if life.task is None and life.has_machine and now >= life.not_before:
            life.task = asyncio.create_task(self._live(life))
            self._tasks.add(life.task)
            life.task.add_done_callback(self._tasks.discard)

    def _give_machine(self, life: Life) -> None:
        """From now on it costs money, and its time to get ready passes."""
        now, fault = self._platform.clock.now(), self._platform.faults.pick("spawn", life.worker.endpoint_id)
        if fault is not None and fault.action == "status":  # none is free for so long
            life.not_before = now + fault.seconds
            return
        life.worker = self._platform.register_worker(life.worker.endpoint_id, life.worker.id)
        life.has_machine, life.not_before = True, now
        if fault is not None and fault.action == "delay":
            life.not_before += fault.seconds
        elif fault is not None and fault.action == "reset":
            life.kill_after_s = fault.seconds

    async def _live(self, life: Life) -> None:
        """From the start of its process to its end."""
        endpoint_id, worker_id = life.worker.endpoint_id, life.worker.id
        log.info("event=worker_starting endpoint=%s worker=%s", endpoint_id, worker_id)
        order, has_crashed = Order(endpoint_id, worker_id, self._env_of(endpoint_id)), False
        try:
            await life.run(self._spawner, order, self._platform.clock)
            has_crashed = life.has_crashed  # asked before the platform is told, which marks it as one that ends
        finally:
            self._forget(life)
        loop = self._count(life) if has_crashed else 0
        words = await life.words()
        if has_crashed:
            log.error("event=worker_crashed endpoint=%s worker=%s %s", endpoint_id, worker_id, words)
        else:
            log.info("event=worker_stopped endpoint=%s worker=%s", endpoint_id, worker_id)
        if loop:
            log.error(LOOP, endpoint_id, loop)

    def _forget(self, life: Life) -> None:
        """It is gone, and with it what it had in hand."""
        self._platform.lose_worker(life.worker.endpoint_id, life.worker.id)
        self._lives.pop(life.worker.id, None)

    # -------------------------------------------------------------------------------------------- crashes

    def _streak(self, endpoint_id: str) -> Streak:
        return self._streaks.setdefault(endpoint_id, Streak())

    def _count(self, life: Life) -> int:
        """Note a crash; how many there were, if with this one no more are started."""
        endpoint = self._platform.endpoints.get(life.worker.endpoint_id)
        if endpoint is None:
            return 0
        now, streak = self._platform.clock.now(), self._streak(endpoint.id)
        is_another = streak.crashed(life.worker.started_at, endpoint.book.counts(now).completed, now)
        return streak.count if is_another and streak.is_loop else 0

    def _heard(self, change: Change) -> None:
        if change.kind in ("settings", "removed"):  # whatever changed, its owner wants it tried again
            self._streaks.pop(change.endpoint_id, None)


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
        scaler = Autoscaler(platform, spawner, env_of=env_of)
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
