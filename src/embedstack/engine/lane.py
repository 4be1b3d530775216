"""A lane's life: take a batch, run it, hand each caller its rows; a batch that fails is halved."""

import asyncio
import atexit
import logging
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from threading import Thread
from typing import NamedTuple, cast

import numpy as np

from embedstack.engine import finish
from embedstack.engine.cache import Cache
from embedstack.engine.line import Call, Job, Run
from embedstack.engine.room import is_out_of_memory
from embedstack.engine.scheduler import Scheduler
from embedstack.errors import EmbedstackError, NotReady, RuntimeFailed
from embedstack.modelspec import ModelSpec, Output
from embedstack.runtimes import Runtime
from embedstack.types import STATES, Batch, Floats, Vectors
from embedstack.watching import BatchRun, OnBatch

log = logging.getLogger(__name__)


class Group(NamedTuple):
    """What items have in common that can run together."""

    runtime: Runtime
    spec: ModelSpec
    outputs: frozenset[Output]
    identity: (
        Hashable  # of the rows: of the weights, of the kind of runtime and of the outputs; the same when it is back
    )

    def __hash__(self) -> int:
        return hash(self.identity)


class Lane(Thread):
    """A thread that works until the scheduler stops. It knows no engine, so one that nobody holds any more can go.

    It is a daemon, so that a script ends without closing anything; but it ends before the interpreter does, since a
    graph that is freed by a thread while the interpreter ends takes the process down (`std::terminate` in OpenVINO).
    """

    def __init__(
        self, scheduler: Scheduler, cache: Cache | None, number: int, listeners: Sequence[OnBatch] = ()
    ) -> None:
        super().__init__(name=f"embedstack-lane-{number}", daemon=True)
        self._scheduler, self._cache, self._number, self._listeners = scheduler, cache, number, listeners
        atexit.register(self.end)
        self.start()

    def run(self) -> None:
        """Whatever ends it early, nobody is left waiting for it."""
        try:
            self._work()
        finally:
            atexit.unregister(self.end)  # only now that no local name holds a graph any more

    def _work(self) -> None:
        jobs: list[Job] = []
        try:
            while (run := self._scheduler.take()) is not None:
                group, jobs = cast("Group", run.group), run.jobs
                began = time.monotonic()
                is_whole = _run(self._scheduler, self._cache, group, jobs)
                run_s = time.monotonic() - began
                self._scheduler.end(run, run_s if is_whole else None)
                self._tell(run, run_s, is_whole=is_whole)
                del run
                jobs = []  # an idle lane keeps no pixels
        except BaseException:
            log.critical("event=lane_died", exc_info=True)
            fail([*jobs, *self._scheduler.stop()], "the engine has died; restart it")
            raise

    def _tell(self, run: Run, run_s: float, *, is_whole: bool) -> None:
        if not self._listeners:
            return
        seen = BatchRun(
            model=cast("Group", run.group).spec.name,
            lane=self._number,
            priority=run.priority,
            items=len(run.jobs),
            tokens=run.tokens,
            padded=run.padded,
            wait_s=run.wait_s,
            predicted_s=run.predicted_s,
            run_s=run_s,
            is_whole=is_whole,
            is_capped=run.is_capped,
        )
        for listener in tuple(self._listeners):
            try:
                listener(seen)
            except Exception:  # who watches must not end what is watched
                log.exception("event=listener_failed")

    def end(self) -> None:
        """Finish the batch that runs; what still waits is refused."""
        fail(self._scheduler.stop(), "the engine is stopping; send the request again", kind=NotReady)
        self.join()


def _run(scheduler: Scheduler, cache: Cache | None, group: Group, jobs: list[Job]) -> bool:
    """Compute and deliver; a batch that fails is halved until the items that fail stand alone. Whether none did."""
    started = time.monotonic()
    try:
        rows = _rows(group, jobs)
        if cache is not None and group.outputs != STATES:  # those of a long text would push all others out
            for job, row in zip(jobs, rows, strict=True):
                cache.put(job.key, row)
    except Exception as error:  # whatever it was, callers wait for an answer and the lane must go on
        _note_memory(scheduler, group, jobs, error)
        if len(jobs) > 1:
            half = len(jobs) // 2
            log.warning("event=batch_split items=%d error=%s", len(jobs), type(error).__name__)
            _run(scheduler, cache, group, jobs[:half])
            _run(scheduler, cache, group, jobs[half:])
            return False
        log.error("event=item_failed model=%s tokens=%d", group.spec.name, jobs[0].encoding.cost, exc_info=error)
        scheduler.finish(jobs)
        fail(jobs, _told(error, group.spec, jobs[0]), error)
        return False
    _deliver(scheduler.finish(jobs), rows, started)
    return True


