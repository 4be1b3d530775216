"""A command that starts a worker -> one endpoint of the emulator with processes of it, each of which can be killed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.types import ASGIApp, Receive, Scope, Send

from embedstack.emulator.app import data_app
from embedstack.emulator.autoscaler import Autoscaler
from embedstack.emulator.endpoint import Endpoint, EndpointSettings
from embedstack.emulator.faults import Fault, Faults
from embedstack.emulator.job import Job
from embedstack.emulator.life import Order
from embedstack.emulator.platform import Change, Platform
from embedstack.emulator.processes import Process, ProcessSpawner
from embedstack.emulator.serve import listen, served, url_of
from embedstack.emulator.unknowns import Unknowns

ENDPOINT, KEY = "chaos", "a-key-of-nobody"
PING_MS = 1000  # the least that the SDK takes
QUICK = Unknowns(heartbeat_timeout_s=4.0, worker_gone_s=15.0, take_hold_s=2.0, stop_hold_s=2.0)
"""What is lost is noticed within seconds; the SDK's pings are a second apart, so three must be missing."""
GRACE_S = 5.0
PATIENCE_S = 60.0


class Watch:
    """Wakes who waits for something on the platform, and notes each time that a job was handed out, or ended.

    A job also ends when its time to live is over; one that has ended is forgotten later, which is no end.
    """

    def __init__(self, platform: Platform, endpoint: Endpoint) -> None:
        self.handed_out: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.jobs: dict[str, Job] = {}
        self.lines: list[str] = []
        self._endpoint = endpoint
        self._bell = asyncio.Event()
        self._listeners: list[Callable[[Job], None]] = []
        platform.subscribe(self._changed)

    def on_hand_out(self, listener: Callable[[Job], None]) -> None:
        """Call it with each job that a worker gets."""
        self._listeners.append(listener)

    def heard(self, worker_id: str, line: str) -> None:
        """What a worker writes."""
        self.lines.append(line)
        self._bell.set()

    async def until(self, is_so: Callable[[], bool], what: str, limit_s: float = PATIENCE_S) -> None:
        """Wait for something that a change of the platform or a word of a worker brings."""

        async def wait() -> None:
            while not is_so():
                self._bell.clear()
                await self._bell.wait()

        try:
            await asyncio.wait_for(wait(), limit_s)
        except asyncio.TimeoutError:
            raise AssertionError(f"never: {what}; the workers said: {' | '.join(self.lines[-20:])}") from None

    def said(self, words: str) -> int:
        """How many lines of workers hold them."""
        return sum(words in line for line in self.lines)

    def _changed(self, change: Change) -> None:
        if change.kind == "job":
            self._job_changed(change.subject)
        self._bell.set()

    def _job_changed(self, job_id: str) -> None:
        job = self._endpoint.book.look(job_id)
        if job is None:
            self.ended[job_id] += not self.jobs[job_id].is_final
            return
        self.jobs[job_id] = job
        self.ended[job_id] += job.is_final
        if job.status == "IN_PROGRESS":
            self.handed_out[job_id] += 1
            for listener in self._listeners:
                listener(job)


class Recorded:
    """A spawner that keeps what it started."""

    def __init__(self, spawner: ProcessSpawner) -> None:
        self.processes: dict[str, Process] = {}
        self._spawner = spawner

    async def start(self, order: Order) -> Process:
        """See `Spawner`."""
        process = await self._spawner.start(order)
        self.processes[order.worker_id] = process
        return process


class Counted:
    """An ASGI application whose calls are counted by route."""

    def __init__(self, app: ASGIApp, calls: "Counter[str]") -> None:
        self._app, self._calls = app, calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            self._calls[scope["path"].split("/")[3]] += 1
        await self._app(scope, receive, send)


class Stage:
    """An endpoint that is served, with its workers.

    Args:
        url: of the endpoint, as RunPod would have it without the route.
        calls: how many came, by route.
    """

    def __init__(self, platform: Platform, endpoint: Endpoint, url: str, calls: "Counter[str]") -> None:
        self.platform, self.endpoint, self.calls = platform, endpoint, calls
        self.url = f"{url}/v2/{endpoint.id}"
        self.watch = Watch(platform, endpoint)
        self.spawner: Recorded

    @property
    def process(self) -> Process:
        """Of the worker that is ready, where there is one of them."""
        (worker,) = self.endpoint.ready
        return self.spawner.processes[worker.id]

    async def ready(self, count: int = 1) -> None:
        """Wait until so many workers poll."""
        await self.watch.until(lambda: len(self.endpoint.ready) >= count, f"{count} workers that are ready")

    def open_jobs(self) -> int:
        """Jobs that have not ended."""
        counts = self.endpoint.book.counts(self.platform.clock.now())
        return counts.in_queue + counts.in_progress


@asynccontextmanager
async def staged(
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    settings: EndpointSettings,
    unknowns: Unknowns = QUICK,
    faults: Sequence[Fault] = (),
    seed: int = 0,
) -> AsyncIterator[Stage]:
    """Within it the endpoint is served and its workers come and go; at its end nothing goes wrong any more.

    Args:
        command: the program's file and its arguments.
        environ: the variables of the workers, beside those of the protocol.
    """
    platform = Platform(unknowns=unknowns, faults=Faults(faults, seed))
    endpoint = platform.add_endpoint(ENDPOINT, settings=settings)
    app, calls, listener = data_app(platform, [KEY]), Counter[str](), listen("127.0.0.1", 0)
    app.add_middleware(Counted, calls=calls)
    with TemporaryDirectory(prefix="embedstack-chaos-") as home:
        async with served(platform, {app: listener}):
            stage = Stage(platform, endpoint, url_of(listener), calls)
            stage.spawner = Recorded(
                ProcessSpawner(
                    tuple(command), environ, url=url_of(listener), key=KEY, home=Path(home), say=stage.watch.heard,
                    ping_ms=PING_MS,
                )
            )  # fmt: skip
            scaling = asyncio.create_task(Autoscaler(platform, stage.spawner, grace_s=GRACE_S).run())
            try:
                yield stage
            finally:
                platform.faults.clear()
                scaling.cancel()
                with suppress(asyncio.CancelledError):
                    await scaling
