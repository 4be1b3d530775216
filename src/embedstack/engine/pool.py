"""An Encoder whose models come and go: loaded when they are asked for, unloaded to make room or when nobody does."""

import atexit
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from typing import TypeVar

from embedstack.engine.engine import Engine
from embedstack.engine.loader import Check, Loader, Rules, Work
from embedstack.engine.memory import Meter, ProcessMemory
from embedstack.engine.naming import kind_of
from embedstack.engine.slots import ModelState, Slot, Source, Table
from embedstack.errors import EmbedstackError, UnknownModel
from embedstack.modelspec import ModelSpec, Task
from embedstack.proof.startup import Proof
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Encoder,
    Score,
    Scored,
    Tokenize,
    Tokenized,
)
from embedstack.watching import Load, OnBatch

Asking = TypeVar("Asking", Encode, Score, Classify, Tokenize, Decode)
Find = Callable[[str], Source]


def unproven(encoder: Encoder, precision: str) -> Proof:
    """The check of a pool that was given none."""
    return "unproven"


class Pool:
    """Models on one device. Every method is safe from any thread.

    Args:
        sources: what is served, whether or not it is in memory.
        engine: without a model; the pool fills it, empties it and closes it.
        find: makes a source of a name that is not served yet, for `add_model`.
        check: see Loader.
        meter, clock: given by tests.
    Raises:
        ConfigError: two models have the same name.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        engine: Engine,
        rules: Rules,
        *,
        find: Find | None = None,
        check: Check = unproven,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._find, self._clock = engine, find, clock
        self._changed = threading.Condition()
        self._adding: dict[str, Future[ModelSpec]] = {}
        self._table = Table([Slot(source, source.need(), is_wanted=not rules.is_lazy) for source in sources])
        self._loader = Loader(self._table, self._changed, engine, rules, check, meter or ProcessMemory(), clock)
        atexit.register(self.close)  # no graph may be built or freed while the interpreter ends; see `engine.lane`
        self._loader.start()

    # ------------------------------------------------------------------ the door

    async def encode(self, request: Encode) -> Encoded:
        """See `Engine.encode`.

        Raises:
            NotReady: the model is being loaded, and will be there after `retry_after_s`.
            LoadFailed: it cannot be loaded as things are.
        """
        with self._using(request, "embed") as named:
            return await self._engine.encode(named)

    async def score(self, request: Score) -> Scored:
        """See `Engine.score`; raises as `encode`."""
        with self._using(request, "rerank") as named:
            return await self._engine.score(named)

    async def classify(self, request: Classify) -> Classified:
        """See `Engine.classify`; raises as `encode`."""
        with self._using(request, "classify") as named:
            return await self._engine.classify(named)

    async def tokens(self, request: Tokenize) -> Tokenized:
        """See `Engine.tokens`; raises as `encode`."""
        with self._using(request, None) as named:
            return await self._engine.tokens(named)

    async def decode(self, request: Decode) -> Decoded:
        """See `Engine.decode`; raises as `encode`."""
        with self._using(request, None) as named:
            return await self._engine.decode(named)

    def models(self) -> tuple[ModelSpec, ...]:
        """What is served, in the order given, whether or not it is in memory."""
        return tuple(self._table.specs.values())

    def spec_of(self, name: str) -> ModelSpec | None:
        """The model that a request with this name gets."""
        return self._table.specs.get(self._table.names.get(name, ""))

    def load(self) -> Load:
        """How busy it is."""
        return self._engine.load()

    @property
    def on_batch(self) -> list[OnBatch]:
        """See Engine."""
        return self._engine.on_batch

    @property
    def alive(self) -> bool:
        """Whether batches can run and models can be loaded."""
        return self._engine.alive and self._loader.is_alive()

    @property
    def proof(self) -> Proof:
        """Proven if every model in memory is."""
        found = {state.proof for state in self.states() if state.state == "loaded"}
        return "proven" if found == {"proven"} else "unproven"

    def close(self) -> None:
        """Finish what runs, refuse what waits, give the memory back; more than once does no harm."""
        self._loader.stop()
        self._engine.close()
        atexit.unregister(self.close)

    # ------------------------------------------------------------------ by hand

    def states(self) -> tuple[ModelState, ...]:
        """Every model as it stands."""
        with self._changed:
            return tuple(slot.shown(self._clock()) for slot in self._table.slots.values())

    def fill(self) -> None:
        """Load the models in order, as far as there is room; the others are loaded when they are asked for.

        Raises:
            The first failure, if no model could be loaded.
        """
        failures: list[EmbedstackError] = []
        slots = list(self._table.slots.values())
        for slot in slots:
            try:
                self._loader.ask(Work("load", slot, may_evict=False)).result()
            except EmbedstackError as error:
                failures.append(error)
        if failures and not any(slot.state == "loaded" for slot in slots):
            raise failures[0]

    def load_model(self, name: str) -> "Future[None]":
        """Load it now, also if that failed before; done when it is in memory, at once if it is there already.

        Files that have changed since are read after `unload_model`; other weights are welcome then.

        Raises:
            UnknownModel: no such model. NotReady: the pool is closed. The future: what loading raises.
        """
        return self._loader.ask(Work("load", self._slot(name), by_hand=True))

    def unload_model(self, name: str) -> "Future[None]":
        """Free its memory once its work is done. It is still served, and loaded again when it is asked for.

        Raises:
            As `load_model`.
        """
        return self._loader.ask(Work("unload", self._slot(name)))

    def forget_model(self, name: str) -> "Future[None]":
        """Unload it, and serve it no more.

        Raises:
            As `load_model`.
        """
        return self._loader.ask(Work("forget", self._slot(name)))

    def add_model(self, name: str) -> "Future[ModelSpec]":
        """Serve one more: its files are fetched now, its weights are loaded when it is asked for.

        Whoever asks for a name that is being fetched gets the same. The thread is a daemon, so that a download does
        not hold up the end of the process.

        Raises:
            UnknownModel: this pool finds no models. The future: what finding it raises.
        """
        if self._find is None:
            raise UnknownModel(f"model {name!r} is not served; served: {', '.join(self._table.specs)}")
        with self._changed:
            if name in self._adding:
                return self._adding[name]
            adding = self._adding[name] = Future[ModelSpec]()
            adding.set_running_or_notify_cancel()  # nobody who waits can cancel it for the others
        Thread(target=self._add, args=(name, self._find, adding), name="embedstack-adding", daemon=True).start()
        return adding

    def _add(self, name: str, find: Find, adding: "Future[ModelSpec]") -> None:
        try:
            source = find(name)
            slot = Slot(source, source.need())
            with self._changed:
                if self._table.specs.get(slot.name) != source.spec:  # or it was added by another of its names
                    self._table.serve([*self._table.slots.values(), slot])
        except BaseException as error:  # it ends the thread; who waits is told
            self._added(name)
            adding.set_exception(error)
        else:
            self._added(name)
            adding.set_result(source.spec)

    def _added(self, name: str) -> None:
        with self._changed:
            del self._adding[name]

    def _slot(self, name: str) -> Slot:
        """By name; an empty one means nobody here."""
        with self._changed:
            return self._table.find(name or "(no name)", None)

    # ------------------------------------------------------------------ a request's way

    @contextmanager
    def _using(self, request: Asking, task: Task | None) -> Iterator[Asking]:
        """The request under the model's public name; the model stays in memory meanwhile."""
        with self._changed:
            kind = kind_of(request.items) if isinstance(request, Encode) else None
            slot = self._table.find(request.model, task, kind)
            if slot.state != "loaded":
                raise self._begin(slot)
            slot.in_flight += 1
            slot.has_served = True
        try:
            yield request if request.model == slot.name else replace(request, model=slot.name)
        finally:
            with self._changed:
                slot.in_flight -= 1
                slot.used_at = self._clock()
                if not slot.in_flight:
                    self._changed.notify_all()

    def _begin(self, slot: Slot) -> EmbedstackError:
        """See to it that a model is loaded, and say what its caller hears meanwhile."""
        now = self._clock()
        if slot.state != "loading":
            refusal = slot.refusal(now)
            if refusal is not None:
                return refusal
            self._loader.ask(Work("load", slot))
        return slot.waiting(now, max(other.proving_s(now) for other in self._table.slots.values()))
