"""The local Encoder: requests are tokenised, wait in one line for the device, and come back as finished rows."""

import asyncio
import hashlib
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import cast

import numpy as np

from embedstack.engine import finish
from embedstack.engine.admission import Limits
from embedstack.engine.cache import Cache, Counts
from embedstack.engine.lane import Group, Lane
from embedstack.engine.line import Call, Job, Line
from embedstack.engine.loaded import Loaded, document_tokens
from embedstack.engine.naming import pick
from embedstack.engine.reading import in_groups, late, off_loop
from embedstack.engine.scheduler import Scheduler
from embedstack.errors import BadRequest, TooLong, Unsupported
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Encoding,
    Floats,
    ModelSpec,
    Output,
    Piece,
    Score,
    Scored,
    Task,
    Tokenize,
    Tokenized,
    Usage,
    Vectors,
)
from embedstack.watching import Load, OnBatch

INLINE_NUMBERS = 200_000  # finishing this many numbers takes under a millisecond
SCORE: frozenset[Output] = frozenset({"score"})


class Engine:
    """Models on one device behind one waiting line.

    Args:
        models: the first of a task answers a request that names no model; more may come, see `add`.
        batch_tokens: tokens of one run.
        limits: how long requests may wait, and how long bulk batches run; nobody is refused by default.
        max_request_tokens: of one request; 0 sets no limit.
        cache_bytes: memory for finished rows; 0 keeps none.
    """

    def __init__(
        self,
        models: Sequence[Loaded],
        *,
        batch_tokens: int = 1024,
        cache_bytes: int = 0,
        limits: Limits | None = None,
        max_request_tokens: int = 0,
    ) -> None:
        self._models = {loaded.spec.name: loaded for loaded in models}
        self._names = {name: one.spec.name for one in models for name in (*one.aliases, one.spec.name)}
        if len(self._models) < len(models):
            raise BadRequest("two models have the same name; load each of them in an engine of its own")
        self._batch_tokens = batch_tokens
        self._max_request_tokens = max_request_tokens
        self.on_batch: list[OnBatch] = []  # called by a lane, in its thread, after each batch
        self._cache = Cache(cache_bytes) if cache_bytes else None
        lanes = max((loaded.runtime.lanes for loaded in models), default=1)
        self._scheduler = Scheduler(batch_tokens, lanes=lanes, limits=limits)
        self._lanes = [Lane(self._scheduler, self._cache, number, self.on_batch) for number in range(lanes)]
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
        if request.late_chunking:
            raise Unsupported(f"late chunking is not available for {spec.name!r}; leave it out")
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
        return await off_loop(numbers > INLINE_NUMBERS, finished)

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

    async def classify(self, request: Classify) -> Classified:
        """Scores of all labels, in input order.

        Raises:
            As `encode`.
        """
        loaded = self.find(request.model, "classify")
        spec = loaded.spec
        _, rows, usage = await self._compute(loaded, request, SCORE)
        return Classified(
            spec=spec,
            fingerprint=loaded.fingerprint(request),
            usage=usage,
            scores=finish.label_scores(_stack(rows, "score", spec.labels), spec, raw=request.raw_scores),
        )

    async def tokens(self, request: Tokenize) -> Tokenized:
        """What the model reads of each item, and what would be cut of it; see `TextInput.pieces`.

        Raises:
            BadRequest, DeadlineExceeded.
        """
        loaded = self.find(request.model, None)
        items = await in_groups(request, request.items, lambda group, first: loaded.text.pieces(
            group, request.max_tokens, request.truncate, first=first
        ))  # fmt: skip
        usage = _usage_of_pieces(items)
        if not request.special_tokens:
            items = [tuple(piece for piece in pieces if not piece.special) for pieces in items]
        return Tokenized(spec=loaded.spec, usage=usage, items=tuple(items))

    async def decode(self, request: Decode) -> Decoded:
        """The texts of token ids.

        Raises:
            BadRequest: see `TextInput.decode`; DeadlineExceeded.
        """
        loaded = self.find(request.model, None)
        texts = await in_groups(request, request.items, lambda group, first: loaded.text.decode(
            group, skip_special_tokens=request.skip_special_tokens, first=first
        ))  # fmt: skip
        usage = Usage(items=len(texts), tokens=sum(len(item.ids) for item in request.items))
        return Decoded(spec=loaded.spec, usage=usage, texts=tuple(texts))

    def models(self) -> tuple[ModelSpec, ...]:
        """What is loaded, in the order given."""
        return tuple(loaded.spec for loaded in self._models.values())

    def find(self, name: str, task: Task | None) -> Loaded:
        """The loaded model of this name or alias; an empty name means the first one of the task.

        Args:
            task: what it is for; None where any model will do.
        Raises:
            UnknownModel: nothing by that name; the message lists what there is.
            Unsupported: the model is there, for another task.
        """
        specs = {known: loaded.spec for known, loaded in self._models.items()}
        return self._models[pick(name, task, specs, self._names).name]

    def spec_of(self, name: str) -> ModelSpec | None:
        """The loaded model of this name or alias."""
        return self._models[self._names[name]].spec if name in self._names else None

    @property
    def alive(self) -> bool:
        """Whether every lane is still working: one that dies ends all that waits."""
        return self._scheduler.is_open

    @property
    def waiting_tokens(self) -> int:
        """Tokens that wait for the device."""
        return self._scheduler.waiting_tokens

    def load(self) -> Load:
        """How busy it is."""
        cache = self._cache.counts() if self._cache else Counts()
        counts = self._scheduler.counts()
        return Load(
            waiting_items=counts.waiting_items,
            waiting_tokens=self._scheduler.waiting_tokens,
            limit_tokens=self._scheduler.limit_tokens(),
            running_items=counts.running_items,
            batch_tokens=self._batch_tokens,
            batches=counts.batches,
            batch_items=counts.items,
            refused=counts.refused,
            expired=counts.expired,
            out_of_memory=counts.out_of_memory,
            cache_hits=cache.hits,
            cache_misses=cache.misses,
            cache_entries=cache.entries,
            cache_bytes=cache.size_bytes,
            precisions={name: loaded.runtime.precision for name, loaded in self._models.items()},
        )

    def add(self, loaded: Loaded) -> None:
        """One model more, from any thread; requests see it whole or not at all.

        Raises:
            BadRequest: one of this name is here.
        """
        name = loaded.spec.name
        if name in self._models:
            raise BadRequest(f"{name!r} is loaded already; unload it first")
        for number in range(len(self._lanes), loaded.runtime.lanes):
            self._lanes.append(Lane(self._scheduler, self._cache, number, self.on_batch))
            self._scheduler.lanes = len(self._lanes)
        self._models = {**self._models, name: loaded}
        self._names = {**dict.fromkeys(loaded.aliases, name), **self._names, name: name}

    def remove(self, name: str) -> None:
        """One model less, from any thread; its memory is given back.

        Whoever removes it sees to it that no request for it is under way. A batch that a caller left behind ends well.
        """
        gone = self._models[name]
        self._names = {known: own for known, own in self._names.items() if own != name}
        self._models = {known: loaded for known, loaded in self._models.items() if loaded is not gone}
        gone.runtime.close()

    def close(self) -> None:
        """Finish the batches that run, refuse what waits, give the memory back; more than once does no harm."""
        self.stop()
        for loaded in self._models.values():
            loaded.runtime.close()

    def stop(self) -> None:
        """Finish the batches that run, refuse what waits; the models stay open."""
        for lane in self._lanes:
            lane.end()

    def drop_rows(self) -> bool:
        """Give the memory of the finished rows back; whether any were kept."""
        return self._cache is not None and self._cache.clear()

    # ------------------------------------------------------------------ a request's way

    async def _compute(
        self, loaded: Loaded, request: Encode | Score | Classify, outputs: frozenset[Output]
    ) -> tuple[list[Encoding], list[Vectors], Usage]:
        began = time.monotonic()
        encodings = await in_groups(request, request.items, lambda group, first: loaded.text.encode(
            group, request.max_tokens, request.truncate, first=first, document_tokens=document_tokens(request)
        ))  # fmt: skip
        usage = _usage(encodings)
        if not encodings:
            return [], [], usage
        if 0 < self._max_request_tokens < usage.tokens:
            raise TooLong(
                f"the request has {usage.tokens} tokens and the limit is {self._max_request_tokens}; "
                "send it in parts, or raise EMBEDSTACK_MAX_REQUEST_TOKENS"
            )
        identity = loaded.identity(outputs)
        loop, now = asyncio.get_running_loop(), time.monotonic()
        call = Call(loop, loop.create_future(), [None] * len(encodings), now)
        jobs = [Job(e, (identity, _content(e)), [(call, place)]) for place, e in enumerate(encodings)]
        # a whole request is packed by its lengths alone, so nothing of it may be left out
        call.jobs = jobs if request.whole else [job for job in jobs if not self._answer_from_cache(call, job)]
        call.missing = len(call.jobs)
        if call.jobs:
            line = Line(
                Group(loaded.runtime, loaded.spec, outputs, identity),
                call.jobs.copy(),
                request.priority,
                request.caller,
                call.arrived,
                lanes=loaded.runtime.lanes,
                is_whole=request.whole,
                deadline=request.deadline,
                call=call,
            )
            await self._wait(call, request.deadline, lambda: self._scheduler.submit(line))
        now = time.monotonic()
        wait_s = max(0.0, (call.started or now) - call.arrived)
        stages = wait_s, now - call.arrived - wait_s, call.arrived - began
        usage = Usage(usage.items, usage.tokens, usage.dropped, usage.truncated, *stages)
        return encodings, cast("list[Vectors]", call.rows), usage

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
            await (call.done if left_s is None else asyncio.wait_for(call.done, left_s))
        except asyncio.TimeoutError as error:
            raise late() from error
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


def _usage_of_pieces(items: Sequence[Sequence[Piece]]) -> Usage:
    """As a request would count them."""
    dropped = [sum(piece.is_cut for piece in pieces) for pieces in items]
    tokens = sum(len(pieces) for pieces in items) - sum(dropped)
    return Usage(len(items), tokens, dropped=sum(dropped), truncated=sum(count > 0 for count in dropped))
