"""What workers say becomes changes in their endpoint's book and replies: take, stop, done, stream and ping."""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from embedstack.emulator.calls import NOTHING, Call, Handler, Reply, json_reply, refused, unknown_shape
from embedstack.emulator.job import Job, Result
from embedstack.emulator.platform import TAKE
from embedstack.emulator.shown import handed_out

MOST_AT_ONCE = 1000
DRAINING_HOLD_S = 0.25  # the SDK asks again at once: while a job went on, 2,000 times a second
NO_JSON = refused("the body is no JSON object, is too deep, or holds what JSON has no word for, such as NaN")


class _Said(msgspec.Struct):
    output: Raw = Raw(b"")
    error: Raw = Raw(b"")
    status: str = ""
    stop_pod: bool = msgspec.field(default=False, name="stopPod")


_SAID = msgspec.json.Decoder(_Said)


async def take(call: Call) -> Reply:
    """One job, or nothing after a while."""
    jobs = await _taken(call, 1)
    return json_reply(handed_out(jobs[0]), undo=_undo(call, jobs)) if jobs else NOTHING


async def take_batch(call: Call) -> Reply:
    """As many jobs as there are, at most `batch_size`, as soon as there is one."""
    given = call.query.get("batch_size", "1")
    count = int(min(float(given), MOST_AT_ONCE)) if given.isdecimal() else 1
    jobs = await _taken(call, max(count, 1))
    return json_reply([handed_out(job) for job in jobs], undo=_undo(call, jobs)) if jobs else NOTHING


async def stop(call: Call) -> Reply:
    """The jobs that the worker should stop, or nothing after a while."""
    worker_id, endpoint = call.rest[0], call.endpoint
    until = call.now + call.platform.unknowns.stop_hold_s
    worker = call.platform.polled(endpoint, worker_id)
    worker.polls += 1
    try:
        while not endpoint.book.has_stops(worker_id):
            if worker.is_draining or call.is_over:
                return NOTHING
            if not await endpoint.bells.heard(worker_id, call, until=until):
                return NOTHING
        return NOTHING if call.is_gone else json_reply({"jobsToStop": endpoint.book.stops(worker_id)})
    finally:
        worker.polls -= 1
        worker.last_seen = call.now


async def done(call: Call) -> Reply:
    """The result of a job, or how far it is."""
    said = _said(call)
    if said is None:
        return NO_JSON
    worker_id, job_id = call.rest
    book, output = call.endpoint.book, bytes(said.output) or None
    if said.status == "IN_PROGRESS":
        is_taken = book.progress(job_id, worker_id, output or b"null", call.now)
    else:
        error = bytes(said.error)
        result = Result(output, None if error in (b"", b"null") else error)
        is_taken = book.finish(job_id, worker_id, result, call.now)
    if said.stop_pod:
        call.platform.recycle_worker(call.endpoint, worker_id)
    return _noted(call, is_taken)


async def stream(call: Call) -> Reply:
    """A part of a job's output."""
    said = _said(call)
    if said is None:
        return NO_JSON
    worker_id, job_id = call.rest
    chunk = bytes(said.output) or b"null"
    return _noted(call, call.endpoint.book.chunk(job_id, worker_id, chunk, call.now))


async def ping(call: Call) -> Reply:
    """The worker lives, and has these jobs."""
    job_ids = [one for one in call.query.get("job_id", "").split(",") if one]
    is_unhealthy = call.query.get("status") == "unhealthy"
    call.platform.pinged(call.endpoint, call.rest[0], job_ids, is_unhealthy=is_unhealthy)
    return json_reply({})


async def _taken(call: Call, count: int) -> list[Job]:
    platform, endpoint, worker_id = call.platform, call.endpoint, call.rest[0]
    until = call.now + platform.unknowns.take_hold_s
    worker = platform.polled(endpoint, worker_id)
    worker.polls += 1
    try:
        while not (worker.is_draining or call.is_over):
            if endpoint.book.has_work(call.now):
                fault = platform.faults.pick("job-take", endpoint.id, "handing out")
                if jobs := endpoint.book.take(worker_id, count, call.now, is_doubled=fault is not None):
                    return jobs
            if not await endpoint.bells.heard(TAKE, worker_id, call, until=until):
                break
        if worker.is_draining and worker.jobs:
            await endpoint.bells.heard(call, until=call.now + DRAINING_HOLD_S)
        return []
    finally:
        worker.polls -= 1
        worker.last_seen = call.now


def _undo(call: Call, jobs: list[Job]) -> Callable[[], None]:
    return lambda: call.endpoint.book.put_back(jobs, call.rest[0], call.now)


def _said(call: Call) -> _Said | None:
    """What the body says, whatever the header claims that it is."""
    try:
        call.body.decode()
        return _SAID.decode(call.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _noted(call: Call, is_taken: bool) -> Reply:
    return json_reply({}) if is_taken else unknown_shape(call.platform, call.platform.unknowns.late_status)


# method and route, the handler, and how many parts its path has behind the route
WORKER_HANDLERS: dict[tuple[str, str], tuple[Handler, int]] = {
    ("GET", "job-take"): (take, 1),
    ("GET", "job-take-batch"): (take_batch, 1),
    ("GET", "job-stop"): (stop, 1),
    ("POST", "job-done"): (done, 2),
    ("POST", "job-stream"): (stream, 2),
    ("GET", "ping"): (ping, 1),
}
