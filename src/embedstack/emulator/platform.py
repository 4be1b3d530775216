"""Endpoints, workers and jobs put together: who changes what is here, and everybody who asked is told."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from embedstack.emulator.bells import Bells
from embedstack.emulator.clock import Clock, SystemClock, Timer
from embedstack.emulator.endpoint import Endpoint, EndpointKind, EndpointSettings, Worker, WorkerStatus
from embedstack.emulator.faults import Faults
from embedstack.emulator.job import Job
from embedstack.emulator.jobs import Book
from embedstack.emulator.limits import Limits
from embedstack.emulator.unknowns import Unknowns
from embedstack.errors import BadRequest

TAKE = "take"  # the bell of all who wait for a job


@dataclass(frozen=True, slots=True)
class Change:
    """What happened.

    Args:
        kind: `endpoint` (added), `removed`, `settings`, `job` (any change, or it is gone), `worker` (its status),
            `draining` (a worker gets no more jobs), `recycle` (a worker asked to be replaced).
        subject: the worker's or the job's id; empty for an endpoint.
    """

    kind: Literal["endpoint", "removed", "settings", "job", "worker", "draining", "recycle"]
    endpoint_id: str
    subject: str = ""


Listener = Callable[[Change], None]


class Platform:
    """All that the emulator knows. It belongs to one event loop; nothing in it waits.

    Args:
        limits: sizes and rates.
        faults: what shall go wrong; asked by the routes.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        unknowns: Unknowns | None = None,
        faults: Faults | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.unknowns = unknowns or Unknowns()
        self.faults = faults or Faults()
        self.limits = limits or Limits()
        self.endpoints: dict[str, Endpoint] = {}
        self._listeners: list[Listener] = []
        self._alarms: dict[str, Timer] = {}

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call it after each change, in the order of the changes; it must not change anything itself before it returns
        (a scaler notes that it has to look again). The function that comes back ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def drain(self) -> None:
        """No worker gets another job, and each may finish what it has: the emulator is about to end."""
        for endpoint in self.endpoints.values():
            for worker_id in tuple(endpoint.workers):
                self.drain_worker(endpoint.id, worker_id)

    def close(self) -> None:
        """End all long polls; nobody waits any more."""
        for endpoint in self.endpoints.values():
            endpoint.bells.close()
        for timer in self._alarms.values():
            timer.cancel()

    # -------------------------------------------------------------------------------------------- endpoints

    def add_endpoint(
        self,
        endpoint_id: str,
        name: str = "",
        kind: EndpointKind = "QUEUE",
        settings: EndpointSettings | None = None,
    ) -> Endpoint:
        """A new endpoint without workers.

        Raises:
            BadRequest: there is one of this id.
        """
        if endpoint_id in self.endpoints:
            raise BadRequest(f"endpoint {endpoint_id!r} is there already; choose another id")
        settings = settings or EndpointSettings()
        book = Book(
            self.unknowns,
            timeout_s=settings.execution_timeout_s,
            changed=partial(self._job_changed, endpoint_id),
            kept_bytes=self.limits.kept_bytes,
        )
        endpoint = Endpoint(
            id=endpoint_id,
            name=name or endpoint_id,
            kind=kind,
            settings=settings,
            book=book,
            bells=Bells(self.clock),
            created_at=self.clock.now(),
        )
        self.endpoints[endpoint_id] = endpoint
        self._tell("endpoint", endpoint_id)
        return endpoint

    def change_settings(self, endpoint_id: str, settings: EndpointSettings, *, is_release: bool = True) -> Endpoint:
        """New settings. A release is a new version: workers of the old one stay until somebody replaces them."""
        endpoint = self.endpoints[endpoint_id]
        endpoint.settings = settings
        endpoint.version += is_release
        endpoint.book.timeout_s = settings.execution_timeout_s
        self._tell("settings", endpoint_id)
        return endpoint

    def remove_endpoint(self, endpoint_id: str) -> None:
        """With its jobs; whoever waits for one of them is told that there is none."""
        endpoint = self.endpoints.pop(endpoint_id)
        endpoint.bells.close()
        if timer := self._alarms.pop(endpoint_id, None):
            timer.cancel()
        self._tell("removed", endpoint_id)

    # -------------------------------------------------------------------------------------------- workers

    def register_worker(
        self, endpoint_id: str, worker_id: str, *, version: int | None = None, is_external: bool = False
    ) -> Worker:
        """A worker that starts; its first poll makes it ready."""
        endpoint, now = self.endpoints[endpoint_id], self.clock.now()
        worker = Worker(
            id=worker_id,
            endpoint_id=endpoint_id,
            jobs=endpoint.book.held(worker_id),
            version=endpoint.version if version is None else version,
            started_at=now,
            since=now,
            last_seen=now,
            is_external=is_external,
        )
        endpoint.workers[worker_id] = worker
        self._tell("worker", endpoint_id, worker_id)
        if is_external:
            self._watch(worker)
        return worker

    def polled(self, endpoint: Endpoint, worker_id: str) -> Worker:
        """A worker asks for work: one that is not known was started by somebody else, and is welcome."""
        worker = endpoint.workers.get(worker_id) or self.register_worker(endpoint.id, worker_id, is_external=True)
        worker.last_seen = self.clock.now()
        if worker.status not in ("IDLE", "RUNNING"):
            self.set_status(worker, "RUNNING" if worker.jobs else "IDLE")
        return worker

    def pinged(self, endpoint: Endpoint, worker_id: str, job_ids: list[str], *, is_unhealthy: bool = False) -> None:
        """A worker says that it lives, and which jobs it has; one that is not known is not taken in for that."""
        now = self.clock.now()
        endpoint.book.refresh(worker_id, job_ids, now)
        worker = endpoint.workers.get(worker_id)
        if worker is not None:
            worker.last_seen = worker.last_ping = now
            if is_unhealthy:
                self.set_status(worker, "UNHEALTHY")

    def set_status(self, worker: Worker, status: WorkerStatus) -> None:
        """It is this now; the time is noted."""
        if worker.status != status:
            worker.status = status
            worker.since = self.clock.now()
            self._tell("worker", worker.endpoint_id, worker.id)

    def drain_worker(self, endpoint_id: str, worker_id: str) -> None:
        """It gets no more jobs and its polls end at once; what it has it may finish."""
        endpoint = self.endpoints[endpoint_id]
        endpoint.workers[worker_id].is_draining = True
        endpoint.bells.ring(worker_id)
        self._tell("draining", endpoint_id, worker_id)

    def recycle_worker(self, endpoint: Endpoint, worker_id: str) -> None:
        """It asked to be replaced; one that nobody here can restart goes on as it is."""
        worker = endpoint.workers.get(worker_id)
        if worker is not None and not worker.is_external:
            self.drain_worker(endpoint.id, worker_id)
            self._tell("recycle", endpoint.id, worker_id)

    def lose_worker(self, endpoint_id: str, worker_id: str) -> None:
        """Its process has ended: what it had goes back to the queue. One that is gone already is no error."""
        endpoint = self.endpoints.get(endpoint_id)
        worker = endpoint.workers.pop(worker_id, None) if endpoint else None
        if endpoint is None or worker is None:
            return
        worker.is_draining = True
        endpoint.book.lose(worker_id, self.clock.now())
        endpoint.bells.ring(worker_id)
        self.set_status(worker, "STOPPED")

    def _watch(self, worker: Worker) -> None:
        """Strike it off once it has been silent for long; nobody else would see that it is gone."""
        self.clock.call_at(self.clock.now() + self.unknowns.worker_gone_s, partial(self._look, worker))

    def _look(self, worker: Worker) -> None:
        if worker.status == "STOPPED" or worker.endpoint_id not in self.endpoints:
            return
        silent_s = self.clock.now() - worker.last_seen
        if silent_s >= self.unknowns.worker_gone_s and not worker.polls:
            self.lose_worker(worker.endpoint_id, worker.id)
        else:
            self._watch(worker)

    # -------------------------------------------------------------------------------------------- jobs

    def _job_changed(self, endpoint_id: str, job: Job) -> None:
        endpoint = self.endpoints.get(endpoint_id)
        if endpoint is None:
            return
        endpoint.bells.ring(job.id)
        if job.status == "IN_QUEUE":
            endpoint.bells.ring(TAKE)
        self._workers_changed(endpoint)
        self._arm(endpoint)
        self._tell("job", endpoint_id, job.id)

    def _workers_changed(self, endpoint: Endpoint) -> None:
        for worker in tuple(endpoint.workers.values()):
            if endpoint.book.has_stops(worker.id):
                endpoint.bells.ring(worker.id)
            if worker.status in ("IDLE", "RUNNING"):
                self.set_status(worker, "RUNNING" if worker.jobs else "IDLE")

    def _arm(self, endpoint: Endpoint) -> None:
        """Have the book told the time when its next deadline passes."""
        due, timer = endpoint.book.due(), self._alarms.get(endpoint.id)
        if due is None or (timer is not None and timer.when <= due):
            return
        if timer is not None:
            timer.cancel()
        self._alarms[endpoint.id] = self.clock.call_at(due, partial(self._settle, endpoint))

    def _settle(self, endpoint: Endpoint) -> None:
        self._alarms.pop(endpoint.id, None)
        endpoint.book.settle(self.clock.now())
        self._arm(endpoint)

    def _tell(
        self,
        kind: Literal["endpoint", "removed", "settings", "job", "worker", "draining", "recycle"],
        endpoint_id: str,
        subject: str = "",
    ) -> None:
        change = Change(kind, endpoint_id, subject)
        for listener in tuple(self._listeners):
            listener(change)
