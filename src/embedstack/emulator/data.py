"""What clients of an endpoint ask for becomes changes in its book and replies: run, status, stream and the rest."""

from embedstack.emulator.calls import (
    Call,
    Handler,
    Reply,
    json_reply,
    milliseconds,
    page,
    refused,
    unknown_shape,
)
from embedstack.emulator.job import Job
from embedstack.emulator.shown import health_of, status_of, workers_of
from embedstack.emulator.submitted import submission_of
from embedstack.errors import BadRequest

# https://docs.runpod.io/serverless/endpoints/operation-reference
RUNSYNC_WAIT_S = (90.0, 1.0, 300.0)  # default, least, most
STREAM_WAIT_S = (10.0, 1.0, 300.0)
TTL_S = (1800.0, 0.0, 7 * 86_400.0)
SHOWN_REQUESTS = 100


async def run(call: Call) -> Reply:
    """A job for later."""
    try:
        asked = submission_of(call.body, is_sync=False, unknowns=call.platform.unknowns)
    except BadRequest as error:
        return refused(error.message)
    job = call.endpoint.book.submit(asked, call.now)
    return json_reply({"id": job.id, "status": job.status})


async def runsync(call: Call) -> Reply:
    """A job, and its result if that comes in time."""
    try:
        asked = submission_of(call.body, is_sync=True, unknowns=call.platform.unknowns)
    except BadRequest as error:
        return refused(error.message)
    return await _ended_or_standing(call, call.endpoint.book.submit(asked, call.now))


async def status_sync(call: Call) -> Reply:
    """The same wait for a job that is there."""
    job = _job(call)
    return unknown_shape(call.platform, 404) if job is None else await _ended_or_standing(call, job)


async def status(call: Call) -> Reply:
    """How a job stands; with `ttl` also for how long its result is kept from now on."""
    job = _job(call)
    if job is None:
        return unknown_shape(call.platform, 404)
    if "ttl" in call.query and job.is_final:
        call.endpoint.book.keep(job, milliseconds(call, "ttl", *TTL_S), call.now)
    return json_reply(status_of(job))


async def stream(call: Call) -> Reply:
    """What a job has streamed since somebody asked last; waits for more if there is nothing."""
    wait_s = min(milliseconds(call, "wait", *STREAM_WAIT_S), call.platform.unknowns.stream_hold_s)
    until = call.now + wait_s
    while (job := _job(call)) is not None:
        if job.chunks or job.is_final or call.is_over or call.now >= until:
            chunks = [] if call.is_gone else call.endpoint.book.drain(job)
            parts = b",".join(b'{"output":%b}' % chunk for chunk in chunks)
            status_text = job.status.encode()
            return Reply(body=b'{"status":"%b","stream":[%b]}' % (status_text, parts))
        await call.endpoint.bells.heard(job.id, call, until=until)
    return unknown_shape(call.platform, 404)


async def cancel(call: Call) -> Reply:
    """End a job."""
    job = call.endpoint.book.cancel(_id(call), call.now)
    return unknown_shape(call.platform, 404) if job is None else json_reply({"id": job.id, "status": job.status})


async def retry(call: Call) -> Reply:
    """Queue a job again that failed or timed out."""
    before = _job(call)
    if before is None:
        return unknown_shape(call.platform, 404)
    if before.status not in ("FAILED", "TIMED_OUT"):
        return refused(f"job is {before.status}; only a job that is FAILED or TIMED_OUT can be retried")
    call.endpoint.book.retry(before.id, call.now)
    return json_reply({"id": before.id, "status": before.status})


async def purge(call: Call) -> Reply:
    """Empty the queue."""
    return json_reply({"removed": call.endpoint.book.purge(call.now), "status": "completed"})


async def health(call: Call) -> Reply:
    """Jobs and workers, counted."""
    return json_reply(health_of(call.endpoint, call.now))


async def requests(call: Call) -> Reply:
    """The last jobs."""
    jobs = call.endpoint.book.latest(SHOWN_REQUESTS, call.now)
    return json_reply({"requests": [status_of(job) for job in jobs]})


async def metrics(call: Call) -> Reply:
    """Workers, and which of them are ready."""
    ready = [worker.id for worker in call.endpoint.ready]
    return json_reply({"workers": workers_of(call.endpoint), "readyWorkers": ready})


async def until_ended(call: Call, job: Job, wait_s: float) -> bool:
    """Wait until the job has ended; False if time was up first, or the job is gone."""
    until = call.now + wait_s
    book, bells = call.endpoint.book, call.endpoint.bells
    while not job.is_final and book.find(job.id, call.now) is not None and not call.is_over:
        if not await bells.heard(job.id, call, until=until):
            break
    return job.is_final


async def _ended_or_standing(call: Call, job: Job) -> Reply:
    wait_s, edge_s = milliseconds(call, "wait", *RUNSYNC_WAIT_S), call.platform.unknowns.edge_timeout_s
    if await until_ended(call, job, min(wait_s, edge_s)):
        return json_reply(status_of(job))
    if call.endpoint.book.find(job.id, call.now) is None:
        return unknown_shape(call.platform, 404)
    if wait_s > edge_s and not call.is_over:
        return page(524)
    return json_reply({"id": job.id, "status": job.status})


def _id(call: Call) -> str:
    return call.rest[0] if call.rest else ""


def _job(call: Call) -> Job | None:
    return call.endpoint.book.find(_id(call), call.now)


CLIENT_HANDLERS: dict[tuple[str, str], Handler] = {
    ("POST", "run"): run,
    ("POST", "runsync"): runsync,
    ("GET", "status"): status,
    ("POST", "status"): status,
    ("GET", "status-sync"): status_sync,
    ("GET", "stream"): stream,
    ("POST", "stream"): stream,
    ("POST", "cancel"): cancel,
    ("POST", "retry"): retry,
    ("POST", "purge-queue"): purge,
    ("GET", "health"): health,
    ("GET", "requests"): requests,
    ("GET", "metrics"): metrics,
}
