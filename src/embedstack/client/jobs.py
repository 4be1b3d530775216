"""The bodies of a dialect become jobs of a RunPod endpoint: sent, followed to their end, cancelled where nobody waits.

A job that was lost on the way is sent again: vectors and scores change nothing there, so one that runs twice costs
money and nothing else. Source: https://docs.runpod.io/serverless/endpoints/operation-reference and .../send-requests.
"""

import asyncio
import logging
from dataclasses import dataclass

from embedstack.client.aside import aside
from embedstack.client.calls import peeked, terms
from embedstack.client.connections import Connections, left_s
from embedstack.client.endpoint import Endpoint
from embedstack.client.patience import Failed, Patience, Silent, backoff_s, spread
from embedstack.client.verdict import JobStatus, is_passing, outcome, refused, status_of, with_policy, wrapped
from embedstack.dialects.dialect import Dialect, Wire
from embedstack.dialects.failure import retry_after_s
from embedstack.errors import DeadlineExceeded, EmbedstackError, TooLong, Upstream
from embedstack.types import Encode, Score

WAIT_S = 5.0  # that the sending of a job waits for its end; up to then its id is unknown, and it cannot be cancelled
LEAST_WAIT_S = 1.0  # of what the platform allows
GRACE_S = 10.0  # beyond the time of a job, for its id to come: without it nothing can be cancelled
MOST_LOOK_S = 60.0  # at most: 20 MB arrive in it, and a connection that is lost silently must not take all
LOOK_S = 10.0  # at least, for one answer about a job, as RunPod's own client has it, runpod-python endpoint/runner.py
CANCEL_S = 3.0  # for a cancellation, as there
CANCELLATIONS = 3  # that are tried
FIRST_LOOK_S, LONGEST_LOOK_S = 0.25, 4.0  # pauses between looks; 800 callers at once stay within 2000 looks in 10 s
MAX_BYTES = {"runsync": 20_000_000, "run": 10_000_000}  # of a body, and of a result
ROOM_BYTES = 4096  # of a body for what stands beside the items

log = logging.getLogger("embedstack.client")


@dataclass(frozen=True, slots=True)
class _Ends:
    """When nobody waits any longer for a job."""

    at: float
    limit_s: float
    is_deadline: bool  # the caller's own, else what one attempt may take

    def left_s(self, now: float, last: str) -> float:
        """Seconds until then.

        Args:
            last: what was heard of the job.
        Raises:
            DeadlineExceeded, Silent: it has come.
        """
        if now >= self.at:
            raise self.error(last)
        return self.at - now

    def error(self, last: str) -> EmbedstackError:
        """What the caller is told then."""
        what = f"no result of the job within {self.limit_s:.3g} s (at last: {last}), so it is being cancelled there"
        if self.is_deadline:
            return DeadlineExceeded(f"{what}; the deadline passed; allow more time or send less")
        return Silent(f"{what}; raise timeout_s or send less", retry=True)


@dataclass(frozen=True, slots=True)
class _Blink:
    """A look at a job that saw nothing, which says nothing of the job."""

    last: str
    told_s: float = 0.0


