"""RunPod's SDK, if it is the one that was tested -> the same, but no result is lost and its end comes at once.

A result is sent once by the SDK, again only after a status of 500 and more, and else lost in silence: the job hangs
until its time is over. And after SIGTERM the SDK asks for jobs for up to 90 s more, and loses those that it gets.
https://github.com/runpod/runpod-python/blob/1.12.0/runpod/serverless/modules/rp_http.py and rp_scale.py
"""

import asyncio
import io
import logging
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, TypeAlias

import orjson

from embedstack.worker.known import is_within, unknown
from embedstack.worker.output import Output
from embedstack.worker.polling import Fetch, Polling, unless
from embedstack.worker.sending import LostError, deliver

log = logging.getLogger(__name__)
TESTED = (1, 12), (1, 13)  # from the first on, before the second
SENDING = {
    "run_job": "3d5c3ab8a46d71fd",
    "handle_job": "849f93639768bc87",
    "send_result": "686712f850136708",
    "_handle_result": "ce88ccb812bcc41f",
    "_transmit": "fc9d60458af96c8a",
}
SHUTDOWN = {"JobScaler": "b9b75d9270a3ae4f", "run_worker": "ce0b9b3f79f9f9d3"}
ATTEMPT_S = 60.0  # for one try to send; 20 MB take so long over 3 Mbit/s
LAST_S = 30.0  # that the last result waits for those before it, so that it alone may say that this worker ends

Module: TypeAlias = Any  # of a library without types
Job = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """Its version and its modules."""

    version: str
    serverless: Module
    worker: Module
    rp_http: Module
    rp_job: Module
    rp_scale: Module


class Ready(dict[str, object]):
    """An output on its way through the SDK, which must neither write it, nor find it empty."""

    def __init__(self, output: Output) -> None:
        super().__init__(bytes=len(output.raw))
        self.output = output

    def __repr__(self) -> str:
        return repr(self.output)


def mend(sdk: Sdk) -> bool:
    """Replace what the SDK lacks, before it starts; then handlers may return what is `Ready`.

    Returns:
        False where it is another than was tested, which is used as it is.
    """
    sending = {name: getattr(sdk.rp_job if "job" in name else sdk.rp_http, name, None) for name in SENDING}
    shutdown = {"JobScaler": getattr(sdk.rp_scale, "JobScaler", None), "run_worker": sdk.worker.run_worker}
    other = [*unknown(sending, SENDING), *unknown(shutdown, SHUTDOWN)]
    if other or not is_within(sdk.version, *TESTED):
        log.warning(
            "event=untested_sdk version=%s differs=%s; it is used as it is: results may be lost with a connection, "
            "and jobs at SIGTERM",
            sdk.version,
            ",".join(other) or "version",
        )
        return False
    sdk.rp_scale.JobScaler = _ending(sdk)  # which replaces the sending, too, since it knows what else is in hand
    return True


# ------------------------------------------------------------------------------------------------ results


async def _send(
    rp_http: Module, session: Any, job_data: dict[str, Any], job: Job, *, is_stream: bool, stops: bool
) -> None:
    job_id = str(job["id"])
    url = rp_http.JOB_DONE_URL.replace("$ID", job_id) + f"&isStream={'true' if is_stream else 'false'}"
    given = job_data.get("output")
    if isinstance(given, Ready):
        body = given.output.body(stops=stops)
    else:  # the SDK's own words for a handler that raised
        body = orjson.dumps({**job_data, **({"stopPod": True} if stops else {})})
    if await deliver(partial(_post, session, url, job_id), body, job_id):
        rp_http.log.info("Finished.", job_id)


async def _post(session: Any, url: str, job_id: str, body: bytes) -> int:
    import aiohttp  # comes with the SDK

    headers = {"X-Request-ID": job_id, "charset": "utf-8", "Content-Type": "application/x-www-form-urlencoded"}
    timeout = aiohttp.ClientTimeout(total=ATTEMPT_S)
    try:
        # of a file, because bytes over 1 MB are sent with a warning
        async with session.post(url, data=io.BytesIO(body), headers=headers, timeout=timeout) as reply:
            await reply.read()
            return int(reply.status)
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
        raise LostError(f"{type(error).__name__}: {error}") from error


