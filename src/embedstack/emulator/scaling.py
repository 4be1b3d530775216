"""An endpoint's settings, its queue, its workers and the time -> how many workers to start, which ones to end (pure).

Rules as in runpod/docs at commit a900806e: serverless/endpoints/endpoint-configurations.mdx for the numbers,
serverless/endpoints/rolling-releases.mdx for new versions. Where they are silent, the reason stands beside the code.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["INITIALIZING", "IDLE", "RUNNING", "THROTTLED", "UNHEALTHY", "STOPPED"]

INIT_TIMEOUT_S = 420.0  # 7 minutes; the endpoint's variable RUNPOD_INIT_TIMEOUT sets another, in seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the scaler of one endpoint goes by.

    Args:
        scaling: what makes it grow: seconds that a request waits, or requests for each worker.
        idle_timeout_s: how long a worker may have nothing to do; 0 with REQUEST_COUNT on a queue, which knows none.
    """

    workers_min: int = 0
    workers_max: int = 3
    scaling: tuple[Literal["QUEUE_DELAY", "REQUEST_COUNT"], float] = ("QUEUE_DELAY", 4.0)
    idle_timeout_s: float = 5.0
    init_timeout_s: float = INIT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Demand:
    """What waits and what runs. Jobs of low priority are in the queue too, but nobody starts a worker for them."""

    urgent: int = 0
    oldest_wait_s: float = 0.0  # of those
    in_progress: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a worker stands."""

    id: str
    status: Status
    since: float  # in this status
    started_at: float
    is_stale: bool = False  # of an older version than the endpoint
    is_draining: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall be done now. Workers to drain get no more jobs, finish those they have, and end."""

    start: int = 0
    drain: tuple[str, ...] = ()
    hung: tuple[str, ...] = ()  # of those to drain: the ones that did not become ready in time


def decide(rules: Rules, demand: Demand, workers: Sequence[Standing], now: float) -> Decision:
    """What an endpoint needs now; asked again after every change and every moment, it converges."""
    there = [worker for worker in workers if worker.status != "STOPPED"]
    hung = [worker for worker in there if _is_hung(worker, rules, now)]
    kept = [worker for worker in there if not _must_go(worker) and worker not in hung]
    surplus = _surplus(rules, demand, kept, now)
    wanted = min(max(_wanted(rules, demand, kept, now), rules.workers_min), rules.workers_max)
    start = min(wanted - len(kept), rules.workers_max - len(there))
    gone = [worker for worker in there if (_must_go(worker) or worker in hung) and not worker.is_draining]
    return Decision(
        start=max(0, start),
        drain=tuple(worker.id for worker in (*gone, *surplus)),
        hung=tuple(worker.id for worker in hung),
    )


def _must_go(worker: Standing) -> bool:
    """Workers of an old version go at once and finish what they have. RunPod replaces them one by one; this is harder
    on whoever calls, since for a moment none may be ready."""
    return worker.is_draining or worker.is_stale or worker.status == "UNHEALTHY"


def _is_hung(worker: Standing, rules: Rules, now: float) -> bool:
    return worker.status == "INITIALIZING" and not worker.is_draining and now - worker.since > rules.init_timeout_s


# ------------------------------------------------------------------------------------------------ growing


def _wanted(rules: Rules, demand: Demand, kept: Sequence[Standing], now: float) -> int:
    kind, value = rules.scaling
    if kind == "REQUEST_COUNT":
        return math.ceil((demand.urgent + demand.in_progress) / value)
    return len(kept) + _is_one_more_due(value, demand, kept, now)


def _is_one_more_due(delay_s: float, demand: Demand, kept: Sequence[Standing], now: float) -> bool:
    """Whether a request has waited too long.

    The first worker starts for the first request. How many follow for a longer queue is not published; the least kind
    is one in each delay, and none while as many are on their way as requests wait.
    """
    if not kept or not demand.urgent:
        return bool(demand.urgent)
    on_their_way = sum(worker.status in ("INITIALIZING", "THROTTLED") for worker in kept)
    last_start = max(worker.started_at for worker in kept)
    return demand.oldest_wait_s > delay_s and now - last_start >= delay_s and on_their_way < demand.urgent


# ------------------------------------------------------------------------------------------------ shrinking


def _surplus(rules: Rules, demand: Demand, kept: Sequence[Standing], now: float) -> list[Standing]:
    """Those that may go: everything over the maximum, and over what is wanted the ones that do nothing."""
    over = len(kept) - rules.workers_max
    if over > 0:
        return sorted(kept, key=_readiness_to_go)[:over]
    least = rules.workers_min
    if rules.scaling[0] == "REQUEST_COUNT":
        least = max(least, _wanted(rules, demand, kept, now))
    tired = [worker for worker in kept if _is_tired(worker, rules, demand, now)]
    return sorted(tired, key=_readiness_to_go)[: max(0, len(kept) - least)]


def _is_tired(worker: Standing, rules: Rules, demand: Demand, now: float) -> bool:
    """Idle for too long, or still waiting for a machine when nobody waits for the worker any more."""
    if worker.status == "THROTTLED":
        return not demand.urgent
    return worker.status == "IDLE" and now - worker.since >= rules.idle_timeout_s


def _readiness_to_go(worker: Standing) -> tuple[int, float]:
    order = ("THROTTLED", "INITIALIZING", "IDLE", "RUNNING")
    return order.index(worker.status), worker.since
