"""What clients, workers and time do to the jobs of one endpoint; a state machine that is told what time it is.

IN_QUEUE --take--> IN_PROGRESS --done--> COMPLETED | FAILED          final: kept 30 minutes (run) or 1 (runsync)
   |  cancel          |  cancel            -> CANCELLED, and its worker is told to stop
   |  purge           |  execution timeout -> TIMED_OUT, the same
   |  ttl             |  ttl               -> gone, the same
                      |  lease lost        -> IN_QUEUE again, or FAILED after the last retry
FAILED | TIMED_OUT --retry--> IN_QUEUE
"""

import itertools
import uuid
from collections.abc import Callable, Iterable

import orjson

from embedstack.emulator.alarms import Alarms, Kind
from embedstack.emulator.job import Counts, Job, Json, Result, Status, Submission
from embedstack.emulator.kept import Kept
from embedstack.emulator.unknowns import Unknowns
from embedstack.emulator.waiting import Waiting

KEEP_RUN_S = 1800.0  # https://docs.runpod.io/serverless/endpoints/operation-reference
KEEP_RUNSYNC_S = 60.0  # the same page
KEPT_BYTES = 1 << 30  # of ended jobs: ours, so that a long test cannot fill the machine's memory
REGION = "u1"  # of ids, as seen in logs


def new_job_id(is_sync: bool) -> str:
    """An id of the form that RunPod gives."""
    return f"{'sync-' if is_sync else ''}{uuid.uuid4()}-{REGION}"


