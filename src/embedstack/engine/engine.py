"""The local Encoder: requests are tokenised, wait in one line for the device, and come back as finished rows."""

import asyncio
import hashlib
import time
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar, cast

import numpy as np

from embedstack.engine import finish
from embedstack.engine.cache import Cache
from embedstack.engine.lane import Lane
from embedstack.engine.scheduler import Call, Job, Line, Scheduler
from embedstack.errors import BadRequest, DeadlineExceeded, UnknownModel, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.runtimes import Runtime
from embedstack.types import (
    Encode,
    Encoded,
    Encoding,
    Floats,
    Item,
    ModelSpec,
    Output,
    Pair,
    Score,
    Scored,
    Task,
    Tokens,
    Usage,
    Vectors,
)

T = TypeVar("T")

INLINE_CHARS = 4_000  # tokenising this much takes under a millisecond, about what a hand-over to a thread can cost
GROUP_CHARS = 250_000  # tokenised at once: some 50 ms, after which a caller who hung up costs no more
INLINE_NUMBERS = 200_000  # finishing this many numbers takes under a millisecond
QUOTED = 100  # characters of a wrong name that a message repeats
SCORE: frozenset[Output] = frozenset({"score"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready: its recipe, its tokeniser, its place on the device."""

    spec: ModelSpec
    text: TextInput
    runtime: Runtime
    aliases: tuple[str, ...] = ()

    def fingerprint(
        self, request: Encode | Score | None = None, dim: int | None = None, *, normalize: bool | None = None
    ) -> str:
        """Of vectors made here, for a request or for any."""
        return self.spec.fingerprint(
            self.runtime.precision,
            dim,
            normalize=normalize,
            max_tokens=request.max_tokens if request else None,
            truncate=request.truncate if request else "right",
            calibration=self.runtime.calibration,
        )


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
        if len(self._models) < len(models):
            raise BadRequest("two models have the same name; load each of them in an engine of its own")
        self._scheduler = Scheduler(batch_tokens)
        self._cache = Cache(cache_bytes) if cache_bytes else None
        lanes = range(max(loaded.runtime.lanes for loaded in models))
        self._lanes = [Lane(self._scheduler, self._cache, number) for number in lanes]
        weakref.finalize(self, self._scheduler.stop)  # an engine that nobody holds any more ends its lanes

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
        if not request.outputs:
            raise BadRequest(f"no output is asked for; {spec.name!r} gives: {', '.join(spec.outputs)}")
        for output in request.outputs - set(spec.outputs):
            raise Unsupported(f"{spec.name!r} has no {output} output; it gives: {', '.join(spec.outputs)}")
        encodings, rows, usage = await self._compute(loaded, request, request.outputs)
        unit = spec.normalize if request.normalize is None else request.normalize
        fingerprint = loaded.fingerprint(request, dim, normalize=unit)

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
            fingerprint=loaded.fingerprint(request),
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
        if not name:
            fits = [loaded for loaded in self._models.values() if loaded.spec.task == task]
            if not fits:
                raise Unsupported(f"no model for {task} is loaded, only {', '.join(self._models)}; load one beside it")
            return fits[0]
        if name not in self._names:
            near = get_close_matches(name[:QUOTED], self._names, n=1, cutoff=0.4)
            hint = f"did you mean {self._names[near[0]].spec.name!r}? " if near else ""
            raise UnknownModel(f"model {name[:QUOTED]!r} is not loaded; {hint}loaded: {', '.join(self._models)}")
        loaded = self._names[name]
        if loaded.spec.task != task:
            raise Unsupported(f"{loaded.spec.name!r} is for {loaded.spec.task}, not for {task}; send another model")
        return loaded

    def spec_of(self, name: str) -> ModelSpec | None:
        """The loaded model of this name or alias."""
        return self._names[name].spec if name in self._names else None

    @property
    def alive(self) -> bool:
        """Whether every lane is still working."""
        return all(lane.is_alive() for lane in self._lanes)

    @property
    def waiting_tokens(self) -> int:
        """Tokens that wait for the device."""
        return self._scheduler.waiting_tokens

    def close(self) -> None:
        """Finish the batches that run, refuse what waits, give the memory back; more than once does no harm."""
        for lane in self._lanes:
            lane.end()
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
        identity = (loaded.fingerprint(), outputs)
        loop, now = asyncio.get_running_loop(), time.monotonic()
        call = Call(loop, loop.create_future(), [None] * len(encodings), now)
        jobs = [Job(e, (identity, _content(e)), [(call, place)]) for place, e in enumerate(encodings)]
        # a whole request is packed by its lengths alone, so nothing of it may be left out
        call.jobs = jobs if request.whole else [job for job in jobs if not self._answer_from_cache(call, job)]
        call.missing = len(call.jobs)
        if call.jobs:
            group = (loaded.runtime, loaded.spec, outputs)
            await self._wait(call, request.deadline, lambda: self._scheduler.submit(
                Line(group, call.jobs.copy(), request.priority, request.caller, call.arrived, is_whole=request.whole)
            ))  # fmt: skip
        now = time.monotonic()
        wait_s = max(0.0, (call.started or now) - call.arrived)
        usage = Usage(usage.items, usage.tokens, usage.dropped, usage.truncated, wait_s, now - call.arrived - wait_s)
        return encodings, cast("list[Vectors]", call.rows), usage

    async def _tokenise(self, loaded: Loaded, request: Encode | Score) -> list[Encoding]:
        """In groups, so that a request which is cancelled meanwhile ends soon."""
        encodings: list[Encoding] = []
        for group, chars in _groups(request.items):
            first = len(encodings)
            encodings += await _off_loop(
                chars > INLINE_CHARS,
                lambda group=group, first=first: loaded.text.encode(  # type: ignore[misc]
                    group, request.max_tokens, request.truncate, first=first
                ),
            )
        return encodings

    def _answer_from_cache(self, call: Call, job: Job) -> bool:
        if self._cache is None or (rows := self._cache.get(job.key)) is None:
            return False
        call.rows[job.listeners[0][1]] = rows
        return True

    async def _wait(self, call: Call, deadline: float | None, submit: Callable[[], None]) -> None:
        left_s = None if deadline is None else deadline - time.monotonic()
        try:
            if left_s is not None and left_s <= 0:
                raise asyncio.TimeoutError
            submit()
            await asyncio.wait_for(call.done, left_s)
        except asyncio.TimeoutError as error:
            raise DeadlineExceeded(
                "the deadline passed before the work was done; allow more time or send less"
            ) from error
        finally:
            if not call.done.done() or call.done.cancelled() or call.done.exception():
                self._scheduler.leave(call)


def _stack(rows: Sequence[Vectors], name: Output, width: int) -> Floats:
    return np.concatenate([row[name] for row in rows]) if rows else np.empty((0, width), np.float32)


def _content(encoding: Encoding) -> Hashable:
    digest = hashlib.blake2b(encoding.ids.tobytes(), digest_size=32)
    if encoding.segments is not None:
        digest.update(b"segments")
        digest.update(encoding.segments.tobytes())
    return digest.digest()


def _usage(encodings: Sequence[Encoding]) -> Usage:
    return Usage(
        items=len(encodings),
        tokens=sum(e.cost for e in encodings),
        dropped=sum(e.dropped for e in encodings),
        truncated=sum(e.dropped > 0 for e in encodings),
    )


def _groups(items: Sequence[Item]) -> Iterator[tuple[list[Item], int]]:
    """Items in order, each group with its size; the last item of a group may be long."""
    group: list[Item] = []
    size = 0
    for item in items:
        group.append(item)
        size += _chars(item)
        if size >= GROUP_CHARS:
            yield group, size
            group, size = [], 0
    if group:
        yield group, size


def _chars(item: Item) -> int:
    """About how much work tokenising is; what is no text is refused later."""
    parts = (
        (item.query, item.document)
        if isinstance(item, Pair)
        else (item.ids if isinstance(item, Tokens) else item.text,)
    )
    return sum(len(part) for part in parts if isinstance(part, str | tuple))


async def _off_loop(is_long: bool, work: Callable[[], T]) -> T:
    """Long work leaves the event loop free for other callers."""
    return await asyncio.to_thread(work) if is_long else work()
