"""What an endpoint and its workers are: data, which `platform.py` keeps in order."""

from dataclasses import dataclass, field
from typing import Literal

from embedstack.emulator.bells import Bells
from embedstack.emulator.jobs import Book

EndpointKind = Literal["QUEUE", "LOAD_BALANCER"]
WorkerStatus = Literal["INITIALIZING", "IDLE", "RUNNING", "THROTTLED", "UNHEALTHY", "STOPPED"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """When workers are added: a wait in seconds (QUEUE_DELAY), or requests for each of them (REQUEST_COUNT)."""

    kind: Literal["QUEUE_DELAY", "REQUEST_COUNT"] = "QUEUE_DELAY"
    value: float = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """What its owner may set; the defaults are REST v2's."""

    workers_min: int = 0
    workers_max: int = 3
    idle_timeout_s: float = 10.0
    scaling: Scaling = Scaling()
    execution_timeout_s: float = 600.0
    flashboot: Literal["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"] = "OFF"


@dataclass(slots=True, eq=False, kw_only=True)
class Worker:
    """One worker of an endpoint; only the `Platform` changes it.

    Args:
        jobs: ids of what it has; the book's own set, always true.
        is_external: somebody else started it, and nobody here can end it.
        is_draining: it gets no more jobs, and its polls end at once.
        since: when it took on its status.
    """

    id: str
    endpoint_id: str
    jobs: set[str]
    version: int
    started_at: float
    since: float
    last_seen: float
    is_external: bool = False
    status: WorkerStatus = "INITIALIZING"
    is_draining: bool = False
    last_ping: float | None = None
    polls: int = 0  # that are open now

    @property
    def idle_since(self) -> float | None:
        """When it became IDLE; None while it is anything else."""
        return self.since if self.status == "IDLE" else None


@dataclass(slots=True, eq=False, kw_only=True)
class Endpoint:
    """One endpoint with its jobs and its workers."""

    id: str
    name: str
    kind: EndpointKind
    settings: EndpointSettings
    book: Book
    bells: Bells
    created_at: float
    version: int = 1
    workers: dict[str, Worker] = field(default_factory=dict)

    @property
    def ready(self) -> list[Worker]:
        """Those that take jobs or have some."""
        return [worker for worker in self.workers.values() if worker.status in ("IDLE", "RUNNING")]
