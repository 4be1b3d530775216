"""A worker from its order to its end: what the autoscaler keeps of each one that it has."""

import asyncio
from dataclasses import dataclass

from embedstack.emulator.clock import Clock, Timer
from embedstack.emulator.endpoint import Worker
from embedstack.emulator.spawner import Order, Running, Spawner
from embedstack.errors import ConfigError


@dataclass(slots=True, eq=False)
class Life:
    """One worker.

    Args:
        has_machine: otherwise it waits for one.
        not_before: the next thing that shall happen to it (a machine, the start of its process) happens then or later.
        kill_after_s: a fault: it is killed so long after its start.
        has_failed: its end is a crash, whoever asked for it.
        is_ending: its end was asked for.
    """

    worker: Worker
    has_machine: bool = False
    not_before: float = 0.0
    kill_after_s: float | None = None
    has_failed: bool = False
    is_ending: bool = False
    task: "asyncio.Task[None] | None" = None
    _running: Running | None = None
    _grace_s: float = 0.0
    _was_killed: bool = False

    @property
    def has_crashed(self) -> bool:
        """Of one that has ended: whether nobody wanted that."""
        return self.has_failed or not (self.is_ending or self.worker.is_draining)

    async def run(self, spawner: Spawner, order: Order, clock: Clock) -> str:
        """Start it and return how it ended."""
        try:
            running = self._running = await spawner.start(order)
        except ConfigError as error:
            self.has_failed = True
            return str(error)
        timers: list[Timer] = []
        try:
            if self.kill_after_s is not None:
                timers.append(clock.call_at(clock.now() + self.kill_after_s, running.kill))
            if self.is_ending:  # which was asked for while it started
                self._terminate(clock)
            status = await running.wait()
        finally:
            running.kill()
            for timer in timers:
                timer.cancel()
        late = " (killed: it took too long to end)" if self._was_killed else ""
        return f"status {status}{late}; its last lines: {running.last_words()}"

    def end(self, clock: Clock, grace_s: float) -> None:
        """SIGTERM, and SIGKILL if it is still there after so long; asking again changes nothing."""
        if not self.is_ending:
            self.is_ending, self._grace_s = True, grace_s
            self._terminate(clock)

    def _terminate(self, clock: Clock) -> None:
        if self._running is not None:
            self._running.terminate()
            clock.call_at(clock.now() + self._grace_s, self._kill)

    def _kill(self) -> None:
        if self._running is not None and self.task is not None and not self.task.done():
            self._was_killed = True
            self._running.kill()
