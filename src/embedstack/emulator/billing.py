"""What every worker and pod did since when -> seconds by state, and the dollars that they cost.

Prices are those of a list with a date; where the platform can be asked, its catalog holds instead of it. Time is kept
in whole microseconds, so a span that is cut into hours is neither more nor less than before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from types import MappingProxyType
from typing import Literal

from embedstack.emulator.platform import Change, Platform
from embedstack.errors import BadRequest

Product = Literal["serverless", "pods"]

MICROS = 1_000_000
HOUR = 3600 * MICROS
PAID = frozenset({"INITIALIZING", "IDLE", "RUNNING", "UNHEALTHY"})
"""States of a worker that cost money, by runpod/docs serverless/pricing.mdx. That an unhealthy one does is a guess: the
one that is not kind."""

AS_OF = "2026-08-20"  # of runpod/docs snippets/serverless-gpu-pricing-table.mdx at commit a900806e
HOUR_S = 3600

GPU_POOLS: Mapping[str, float] = MappingProxyType(
    {
        "AMPERE_16": 0.00016,
        "AMPERE_24": 0.00019,
        "ADA_24": 0.00031,
        "AMPERE_48": 0.00034,
        "ADA_48_PRO": 0.00053,
        "AMPERE_80": 0.00076,
        "ADA_80_PRO": 0.00116,
        "HOPPER_141": 0.00155,
    }
)
"""Flex workers, dollars a second of one GPU; the docs name no pool for the newest cards."""

DEFAULT_POOL = "AMPERE_16"  # of an endpoint that names neither GPU nor CPU: the cheapest
VCPU = 0.03 / HOUR_S  # the example of /v2/catalog/cpus in the published OpenAPI document; the docs list no price


@dataclass(frozen=True, slots=True)
class Rate:
    """Dollars a second, by what they are for."""

    gpu: float = 0.0
    cpu: float = 0.0
    disk: float = 0.0

    @property
    def total(self) -> float:
        """What a second costs altogether."""
        return self.gpu + self.cpu + self.disk


FREE = Rate()


def gpu_rate(pools: Sequence[str] = (DEFAULT_POOL,), count: int = 1) -> Rate:
    """What a worker of `count` GPUs costs; of several pools the first, which the platform tries first too.

    Raises:
        BadRequest: no price is known for the pool.
    """
    pool = pools[0] if pools else DEFAULT_POOL
    if pool not in GPU_POOLS:
        raise BadRequest(f"no price is known for the GPU pool {pool!r}; known as of {AS_OF}: {', '.join(GPU_POOLS)}")
    return Rate(gpu=GPU_POOLS[pool] * count)


def cpu_rate(vcpus: int) -> Rate:
    """What a worker of so many processors costs."""
    return Rate(cpu=VCPU * vcpus)


# ------------------------------------------------------------------------------------------------ the ledger


@dataclass(frozen=True, slots=True)
class Line:
    """What runs up alike: a state of the workers of one endpoint, or of one pod, and what a second of it costs."""

    product: Product
    resource: str  # the endpoint's or the pod's id
    state: str
    rate: Rate = FREE


@dataclass(frozen=True, slots=True)
class Entry:
    """So much of a line within one hour."""

    line: Line
    hour: int  # microseconds from 1970 to its beginning
    micros: int

    @property
    def seconds(self) -> float:
        """Seconds of one worker or pod."""
        return self.micros / MICROS

    @property
    def amount(self) -> float:
        """Dollars."""
        return self.line.rate.total * self.seconds


def worker_line(endpoint_id: str, state: str, rate: Rate) -> Line:
    """The line of a worker in a state: one that waits for a machine costs nothing."""
    return Line("serverless", endpoint_id, state, rate if state in PAID else FREE)


class Ledger:
    """Every unit (a worker or a pod) is on one line at a time, from when it enters it to when it enters another."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Line, int]] = {}
        self._hours: dict[tuple[Line, int], int] = {}

    def enter(self, unit: str, line: Line | None, now: float) -> None:
        """From `now` on (seconds since 1970) the unit runs up this line; None: nothing any more.

        A clock that was put back takes nothing back, and counts nothing twice.
        """
        moment = round(now * MICROS)
        begun = self._open.pop(unit, None)
        if begun:
            moment = max(moment, begun[1])
            for entry in _by_hours(*begun, moment):
                key = (entry.line, entry.hour)
                self._hours[key] = self._hours.get(key, 0) + entry.micros
        if line:
            self._open[unit] = line, moment

    def entries(self, now: float) -> list[Entry]:
        """All there is up to now, what still runs included, by hour and line."""
        sums = dict(self._hours)
        for line, since in self._open.values():
            for entry in _by_hours(line, since, round(now * MICROS)):
                key = (entry.line, entry.hour)
                sums[key] = sums.get(key, 0) + entry.micros
        found = [Entry(line, hour, micros) for (line, hour), micros in sums.items()]
        return sorted(found, key=lambda entry: (entry.hour, entry.line.resource, entry.line.state))

    def seconds(self, now: float, resource: str | None = None) -> dict[str, float]:
        """Seconds by state, of one endpoint or pod or of all."""
        sums: dict[str, int] = {}
        for entry in self.entries(now):
            if resource in (None, entry.line.resource):
                sums[entry.line.state] = sums.get(entry.line.state, 0) + entry.micros
        return {state: micros / MICROS for state, micros in sums.items()}

    def spent(self, now: float, resource: str | None = None) -> float:
        """Dollars, for one endpoint or pod or for all."""
        return fsum(entry.amount for entry in self.entries(now) if resource in (None, entry.line.resource))


def _by_hours(line: Line, since: int, until: int) -> Iterator[Entry]:
    """The span cut where hours of UTC begin."""
    while since < until:
        hour = since - since % HOUR
        end = min(until, hour + HOUR)
        yield Entry(line, hour, end - since)
        since = end


# ------------------------------------------------------------------------------------------------ the meter


def default_rate(endpoint_id: str, version: int) -> Rate:
    """What a worker costs of an endpoint that names no machine."""
    return gpu_rate()


class Meter:
    """Listens to the platform until it is closed. Workers that were started by hand cost what rented ones would.

    Args:
        rate_of: what a worker of this endpoint and version costs, by the endpoint's id.
    """

    def __init__(self, platform: Platform, ledger: Ledger, rate_of: Callable[[str, int], Rate] = default_rate) -> None:
        self._platform, self._ledger, self._rate_of = platform, ledger, rate_of
        self._units: dict[str, set[str]] = {}
        self.close = platform.subscribe(self._heard)

    def _heard(self, change: Change) -> None:
        if change.kind == "worker":
            self._enter(change.endpoint_id, change.subject)
        elif change.kind == "removed":
            for worker_id in sorted(self._units.get(change.endpoint_id, ())):
                self._enter(change.endpoint_id, worker_id)

    def _enter(self, endpoint_id: str, worker_id: str) -> None:
        endpoint = self._platform.endpoints.get(endpoint_id)
        worker = endpoint.workers.get(worker_id) if endpoint else None
        units, unit = self._units.setdefault(endpoint_id, set()), f"{endpoint_id}/{worker_id}"
        line = None
        if worker is not None and worker.status != "STOPPED":
            line = worker_line(endpoint_id, worker.status, self._rate_of(endpoint_id, worker.version))
            units.add(worker_id)
        else:
            units.discard(worker_id)
        self._ledger.enter(unit, line, self._platform.clock.now())