def _note_memory(scheduler: Scheduler, group: Group, jobs: Sequence[Job], error: Exception) -> None:
    if is_out_of_memory(error):
        tokens = sum(job.encoding.cost for job in jobs)
        if scheduler.ran_out(group, tokens):
            log.warning(
                "event=out_of_memory model=%s tokens=%d; batches are smaller for a while", group.spec.name, tokens
            )


def _rows(group: Group, jobs: list[Job]) -> list[Vectors]:
    runtime, spec, outputs, _ = group
    batch = lay(jobs)
    made = runtime.run(batch, outputs)
    for name, values in made.items():
        wanted = len(batch) if _is_per_item(name, spec) else len(batch.ids)
        if len(values) != wanted:
            raise RuntimeFailed(f"{spec.name!r} gave {len(values)} {name} rows for {wanted}; its runtime is broken")
        if not np.isfinite(values).all():
            raise RuntimeFailed(
                f"{spec.name!r} gave a {name} number that is not finite; its weights or the device are broken"
            )
    return split(made, batch, spec)


def _told(error: Exception, spec: ModelSpec, job: Job) -> str:
    if isinstance(error, EmbedstackError):
        return error.message
    return f"{spec.name!r} failed on an item of {job.encoding.cost} tokens ({type(error).__name__}); see the log"


def lay(jobs: Sequence[Job]) -> Batch:
    """Items end to end."""
    lengths = [job.encoding.cost for job in jobs]
    segments = [
        np.zeros(job.encoding.cost, np.int32) if job.encoding.segments is None else job.encoding.segments
        for job in jobs
    ]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    patches = [job.encoding.patches for job in jobs if job.encoding.patches is not None]
    ids = np.concatenate([job.encoding.ids for job in jobs])
    return Batch(ids, np.concatenate(segments), offsets, np.concatenate(patches) if patches else None)


def split(made: Vectors, batch: Batch, spec: ModelSpec) -> list[Vectors]:
    """Each item's own rows: one of dense and score, one per token of multi, and of sparse its terms or its tokens."""
    spans = [slice(a, b) for a, b in pairwise(batch.offsets.tolist())]

    def own(name: Output, number: int, span: slice) -> Floats:
        rows = made[name][number : number + 1] if _is_per_item(name, spec) else made[name][span]
        return finish.terms(rows) if name == "sparse" and spec.is_lexical else rows

    return [{name: own(name, n, span) for name in made} for n, span in enumerate(spans)]


def _is_per_item(name: Output, spec: ModelSpec) -> bool:
    """Whether an item has one row, and not one for each of its tokens."""
    return name in ("dense", "score") or (name == "sparse" and spec.is_lexical)


def fail(
    jobs: Sequence[Job], message: str, cause: Exception | None = None, kind: type[EmbedstackError] = RuntimeFailed
) -> None:
    """Tell everyone who waits for these items; each caller gets an error of its own."""
    for job in jobs:
        for call, _ in list(job.listeners):
            error = kind(message)
            error.__cause__ = cause
            _on(call.loop, lambda call=call, error=error: call.fail(error))  # type: ignore[misc]


def _deliver(listeners: Sequence[list[tuple[Call, int]]], rows: Sequence[Vectors], started: float) -> None:
    """Wake each event loop once per batch, not once per item."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Call, int, Vectors]]] = {}
    for row, waiting in zip(rows, listeners, strict=True):
        for call, place in waiting:
            loops.setdefault(call.loop, []).append((call, place, row))
    for loop, parts in loops.items():
        _on(loop, lambda parts=parts: [call.receive(place, row, started) for call, place, row in parts])  # type: ignore[misc]


def _on(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:
        log.debug("event=caller_gone")  # its loop is closed; nobody is left to tell