# ------------------------------------------------------------------------------------------------ the end


def _ending(sdk: Sdk) -> type:
    """A JobScaler whose long polls end as soon as it is told to, and whose jobs begin as soon as they come.

    The SDK looks ten times a second whether a job came, which is time that RunPod counts.
    """

    scaler: Module = sdk.rp_scale

    class Ending(scaler.JobScaler):  # type: ignore[misc]
        jobs_fetcher: Fetch
        stop_signals_fetcher: Fetch

        def __init__(self, config: dict[str, object]) -> None:
            super().__init__(config)
            self.current_concurrency = self.concurrency_modifier(1)
            self.jobs_queue = asyncio.Queue[Job](self.current_concurrency)  # of its size at once: it is not replaced
            self._all_taken = asyncio.Event()
            self._loop: asyncio.AbstractEventLoop | None = None
            self._under_way: dict[str, asyncio.Future[None]] = {}  # by job: its result is being sent
            self.jobs_fetcher = Polling(self.jobs_fetcher, self._shutdown_event)
            if sdk.rp_job._job_stop_url() is not None:  # where it is None the SDK compares the function
                self.stop_signals_fetcher = partial(unless, self._shutdown_event, self.stop_signals_fetcher)
            sdk.rp_job.send_result = self.send

        async def send(self, session: Any, job_data: dict[str, Any], job: Job, is_stream: bool = False) -> None:
            """In the place of `rp_http.send_result`; that the platform may end this worker, the last result says."""
            job_id, sent = str(job["id"]), asyncio.get_running_loop().create_future()
            stops = bool(job_data.pop("stopPod", False))
            self._under_way[job_id] = sent
            try:
                stops = stops and await self._is_last(job_id)
                await _send(sdk.rp_http, session, job_data, job, is_stream=is_stream, stops=stops)
            finally:
                self._under_way.pop(job_id, None)
                sent.cancel()

        async def _is_last(self, job_id: str) -> bool:
            """Take no more jobs; whether no other result follows this one, and those before it have arrived."""
            self.kill_worker()
            if self._has_others_left():
                return False
            await self._all_taken.wait()
            if self._has_others_left() or next(reversed(self._under_way)) != job_id:
                return False
            before = [sent for other, sent in self._under_way.items() if other != job_id]
            return not before or not (await asyncio.wait(before, timeout=LAST_S))[1]

        def _has_others_left(self) -> bool:
            """Whether the result of some job in hand is not yet being sent."""
            return bool(self.job_progress.get_job_count() > len(self._under_way))

        async def run(self) -> None:
            self._loop = asyncio.get_running_loop()
            try:
                await super().run()
            finally:
                self._loop = None

        def handle_shutdown(self, signum: int, frame: FrameType | None) -> None:
            """Called between any two instructions; the loop may sleep, and must wake."""
            if self._loop is None:
                super().handle_shutdown(signum, frame)
            else:
                self._loop.call_soon_threadsafe(self.kill_worker)

        async def get_jobs(self, session: Any) -> None:
            try:
                await super().get_jobs(session)
            finally:
                self._all_taken.set()

        async def run_jobs(self, session: Any) -> None:
            """Until no job can come any more, and all are done."""
            tasks: set[asyncio.Task[None]] = set()
            over = asyncio.ensure_future(self._all_taken.wait())
            while not over.done() or not self.jobs_queue.empty():
                coming = asyncio.ensure_future(self.jobs_queue.get())
                await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    continue
                job = coming.result()
                task = asyncio.ensure_future(self.handle_job(session, job))
                self.jobs_tasks[str(job.get("id"))] = task
                tasks.add(task)
                task.add_done_callback(partial(_finished, tasks))
            await asyncio.gather(*tasks, return_exceptions=True)

    return Ending


def _finished(tasks: "set[asyncio.Task[None]]", task: "asyncio.Task[None]") -> None:
    tasks.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("event=bug in=sending", exc_info=error)