class Book:
    """The jobs of one endpoint. Every method takes the time, which must not go back.

    Args:
        timeout_s: of a job's execution where the job does not say; may be set later.
        changed: called after every change of a job that somebody could see, its removal included; within it no time
            passes, whatever the book is asked.
        kept_bytes: of ended jobs; more, and the oldest are forgotten before their time.
    """

    def __init__(
        self,
        unknowns: Unknowns | None = None,
        *,
        timeout_s: float = 600.0,
        changed: Callable[[Job], None] = lambda job: None,
        kept_bytes: int = KEPT_BYTES,
        new_id: Callable[[bool], str] = new_job_id,
    ) -> None:
        self.timeout_s = timeout_s
        self._unknowns = unknowns or Unknowns()
        self._tell = changed
        self._is_telling = False
        self._new_id = new_id
        self._jobs: dict[str, Job] = {}
        self._waiting = Waiting(self._is_running)
        self._kept = Kept(kept_bytes)
        self._held: dict[str, set[str]] = {}
        self._stops: dict[str, list[str]] = {}
        self._completed = self._failed = self._retried = self._in_progress = 0
        self._alarms = Alarms(self._due_at)

    # -------------------------------------------------------------------------------------------- looking

    def __len__(self) -> int:
        return len(self._jobs)

    def look(self, job_id: str) -> Job | None:
        """The job as it was left, for those who are told of a change."""
        return self._jobs.get(job_id)

    def find(self, job_id: str, now: float) -> Job | None:
        """The job, None where it never was or is no longer kept."""
        self.settle(now)
        return self._jobs.get(job_id)

    def latest(self, count: int, now: float) -> list[Job]:
        """The jobs that were submitted last, the newest first."""
        self.settle(now)
        return list(itertools.islice(reversed(self._jobs.values()), count))

    def counts(self, now: float) -> Counts:
        """The numbers of `/health`: those of ended jobs since the endpoint is there."""
        self.settle(now)
        return Counts(self._completed, self._failed, self._in_progress, len(self._waiting), self._retried)

    def urgent(self, now: float) -> int:
        """How many wait whose priority is not low: those that a scaler counts."""
        self.settle(now)
        return self._waiting.urgent

    def oldest_wait_s(self, now: float) -> float:
        """How long the first of them waits, since submission; 0 if none does."""
        self.settle(now)
        oldest = self._waiting.oldest
        return now - oldest.submitted_at if oldest else 0.0

    def has_work(self, now: float) -> bool:
        """Whether `take` would hand something out."""
        self.settle(now)
        return self._waiting.has_next()

    def held(self, worker_id: str) -> set[str]:
        """The jobs that a worker has; the set stays true, and only the book changes it."""
        return self._held.setdefault(worker_id, set())

    def due(self) -> float | None:
        """The time at which `settle` should be called, if nothing else happens."""
        return self._alarms.next_at()

    # -------------------------------------------------------------------------------------------- clients

    def submit(self, asked: Submission, now: float) -> Job:
        """A new job at the end of the queue."""
        self.settle(now)
        timeout_s = self.timeout_s if asked.timeout_s is None else asked.timeout_s
        job = Job(id=self._new_id(asked.is_sync), asked=asked, submitted_at=now, timeout_s=timeout_s)
        self._jobs[job.id] = job
        self._waiting.add(job)
        self._alarms.set(job.id, "ttl")
        self._changed(job)
        return job

    def cancel(self, job_id: str, now: float) -> Job | None:
        """Its worker is told to stop; a job that has ended stays as it ended."""
        job = self.find(job_id, now)
        if job is not None and not job.is_final:
            self._end(job, "CANCELLED", now, stop=True)
        return job

    def retry(self, job_id: str, now: float) -> Job | None:
        """Back into the queue without its output; only what failed or timed out, any other stays as it is."""
        job = self.find(job_id, now)
        if job is not None and job.status in ("FAILED", "TIMED_OUT"):
            self._kept.remove(job)
            self._enqueue(job)
        return job

    def purge(self, now: float) -> int:
        """Empty the queue; what runs goes on."""
        self.settle(now)
        waiting = self._waiting.all()
        for job in waiting:
            if self._unknowns.purged_status == "gone":
                self._remove(job)
            else:
                self._end(job, "CANCELLED", now)
        return len(waiting)

    def drain(self, job: Job) -> list[Json]:
        """The chunks that nobody has read yet; they are given once."""
        chunks, job.chunks = job.chunks, []
        return chunks

    def keep(self, job: Job, seconds: float, now: float) -> None:
        """Forget an ended job so much later than now, as `/status?ttl=` asks."""
        job.keep_until = now + seconds
        self._alarms.set(job.id, "keep")

    # -------------------------------------------------------------------------------------------- workers

    def take(self, worker_id: str, count: int, now: float, *, is_doubled: bool = False) -> list[Job]:
        """Hand out at most so many jobs.

        Args:
            is_doubled: whoever takes next, gets the same ones again while they run.
        """
        self.settle(now)
        taken: list[Job] = []
        while len(taken) < count and (job := self._waiting.next()):
            self._hand_out(job, worker_id, now)
            taken.append(job)
        if is_doubled:
            self._waiting.double(taken)
        for job in taken:
            self._changed(job)
        return taken

    def put_back(self, jobs: Iterable[Job], worker_id: str, now: float) -> None:
        """What was handed out did not arrive: to the front of the queue, as if nothing had happened."""
        self.settle(now)
        for job in reversed(list(jobs)):
            if job.status == "IN_PROGRESS" and job.holders == {worker_id}:
                self._release(job)
                job.taken_at = None
                self._enqueue(job, is_first=True)

    def refresh(self, worker_id: str, job_ids: Iterable[str], now: float) -> None:
        """The worker says that it has these."""
        self.settle(now)
        for job_id in self._held.get(worker_id, set()).intersection(job_ids):
            self._jobs[job_id].lease_until = now + self._unknowns.heartbeat_timeout_s

    def lose(self, worker_id: str, now: float) -> None:
        """The worker is gone, and with it its leases; what has ended by then stays as it ended."""
        self.settle(now)
        self._stops.pop(worker_id, None)
        held = self._held.pop(worker_id, set())
        lost = [self._jobs[job_id] for job_id in sorted(held)]
        held.clear()
        for job in lost:
            job.holders.discard(worker_id)
            if not job.holders:
                self._lost(job, now)

    def progress(self, job_id: str, worker_id: str, output: Json, now: float) -> bool:
        """An output that is not the last; False where the job is not this worker's, or has ended."""
        job = self._running(job_id, worker_id, now)
        if job is not None:
            job.output = output
            self._changed(job)
        return job is not None

    def chunk(self, job_id: str, worker_id: str, chunk: Json, now: float) -> bool:
        """A part of a stream; False as in `progress`."""
        job = self._running(job_id, worker_id, now)
        if job is not None:
            job.chunks.append(chunk)
            self._changed(job)
        return job is not None

    def finish(self, job_id: str, worker_id: str, result: Result, now: float) -> bool:
        """The first result counts; False as in `progress`, and nothing changes."""
        job = self._running(job_id, worker_id, now)
        if job is not None:
            job.output, job.error = result.output, result.error
            self._end(job, "COMPLETED" if result.error is None else "FAILED", now)
        return job is not None

    def stops(self, worker_id: str) -> list[str]:
        """The jobs that this worker should stop; each is said once."""
        return self._stops.pop(worker_id, [])

    def has_stops(self, worker_id: str) -> bool:
        """Whether `stops` has something to say."""
        return worker_id in self._stops

    # -------------------------------------------------------------------------------------------- time

    def settle(self, now: float) -> None:
        """Do what the passing of time does; nothing while a change is told, which would be undone by its sequel."""
        if self._is_telling:
            return
        for job_id, kind in self._alarms.passed(now):
            job = self._jobs[job_id]
            if kind == "lease":
                self._release(job)
                self._lost(job, now)
            elif kind == "timeout":
                job.error = orjson.dumps(self._unknowns.lost_error.format(retries=job.retries))
                self._end(job, self._unknowns.timeout_status, now, stop=True)
            else:
                self._stop(job)
                self._remove(job)
        self._alarms.forget(len(self._jobs))

    def _due_at(self, job_id: str, kind: Kind) -> float | None:
        job = self._jobs.get(job_id)
        if job is None:
            return None
        if kind == "ttl":
            return job.submitted_at + job.asked.ttl_s
        if kind == "keep":
            return job.keep_until if job.is_final else None
        if job.status != "IN_PROGRESS" or job.taken_at is None:
            return None
        return job.lease_until if kind == "lease" else job.taken_at + job.timeout_s

    # -------------------------------------------------------------------------------------------- steps

    def _changed(self, job: Job) -> None:
        was, self._is_telling = self._is_telling, True
        try:
            self._tell(job)
        finally:
            self._is_telling = was

    def _is_running(self, job: Job) -> bool:
        return job.status == "IN_PROGRESS" and job.id in self._jobs

    def _hand_out(self, job: Job, worker_id: str, now: float) -> None:
        if job.status == "IN_QUEUE":
            job.status, job.taken_at = "IN_PROGRESS", now
            self._in_progress += 1
        job.worker_id = worker_id
        job.lease_until = now + self._unknowns.heartbeat_timeout_s
        job.holders.add(worker_id)
        self.held(worker_id).add(job.id)
        self._alarms.set(job.id, "lease")
        self._alarms.set(job.id, "timeout")

    def _running(self, job_id: str, worker_id: str, now: float) -> Job | None:
        job = self.find(job_id, now)
        return job if job is not None and worker_id in job.holders else None

    def _enqueue(self, job: Job, *, is_first: bool = False) -> None:
        if job.status == "IN_PROGRESS":
            self._in_progress -= 1
        job.status, job.output, job.error, job.done_at = "IN_QUEUE", None, None, None
        job.chunks.clear()
        self._waiting.add(job, is_first=is_first)
        self._changed(job)

    def _lost(self, job: Job, now: float) -> None:
        if job.retries >= self._unknowns.max_retries:
            job.error = orjson.dumps(self._unknowns.lost_error.format(retries=job.retries))
            self._end(job, "FAILED", now)
            return
        job.retries += 1
        self._retried += 1
        self._enqueue(job, is_first=True)

    def _end(self, job: Job, status: Status, now: float, *, stop: bool = False) -> None:
        self._leave(job, stop=stop)
        job.status, job.done_at = status, now
        self._completed += status == "COMPLETED"
        self._failed += status in ("FAILED", "TIMED_OUT")
        self.keep(job, KEEP_RUNSYNC_S if job.asked.is_sync else KEEP_RUN_S, now)
        self._kept.add(job)
        self._changed(job)
        while oldest := self._kept.too_many():
            self._remove(self._jobs[oldest])

    def _leave(self, job: Job, *, stop: bool = False) -> None:
        """It neither waits nor runs any more."""
        if stop:
            self._stop(job)
        self._in_progress -= job.status == "IN_PROGRESS"
        self._waiting.remove(job)
        self._release(job)

    def _stop(self, job: Job) -> None:
        for worker_id in job.holders:
            self._stops.setdefault(worker_id, []).append(job.id)

    def _release(self, job: Job) -> None:
        for worker_id in job.holders:
            self.held(worker_id).discard(job.id)
        job.holders.clear()

    def _remove(self, job: Job) -> None:
        self._leave(job)
        self._kept.remove(job)
        del self._jobs[job.id]
        self._changed(job)
