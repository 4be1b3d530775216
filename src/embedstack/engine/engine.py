"""The local Encoder: requests are tokenised, wait in one line for the device, and come back as finished rows."""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from threading import Thread
from typing import TypeVar, cast

import numpy as np

from embedstack.engine import finish
from embedstack.engine.cache import Cache
from embedstack.engine.scheduler import Call, Job, Line, Scheduler
from embedstack.errors import DeadlineExceeded, EmbedstackError, NotReady, RuntimeFailed, UnknownModel, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.runtimes import Runtime
from embedstack.types import (
    Batch,
    Encode,
    Encoded,
    Encoding,
    Floats,
    ModelSpec,
    Output,
    Score,
    Scored,
    Task,
    Usage,
    Vectors,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

INLINE_CHARS = 4_000  # tokenising this much takes under a millisecond, about what a hand-over to a thread can cost
INLINE_NUMBERS = 200_000  # finishing this many numbers takes under a millisecond
SCORE: frozenset[Output] = frozenset({"score"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready: its recipe, its tokeniser, its place on the device."""

    spec: ModelSpec
    text: TextInput
    runtime: Runtime
    aliases: tuple[str, ...] = ()


class Engine:
    """Models on one device behind one waiting line.

    Args:
        models: at least one; the first of a task answers a request that names no model.
        batch_tokens: tokens of one run.
        cache_bytes: memory for finished rows; 0 keeps none.
    """

    def __init__(self, models: Sequence[Loaded], *, batch_tokens: int = 1024, cache_bytes: int = 0) -> None:
        self._models = {loaded.spec.name: loaded for loaded in models}
        self._names = {name: loaded for loaded in models for name in (*loaded.aliases, loaded.spec.name)}
        self._scheduler = Scheduler(batch_tokens)
        self._cache = Cache(cache_bytes) if cache_bytes else None
        lanes = max(loaded.runtime.lanes for loaded in models)
        self._lanes = [Thread(target=self._lane, name=f"embedstack-lane-{n}", daemon=True) for n in range(lanes)]
        for lane in self._lanes:
            lane.start()

    # ------------------------------------------------------------------ the door

    async def encode(self, request: Encode) -> Encoded:
        """Vectors in input order.

        Raises:
            BadRequest: see `TextInput.encode`; Unsupported for an output or a width that the model does not have.
            DeadlineExceeded, NotReady, RuntimeFailed.
        """
        loaded = self.find(request.model, "embed")
        spec = loaded.spec
        dim = finish.check_dim(request.dim, spec)
        for output in request.outputs - set(spec.outputs):
            raise Unsupported(f"{spec.name!r} has no {output} output; it gives: {', '.join(spec.outputs)}")
        encodings, rows, usage = await self._compute(loaded, request, request.outputs)
        unit = spec.normalize if request.normalize is None else request.normalize
        fingerprint = spec.fingerprint(loaded.runtime.precision, dim, normalize=unit)

        def finished() -> Encoded:
            wanted = request.outputs
            pairs = list(zip(encodings, rows, strict=True))
            return Encoded(
                spec=spec,
                fingerprint=fingerprint,
                usage=usage,
                dense=finish.dense(_stack(rows, "dense", spec.dim), dim, normalize=unit) if "dense" in wanted else None,
                sparse=tuple(finish.sparse(row["sparse"], e.ids, spec.sparse_ignore) for e, row in pairs)
                if "sparse" in wanted
                else None,
                multi=tuple(finish.multi(row["multi"], normalize=unit) for row in rows) if "multi" in wanted else None,
            )

        numbers = sum(array.size for row in rows for array in row.values())
        return await _off_loop(numbers > INLINE_NUMBERS, finished)

    async def score(self, request: Score) -> Scored:
        """Scores in input order.

        Raises:
            As `encode`.
        """
        loaded = self.find(request.model, "rerank")
        spec = loaded.spec
        _, rows, usage = await self._compute(loaded, request, SCORE)
        return Scored(
            spec=spec,
            fingerprint=spec.fingerprint(loaded.runtime.precision),
            usage=usage,
            scores=finish.scores(_stack(rows, "score", spec.labels), spec, raw=request.raw_scores),
        )

    def models(self) -> tuple[ModelSpec, ...]:
        """What is loaded, in the order given."""
        return tuple(loaded.spec for loaded in self._models.values())

    def find(self, name: str, task: Task) -> Loaded:
        """The loaded model of this name or alias; an empty name means the first one of the task.

        Raises:
            UnknownModel: nothing by that name; the message lists what there is.
            Unsupported: the model is there, for another task.
        """
        fits = [loaded for loaded in self._models.values() if loaded.spec.task == task]
        if not name and fits:
            return fits[0]
        if not name:
            raise Unsupported(f"no model for the task {task!r} is loaded; loaded: {', '.join(self._models)}")
        if name not in self._names:
            near = get_close_matches(name, self._names, n=1, cutoff=0.4)
            hint = f"did you mean {self._names[near[0]].spec.name!r}? " if near else ""
            raise UnknownModel(f"model {name!r} is not loaded; {hint}loaded: {', '.join(self._models)}")
        loaded = self._names[name]
        if loaded.spec.task != task:
            raise Unsupported(f"{loaded.spec.name!r} is for the task {loaded.spec.task!r}, not {task!r}")
        return loaded

    @property
    def alive(self) -> bool:
        """Whether every lane is still working."""
        return all(lane.is_alive() for lane in self._lanes)

    @property
    def waiting_tokens(self) -> int:
        """Tokens that wait for the device."""
        return self._scheduler.waiting_tokens

    def close(self) -> None:
        """Finish the batches that run, refuse what waits, give the memory back."""
        for job in self._scheduler.stop():
            _deliver([(job, job.listeners)], NotReady("the engine is stopping; send the request again"))
        for lane in self._lanes:
            lane.join()
        for loaded in self._models.values():
            loaded.runtime.close()

    # ------------------------------------------------------------------ a request's way

    async def _compute(
        self, loaded: Loaded, request: Encode | Score, outputs: frozenset[Output]
    ) -> tuple[list[Encoding], list[Vectors], Usage]:
        encodings = await self._tokenise(loaded, request)
        usage = _usage(encodings)
        if not encodings:
            return [], [], usage
        identity = (loaded.spec.fingerprint(loaded.runtime.precision), outputs)
        call = Call(
            asyncio.get_running_loop(),
            asyncio.get_running_loop().create_future(),
            [None] * len(encodings),
            time.monotonic(),
        )
        jobs = [Job(e, (identity, *_content(e)), [(call, place)]) for place, e in enumerate(encodings)]
        waiting = [job for job in jobs if not self._answer_from_cache(call, job)]
        call.missing = len(waiting)
        if waiting:
            line = Line(
                (loaded, outputs), waiting, request.priority, request.caller, call.arrived, is_whole=request.whole
            )
            self._scheduler.submit(line)
            await self._wait(call, request.deadline)
        now = time.monotonic()
        wait_s = max(0.0, (call.started or now) - call.arrived)
        usage = Usage(usage.items, usage.tokens, usage.dropped, usage.truncated, wait_s, now - call.arrived - wait_s)
        return encodings, cast("list[Vectors]", call.rows), usage

    async def _tokenise(self, loaded: Loaded, request: Encode | Score) -> list[Encoding]:
        chars = sum(_chars(item) for item in request.items)
        return await _off_loop(
            chars > INLINE_CHARS,
            lambda: loaded.text.encode(request.items, request.max_tokens, request.truncate),
        )

    def _answer_from_cache(self, call: Call, job: Job) -> bool:
        if self._cache is None or (rows := self._cache.get(job.key)) is None:
            return False
        call.rows[job.listeners[0][1]] = rows
        return True

    async def _wait(self, call: Call, deadline: float | None) -> None:
        try:
            await asyncio.wait_for(call.done, None if deadline is None else max(0.0, deadline - time.monotonic()))
        except asyncio.TimeoutError as error:
            raise DeadlineExceeded(
                "the deadline passed before the work was done; allow more time or send less"
            ) from error
        finally:
            if not call.done.done() or call.done.cancelled() or call.done.exception():
                self._scheduler.leave(call)

    # ------------------------------------------------------------------ a lane's life

    def _lane(self) -> None:
        while (taken := self._scheduler.take()) is not None:
            (loaded, outputs), jobs = cast("tuple[tuple[Loaded, frozenset[Output]], list[Job]]", taken)
            self._run(loaded, outputs, jobs)

    def _run(self, loaded: Loaded, outputs: frozenset[Output], jobs: list[Job]) -> None:
        """Compute and deliver; a batch that fails is halved until the items that fail stand alone."""
        started = time.monotonic()
        try:
            batch = lay(jobs)
            made = loaded.runtime.run(batch, outputs)
            _refuse_nonsense(made)
        except Exception as error:  # whatever it was, a caller waits for the answer and the lane must go on
            if len(jobs) > 1:
                log.warning("event=batch_split items=%d error=%s", len(jobs), type(error).__name__)
                half = len(jobs) // 2
                self._run(loaded, outputs, jobs[:half])
                self._run(loaded, outputs, jobs[half:])
                return
            if not isinstance(error, EmbedstackError):
                log.exception("event=batch_failed model=%s", loaded.spec.name)
                error = RuntimeFailed(
                    f"{loaded.spec.name!r} failed on an item of {jobs[0].encoding.cost} tokens: {error}"
                )
            _deliver(list(zip(jobs, self._scheduler.finish(jobs), strict=True)), error)
            return
        rows = split(made, batch)
        if self._cache is not None:
            for job, row in zip(jobs, rows, strict=True):
                self._cache.put(job.key, row)
        _deliver(list(zip(jobs, self._scheduler.finish(jobs), strict=True)), None, rows, started)


def lay(jobs: Sequence[Job]) -> Batch:
    """Items end to end."""
    lengths = [job.encoding.cost for job in jobs]
    segments = [job.encoding.segments for job in jobs]
    return Batch(
        ids=np.concatenate([job.encoding.ids for job in jobs]),
        segments=np.concatenate(
            [np.zeros(n, np.int32) if s is None else s for n, s in zip(lengths, segments, strict=True)]
        ),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
    )


def split(made: Vectors, batch: Batch) -> list[Vectors]:
    """Each item's own rows: one of dense and score, one per token of sparse and multi."""
    ends = batch.offsets.tolist()
    spans: Mapping[Output, list[slice]] = {
        name: [slice(i, i + 1) for i in range(len(batch))]
        if name in ("dense", "score")
        else [slice(a, b) for a, b in pairwise(ends)]
        for name in made
    }
    return [{name: made[name][spans[name][i]] for name in made} for i in range(len(batch))]


def _deliver(
    finished: Sequence[tuple[Job, list[tuple[Call, int]]]],
    error: Exception | None,
    rows: Sequence[Vectors] = (),
    started: float = 0.0,
) -> None:
    """Wake each event loop once per batch, not once per item."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Call, int, int]]] = {}
    for number, (_, listeners) in enumerate(finished):
        for call, place in listeners:
            loops.setdefault(call.loop, []).append((call, place, number))

    def hand_over(parts: list[tuple[Call, int, int]]) -> None:
        for call, place, number in parts:
            if error is None:
                call.receive(place, rows[number], started)
            else:
                call.fail(error)

    for loop, parts in loops.items():
        try:
            loop.call_soon_threadsafe(hand_over, parts)
        except RuntimeError:
            log.debug("event=caller_gone items=%d", len(parts))  # its loop is closed; nobody is left to tell


def _refuse_nonsense(made: Vectors) -> None:
    for name, values in made.items():
        if not np.isfinite(values).all():
            raise RuntimeFailed(
                f"the {name} output holds a number that is not finite; the weights or the device are broken"
            )


def _stack(rows: Sequence[Vectors], name: Output, width: int) -> Floats:
    return np.concatenate([row[name] for row in rows]) if rows else np.empty((0, width), np.float32)


def _content(encoding: Encoding) -> tuple[Hashable, ...]:
    return encoding.ids.tobytes(), b"" if encoding.segments is None else encoding.segments.tobytes()


def _usage(encodings: Sequence[Encoding]) -> Usage:
    return Usage(
        items=len(encodings),
        tokens=sum(e.cost for e in encodings),
        dropped=sum(e.dropped for e in encodings),
        truncated=sum(e.dropped > 0 for e in encodings),
    )


def _chars(item: object) -> int:
    return sum(len(part) for part in (getattr(item, name, "") for name in ("text", "query", "document")))


async def _off_loop(is_long: bool, work: Callable[[], T]) -> T:
    """Long work leaves the event loop free for other callers."""
    return await asyncio.to_thread(work) if is_long else work()
