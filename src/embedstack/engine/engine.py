"""The local Encoder: requests are tokenised, wait in one line for the device, and come back as finished rows."""

import weakref
from collections.abc import Sequence

import numpy as np

from embedstack.engine import finish
from embedstack.engine.admission import Limits
from embedstack.engine.cache import Cache, Counts
from embedstack.engine.lane import Lane
from embedstack.engine.late import Late
from embedstack.engine.loaded import Loaded
from embedstack.engine.naming import kind_of, pick
from embedstack.engine.pictures import Pictures
from embedstack.engine.reading import INLINE_NUMBERS, in_groups, off_loop, usage_of_pieces
from embedstack.engine.rows import Rows
from embedstack.engine.scheduler import Scheduler
from embedstack.engine.states import States
from embedstack.errors import BadRequest, Unsupported
from embedstack.modelspec import Input, ModelSpec, Output, Task
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Encoding,
    Floats,
    Score,
    Scored,
    Sparse,
    Tokenize,
    Tokenized,
    Usage,
    Vectors,
)
from embedstack.watching import Load, OnBatch

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
        self.on_batch: list[OnBatch] = []  # called by a lane, in its thread, after each batch
        self._cache = Cache(cache_bytes) if cache_bytes else None
        lanes = max((loaded.runtime.lanes for loaded in models), default=1)
        self._pictures = Pictures()
        self._scheduler = Scheduler(batch_tokens, lanes=lanes, limits=limits)
        self._lanes = [Lane(self._scheduler, self._cache, number, self.on_batch) for number in range(lanes)]
        self._rows = Rows(
            self._scheduler,
            self._cache,
            self._pictures,
            max_request_tokens=max_request_tokens,
            limits_effort=limits is not None and limits.max_wait_s is not None,
        )
        self._late = Late(self._rows)
        self._states = States(self._rows, self._late)
        weakref.finalize(self, self._scheduler.stop)  # an engine that nobody holds any more ends its lanes

    # ------------------------------------------------------------------ the door

    async def encode(self, request: Encode) -> Encoded:
        """Vectors in input order.

        Raises:
            BadRequest: see `TextInput.encode` and `ImageInput.encode`; for late chunking see `inputs.late.join`.
            Unsupported: an output, a width or a kind of item that the model does not have, or no late chunking; for the
                states of tokens see `States.encode`.
            DeadlineExceeded, NotReady, RuntimeFailed.
        """
        loaded = self.find(request.model, "embed", kind_of(request.items))
        spec = loaded.spec
        dim = finish.check_dim(request.dim, spec)
        if not request.outputs:
            raise BadRequest(f"no output is asked for; {spec.name!r} gives: {', '.join(spec.outputs)}")
        if "states" in request.outputs:
            return await self._states.encode(loaded, request)
        for output in request.outputs - set(spec.outputs):
            raise Unsupported(f"{spec.name!r} has no {output} output; it gives: {', '.join(spec.outputs)}")
        if request.late_chunking:
            return await self._late.encode(loaded, request, dim)
        encodings, rows, usage = await self._rows.of(loaded, request, request.outputs)
        # terms are as long as they are, so where there is nothing else, what was asked for changes nothing
        unit = spec.is_unit(request.normalize if spec.outputs != ("sparse",) else None, dim)
        fingerprint = loaded.fingerprint(request, dim, normalize=unit)

        def finished() -> Encoded:
            wanted = request.outputs
            pairs = list(zip(encodings, rows, strict=True))
            return Encoded(
                spec=spec,
                fingerprint=fingerprint,
                usage=usage,
                dense=finish.dense(_stack(rows, "dense", spec.dim), dim, normalize=unit, cut_norm=spec.cut_norm)
                if "dense" in wanted
                else None,
                sparse=tuple(_sparse(row["sparse"], e, spec) for e, row in pairs) if "sparse" in wanted else None,
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
        _, rows, usage = await self._rows.of(loaded, request, SCORE)
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
        _, rows, usage = await self._rows.of(loaded, request, SCORE)
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
        usage = usage_of_pieces(items)
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

    def find(self, name: str, task: Task | None, kind: Input | None = None) -> Loaded:
        """The loaded model of this name or alias; an empty name means the first one of the task and the kind.

        Args:
            task: what it is for; None where any model will do.
            kind: see `naming.pick`.
        Raises:
            UnknownModel: nothing by that name; the message lists what there is.
            Unsupported: the model is there, for another task.
        """
        specs = {known: loaded.spec for known, loaded in self._models.items()}
        return self._models[pick(name, task, specs, self._names, kind).name]

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
        self._pictures.close()
        self._late.close()
        for lane in self._lanes:
            lane.end()

    def drop_rows(self) -> bool:
        """Give the memory of the finished rows back; whether any were kept."""
        return self._cache is not None and self._cache.clear()


def _stack(rows: Sequence[Vectors], name: Output, width: int) -> Floats:
    return np.concatenate([row[name] for row in rows]) if rows else np.empty((0, width), np.float32)


def _sparse(rows: Floats, encoding: Encoding, spec: ModelSpec) -> Sparse:
    return finish.lexical(rows) if spec.is_lexical else finish.sparse(rows, encoding.ids, spec.sparse_ignore)