class JobCalls:
    """Jobs of one endpoint, each answered once: with its output, or with an error before the deadline.

    Args:
        endpoint: its address may end in `/runsync` or `/run`, which is then how jobs are sent.
        dialect: `runpod`, whose bodies are jobs; those of another travel as `openai_input`, see `wrapped`.
        patience: its `timeout_s` is for one job, from its sending to its end.
    """

    def __init__(self, endpoint: Endpoint, dialect: Dialect, patience: Patience) -> None:
        self._endpoint = endpoint
        self._step = endpoint.job_step or "runsync"
        self._dialect = dialect
        self._is_wrapped = dialect.name != "runpod"
        self._patience = patience
        self._connections = Connections(endpoint.job_base, patience.clock)
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def max_bytes(self) -> int:
        """What the items may take in one body, and in one result."""
        return MAX_BYTES[self._step] - ROOM_BYTES

    async def get(self, path: str, request: Encode | Score) -> Wire:
        """Refuse: a job is no page.

        Raises:
            Upstream: always.
        """
        raise Upstream(f"an endpoint of jobs has no page {path}")

    async def post(self, path: str, body: bytes, request: Encode | Score) -> Wire:
        """The reply that the dialect hears.

        Raises:
            EmbedstackError: why there is none, in our words.
        """
        job, limit = wrapped(self._route(path), body) if self._is_wrapped else body, MAX_BYTES[self._step]
        if len(job) > limit:
            raise TooLong(f"the job is {len(job)} bytes, and /{self._step} takes {limit}; send fewer or shorter items")
        return await self._patience.answered(lambda: self._attempt(job, request), request.deadline)

    async def peek(self, path: str, limit_s: float) -> Wire:
        """A page as it is, whatever its status, asked for once."""
        return await peeked(self._connections, path, limit_s)

    async def close(self) -> None:
        """Let cancellations reach the endpoint, for seconds at most, and give the connections up."""
        if self._leaving:
            await asyncio.wait(tuple(self._leaving), timeout=WAIT_S + CANCEL_S)
        for task in tuple(self._leaving):
            task.cancel()
        await self._connections.close()

    def _route(self, path: str) -> str:
        """OpenAI's own path, which other workers know too; those of others are under their prefix at ours."""
        return path if self._dialect.name == "openai" else f"{self._dialect.prefix}{path}"

    # -------------------------------------------------------------------------------------------- one job

    async def _attempt(self, job: bytes, request: Encode | Score) -> Wire | Failed:
        """One job from its sending to its end, or to ours."""
        await self._connections.take(request.deadline)
        sending, ends = self._begun(job, request)
        is_over = False
        try:
            reply = await self._followed(await self._first(sending, ends), ends)
            is_over = True
            return reply
        except Upstream as error:
            return Failed(error)
        finally:
            if not is_over:
                self._leave(sending)

    def _begun(self, job: bytes, request: Encode | Score) -> tuple["asyncio.Task[Wire]", _Ends]:
        """The sending, which frees its connection when it is done, and when the job must have ended."""
        try:
            ends = self._ends(request.deadline)
        except DeadlineExceeded:
            self._connections.give()
            raise
        sending = asyncio.ensure_future(self._sent(job, request, ends))
        sending.add_done_callback(lambda _: self._connections.give())
        return sending, ends

    def _ends(self, deadline: float | None) -> _Ends:
        now, limit_s = self._patience.clock(), self._patience.timeout_s
        left = left_s(deadline, now)
        if left is not None and left < limit_s:
            return _Ends(now + left, left, is_deadline=True)
        return _Ends(now + limit_s, limit_s, is_deadline=False)

    async def _sent(self, job: bytes, request: Encode | Score, ends: _Ends) -> Wire:
        """What the endpoint says to the job, after a short wait for its end."""
        wait_s = max(LEAST_WAIT_S, min(WAIT_S, ends.limit_s)) if self._step == "runsync" else 0.0
        body = with_policy(job, ends.limit_s, is_bulk=request.priority == "bulk")
        headers = terms(request, ends.limit_s, has_body=True)
        query = f"wait={round(wait_s * 1000)}" if wait_s else ""
        try:
            return await self._connections.send("POST", f"/{self._step}", body, headers, ends.limit_s + GRACE_S, query)
        except asyncio.TimeoutError as error:
            raise ends.error("sent") from error

    async def _first(self, sending: "asyncio.Task[Wire]", ends: _Ends) -> Wire:
        """The answer to the sending, which goes on if this wait ends: only it has the id that a cancellation needs."""
        await asyncio.wait({sending}, timeout=ends.left_s(self._patience.clock(), "not sent"))
        if not sending.done():
            raise ends.error("sent")
        return sending.result()

    async def _followed(self, wire: Wire, ends: _Ends) -> Wire | Failed:
        """From the answer to its sending to its end."""
        if wire.status != 200:
            return self._refusal(wire)
        status = await _read(wire)
        looks, last, told_s = 0, status.state, 0.0
        while status.is_waiting:
            pause_s = max(told_s, spread(min(LONGEST_LOOK_S, FIRST_LOOK_S * 1.5**looks)))
            await self._patience.pause(min(pause_s, ends.left_s(self._patience.clock(), last)))
            seen = await self._look(status.id, ends.left_s(self._patience.clock(), last))
            looks = min(looks + 1, 64)  # a float holds no more of its powers than some thousand
            if isinstance(seen, Failed):
                return seen
            if isinstance(seen, _Blink):
                last, told_s = seen.last, seen.told_s
            else:
                status, last, told_s = seen, seen.state, 0.0
        is_wrapped, masked = self._is_wrapped, self._endpoint.masked_bytes
        ended = await aside(len(status.wire.body), lambda: outcome(status, masked, is_wrapped=is_wrapped))
        return ended if isinstance(ended, Wire) else Failed(ended)

    async def _look(self, job_id: str, left_s: float) -> JobStatus | Failed | _Blink:
        """What is heard of a job now; Failed if the platform knows it no more.

        Raises:
            EmbedstackError: the platform refuses to say.
        """
        limit_s = min(left_s, max(LOOK_S, min(MOST_LOOK_S, left_s / 2)))  # a large result takes long
        try:
            wire = await self._connections.send("GET", f"/status/{job_id}", b"", {}, limit_s)
            if wire.status == 200:
                return await _read(wire)
        except asyncio.TimeoutError:
            return _Blink("no answer about it")
        except Upstream as error:
            return _Blink(error.message)
        if wire.status == 404:
            return Failed(Upstream("the job is gone there: it was kept for too short a time, or lost", retry=True))
        refusal = self._refusal(wire)
        if not is_passing(wire):
            raise refusal.error
        return _Blink(refusal.error.message, refusal.told_s)

    def _refusal(self, wire: Wire) -> Failed:
        return Failed(refused(wire, self._dialect.hear_failure(wire)), retry_after_s(wire))

    # -------------------------------------------------------------------------------------------- nobody waits

    def _leave(self, sending: "asyncio.Task[Wire]") -> None:
        """Have the job cancelled there, beside whatever the caller does now."""
        if sending.done() and (sending.cancelled() or sending.exception() is not None):
            return  # nothing is known of a job
        leaving = asyncio.ensure_future(self._cancelled(sending))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _cancelled(self, sending: "asyncio.Task[Wire]") -> None:
        """Never raises: if it cannot be cancelled, its time to live ends it."""
        try:
            status = await _read(await sending)
        except EmbedstackError:
            return  # there is no job, or nobody knows which
        if not status.is_waiting:
            return
        told = (self._patience.provider, self._patience.host, await self._is_gone(status.id))
        log.info("event=job_left provider=%s host=%s is_cancelled=%s", *told)

    async def _is_gone(self, job_id: str) -> bool:
        """Whether the platform took the cancellation; said again where it was busy or out of reach."""
        for count in range(CANCELLATIONS):
            try:
                wire = await self._connections.send("POST", f"/cancel/{job_id}", b"", {}, CANCEL_S)
                if not is_passing(wire):
                    return wire.status in (200, 404)
            except (Upstream, asyncio.TimeoutError):
                pass
            await self._patience.pause(backoff_s(count))
        return False


async def _read(wire: Wire) -> JobStatus:
    return await aside(len(wire.body), lambda: status_of(wire))
