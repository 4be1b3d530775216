"""An emulated endpoint whose workers are puppets: they start, take jobs and end when a test says so."""

import asyncio
from collections.abc import Iterable

from embedstack.emulator.autoscaler import TICK_S, Autoscaler
from embedstack.emulator.billing import Ledger, Meter
from embedstack.emulator.clock import ManualClock
from embedstack.emulator.endpoint import EndpointSettings, Worker
from embedstack.emulator.faults import Fault, Faults
from embedstack.emulator.job import Result, Submission
from embedstack.emulator.life import Order
from embedstack.emulator.platform import Platform

TURNS = 20  # of the event loop, until all that can happen has happened


async def turns() -> None:
    """Let everything run that can."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Puppet:
    """A worker that runs."""

    def __init__(self, order: Order, obeys: bool) -> None:
        self.order, self.obeys = order, obeys
        self.signals: list[str] = []
        self.spoken = asyncio.Event()
        self.spoken.set()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        self.signals.append("SIGTERM")
        if self.obeys:
            self.exit(0)

    def kill(self) -> None:
        if not self._ended.done():
            self.signals.append("SIGKILL")
            self.exit(-9)

    def exit(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)

    async def last_words(self) -> str:
        await self.spoken.wait()
        return "farewell"


class Puppets:
    """A spawner of them.

    Args:
        obey: whether they end on SIGTERM.
        failure: of starting one.
    """

    def __init__(self) -> None:
        self.obey = True
        self.failure: Exception | None = None
        self.started: list[Puppet] = []

    async def start(self, order: Order) -> Puppet:
        if self.failure is not None:
            raise self.failure
        self.started.append(Puppet(order, self.obey))
        return self.started[-1]


class Stage:
    """One endpoint `e` with an autoscaler and a ledger; time passes in its ticks.

    Closed by the fixture that makes it.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.puppets = Puppets()
        self.ledger = Ledger()

    def open(
        self,
        settings: EndpointSettings,
        faults: Iterable[Fault] = (),
        env: dict[str, str] | None = None,
        **scaler: float,
    ) -> "Stage":
        self.platform = Platform(self.clock, faults=Faults(faults))
        Meter(self.platform, self.ledger)
        self.endpoint = self.platform.add_endpoint("e", settings=settings)
        self.scaler = Autoscaler(self.platform, self.puppets, env_of=lambda endpoint_id: env or {}, **scaler)
        self.passes(0)
        return self

    def passes(self, seconds: float) -> None:
        """So much time passes, and the scaler looks after each tick, once at least."""

        for _ in range(max(1, round(seconds / TICK_S))):
            self.loop.run_until_complete(self._tick(TICK_S if seconds else 0))

    async def _tick(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.scaler.look()
        await turns()

    def settle(self) -> None:
        """What has happened has its effects, while no time passes and the scaler does not look."""
        self.loop.run_until_complete(turns())

    def close(self) -> None:
        if hasattr(self, "scaler"):
            for puppet in self.puppets.started:
                puppet.exit(0)
            self.loop.run_until_complete(self.scaler.close())
        self.loop.close()

    # ------------------------------------------------------------------------------------ looking

    @property
    def workers(self) -> list[Worker]:
        return list(self.endpoint.workers.values())

    @property
    def statuses(self) -> list[str]:
        return [worker.status for worker in self.workers]

    @property
    def puppet(self) -> Puppet:
        """The only one."""
        (puppet,) = self.puppets.started
        return puppet

    # ------------------------------------------------------------------------------------ what clients and workers do

    def submit(self, count: int = 1, *, is_low_priority: bool = False) -> None:
        for _ in range(count):
            self.endpoint.book.submit(Submission(input=b"{}", is_low_priority=is_low_priority), self.clock.now())
        self.passes(0)

    def poll(self, puppet: Puppet | None = None) -> list[str]:
        """The worker asks for a job and takes the one that there may be."""
        worker_id = (puppet or self.puppet).order.worker_id
        worker = self.platform.polled(self.endpoint, worker_id)
        jobs = [] if worker.is_draining else self.endpoint.book.take(worker_id, 1, self.clock.now())
        return [job.id for job in jobs]

    def finish(self, job_id: str, puppet: Puppet | None = None) -> None:
        worker_id = (puppet or self.puppet).order.worker_id
        self.endpoint.book.finish(job_id, worker_id, Result(output=b"1"), self.clock.now())
