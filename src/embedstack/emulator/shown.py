"""A job or an endpoint in, what clients are shown of it out (pure)."""

from collections import Counter
from collections.abc import Mapping

from orjson import Fragment

from embedstack.emulator.endpoint import Endpoint
from embedstack.emulator.job import Job


def status_of(job: Job) -> dict[str, object]:
    """The status object; what a job does not have has no key. Times are in milliseconds."""
    shown: dict[str, object] = {"id": job.id, "status": job.status}
    if job.status == "IN_QUEUE":
        return shown
    times = {"delayTime": job.delay_s, "executionTime": job.execution_s}
    shown |= {name: round(seconds * 1000) for name, seconds in times.items() if seconds is not None}
    if job.worker_id is not None:
        shown["workerId"] = job.worker_id
    said = {"output": job.output, "error": job.error}
    shown |= {name: Fragment(text) for name, text in said.items() if text is not None}
    if job.is_final:
        shown["retries"] = job.retries
    return shown


def handed_out(job: Job) -> dict[str, object]:
    """A job as its worker gets it: the id, the input, and of the rest of the body what is meant for workers."""
    texts = {"input": job.asked.input} | dict(job.asked.extra)
    return {"id": job.id} | {name: Fragment(text) for name, text in texts.items()}


def workers_of(endpoint: Endpoint) -> Mapping[str, int]:
    """The number of workers in each state."""
    by_status = Counter(worker.status for worker in endpoint.workers.values())
    return {
        "idle": by_status["IDLE"],
        "initializing": by_status["INITIALIZING"],
        "ready": len(endpoint.ready),
        "running": by_status["RUNNING"],
        "throttled": by_status["THROTTLED"],
        "unhealthy": by_status["UNHEALTHY"],
    }


def health_of(endpoint: Endpoint, now: float) -> dict[str, object]:
    """What `/health` says."""
    counts = endpoint.book.counts(now)
    jobs = {
        "completed": counts.completed,
        "failed": counts.failed,
        "inProgress": counts.in_progress,
        "inQueue": counts.in_queue,
        "retried": counts.retried,
    }
    return {"jobs": jobs, "workers": workers_of(endpoint)}
