"""A worker from its order to its end, what starts it, and when the next may follow where one crashed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from embedstack.emulator.clock import Clock, Timer
from embedstack.emulator.endpoint import Worker
from embedstack.errors import ConfigError

SIGNALLED = 128  # and above, a shell tells of a signal; a status between is the program's own word that it failed
MOST_CRASHES = 5  # in a row, without one finished job between them: a loop, which in production goes on and is paid for


@dataclass(frozen=True, slots=True)
class Order:
    """A worker to start, with the variables that its endpoint sets."""

    endpoint_id: str
    worker_id: str
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # keys may stand in it


class Running(Protocol):
    """A worker that was started."""

    async def wait(self) -> int:
        """Return once it has ended: its exit status, or minus the signal that ended it."""
        ...

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); one that has ended is no error."""
        ...

    def kill(self) -> None:
        """End it and all that it started (SIGKILL); one that has ended is no error."""
        ...

    async def last_words(self) -> str:
        """Of one that has ended: what it wrote last, once all of that is read, which may take a while."""
        ...


class Spawner(Protocol):
    """Starts workers."""

    async def start(self, order: Order) -> Running:
        """A worker that begins.

        Raises:
            ConfigError: it cannot be started, now or ever.
        """
        ...


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
    _words: str = ""

    @property
    def has_crashed(self) -> bool:
        """Of one that has ended: whether nobody wanted that."""
        return self.has_failed or not (self.is_ending or self.worker.is_draining)

    async def run(self, spawner: Spawner, order: Order, clock: Clock) -> None:
        """Start it and return when it has ended."""
        try:
            running = self._running = await spawner.start(order)
        except Exception as error:  # whatever it is, it is this worker's end and not the scaler's
            self.has_failed = True
            self._words = str(error) if isinstance(error, ConfigError) else f"it could not be started: {error!r}"
            return
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
        self.has_failed |= 0 < status < SIGNALLED
        late = " (killed: it took too long to end)" if self._was_killed else ""
        self._words = f"status {status}{late}; its last lines: "

    async def words(self) -> str:
        """How it ended, once all that it wrote was passed on."""
        return self._words + (await self._running.last_words() if self._running is not None else "")

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


@dataclass(slots=True)
class Streak:
    """The crashes of one endpoint since a job was last finished or its settings changed."""

    count: int = 0
    retry_at: float = 0.0
    crashed_at: float = float("-inf")
    completed: int = 0  # jobs, when it crashed last

    @property
    def is_loop(self) -> bool:
        """Whether starting another one is given up."""
        return self.count >= MOST_CRASHES

    def crashed(self, started_at: float, completed: int, now: float) -> bool:
        """One more: the pause before the next start doubles.

        Returns:
            False where it counts with the one before, which had not crashed yet when this worker started.
        """
        if completed > self.completed:
            self.count, self.crashed_at = 0, float("-inf")
        self.completed = completed
        is_another = started_at > self.crashed_at
        if is_another:
            self.count, self.crashed_at = self.count + 1, now
        self.retry_at = now + 2.0 ** (self.count - 1)
        return is_another

    def may_start(self, now: float) -> bool:
        """Whether a worker may start."""
        return not self.is_loop and now >= self.retry_at
