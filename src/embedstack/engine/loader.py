"""What a pool asks for becomes loads and unloads, one at a time in a thread of their own, under one memory ceiling."""

import json
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from embedstack.engine.ceiling import Ceiling
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.engine.memory import Meter
from embedstack.engine.need import MB, Need, next_to_go
from embedstack.engine.slots import FRESH_S, Slot, Table
from embedstack.errors import EmbedstackError, Mismatch, NotReady, RuntimeFailed, UnknownModel
from embedstack.proof.proving import Proving
from embedstack.proof.startup import Proof
from embedstack.types import Encoder

log = logging.getLogger(__name__)
UNLOAD_S = 30.0  # a batch is over sooner; while a busy model is waited for, it takes no requests and nothing is loaded
AGAIN_S = 5.0  # until a model that was too busy to be unloaded is asked to go again
LOOK_S = 2.0  # between two looks at idle models and at the ceiling
STOPPING = "the server is stopping; send the request to another replica"
Check = Callable[[Encoder, str], Proof]
"""An encoder with one model, and the precision that was asked for -> whether it is proven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When models come and go.

    is_lazy: nothing is loaded before it is asked for. ceiling_bytes: of this process's anonymous memory; 0 for none.
    idle_unload_s: a model that nobody used for so long goes; 0 keeps it.
    """

    is_lazy: bool = False
    ceiling_bytes: int = 0
    idle_unload_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done to a model.

    by_hand: somebody asked for it by name, so changed files are welcome. may_evict: others may go for it.
    """

    verb: Literal["load", "unload", "forget"]
    slot: Slot
    by_hand: bool = False
    may_evict: bool = True
    done: "Future[None]" = field(default_factory=Future)


class Loader(threading.Thread):
    """Works until `stop`.

    Args:
        changed: the pool's lock; it is notified when a model is idle.
        check: what it raises ends the load.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        table: Table,
        changed: threading.Condition,
        engine: Engine,
        rules: Rules,
        check: Check,
        meter: Meter,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(name="embedstack-loader", daemon=True)
        self._table, self._changed, self._engine = table, changed, engine
        self._rules, self._check, self._meter, self._clock = rules, check, meter, clock
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._free_at = 0.0  # when the loads that were asked for should all be done
        self._ceiling = Ceiling(rules.ceiling_bytes, engine, meter)
        self._is_open = True

    def ask(self, work: Work) -> "Future[None]":
        """Do it after what was asked for before.

        Raises:
            NotReady: the loader is stopping.
        """
        with self._changed:
            if not self._is_open:
                raise NotReady(STOPPING)
            slot = work.slot
            if work.verb == "load" and slot.state in ("available", "failed"):
                slot.state = "loading"
                self._free_at = slot.ready_at = max(self._clock(), self._free_at) + slot.need.load_s
            work.done.set_running_or_notify_cancel()  # from here on nobody who waits can cancel it
            self._waiting.put(work)
        return work.done

    def stop(self) -> None:
        """Finish what is being done but for a proof, which can take minutes; refuse what waits."""
        with self._changed:
            self._is_open = False
            for slot in self._table.slots.values():
                if slot.proving is not None:
                    slot.proving.left.set()
            self._waiting.put(None)
            self._changed.notify_all()
        if self.is_alive():
            self.join()

    # ------------------------------------------------------------------ the thread

    def run(self) -> None:
        """Nothing ends it but `stop`; and if anything did, nobody would be left waiting."""
        pause_s = LOOK_S if self._rules.ceiling_bytes or self._rules.idle_unload_s else None
        try:
            while self._is_open:
                try:
                    self._step(pause_s)
                except Exception:  # whatever it was, the next models must be loaded
                    log.exception("event=loader_failed")
        finally:
            self._refuse_all()

    def _step(self, pause_s: float | None) -> None:
        try:
            work = self._waiting.get(timeout=pause_s)
        except queue.Empty:
            self._look_round()
            return
        if work is not None:
            self._do(work)

    def _refuse_all(self) -> None:
        with self._changed:
            self._is_open = False
        while not self._waiting.empty():
            if (left := self._waiting.get()) is not None:
                left.done.set_exception(NotReady(STOPPING))

    def _do(self, work: Work) -> None:
        failure = self._failure_of(work)
        if failure is None:
            work.done.set_result(None)
            return
        slot = work.slot
        try:
            if work.verb == "load":
                with self._changed:
                    slot.failed(failure, self._clock())
        finally:
            work.done.set_exception(failure)
        event = f"{work.verb}_failed"
        log.error("event=%s model=%s state=%s reason=%s", event, slot.name, slot.state, json.dumps(str(failure)))
        self._meter.give_back()

    def _failure_of(self, work: Work) -> EmbedstackError | None:
        """Do it. An error comes back without its traces, whose frames hold what is left of a model."""
        slot = work.slot
        try:
            if work.verb == "load":
                self._load(work)
            elif slot.state == "loaded":
                self._unload(slot)
            if work.verb == "forget":
                with self._changed:
                    self._table.serve([other for other in self._table.slots.values() if other is not slot])
        except EmbedstackError as error:
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)
        except Exception as error:  # whatever it was, who waits must hear of it
            log.error("event=bug model=%s", slot.name, exc_info=error)
            return RuntimeFailed(f"{slot.name!r} could not be loaded ({type(error).__name__}: {error}); see the log")
        return None

    # ------------------------------------------------------------------ load and unload

    def _load(self, work: Work) -> None:
        slot = work.slot
        if slot.state == "loaded":
            return
        if not self._table.has(slot):
            raise UnknownModel(f"model {slot.name!r} is served no more")
        self._read_again(slot, by_hand=work.by_hand)
        evict = partial(self._evict, slot) if work.may_evict else None
        if not self._ceiling.make_room(slot.name, slot.need, evict):
            with self._changed:
                slot.state, slot.is_wanted = "available", False
            log.info("event=no_room model=%s need_mb=%d until=asked_for", slot.name, slot.need.peak_mb)
            return
        self._open(slot)
        line = "event=loaded model=%s seconds=%.2f held_mb=%d peak_mb=%d"
        log.info(line, slot.name, slot.need.load_s, slot.need.held_bytes / MB, slot.need.peak_mb)

    def _read_again(self, slot: Slot, *, by_hand: bool) -> None:
        """The files as they are now. Another space under a name that has answered already needs a person's word."""
        before, source = slot.source.spec, slot.source.again()
        is_other = source.spec.space != before.space
        if is_other and slot.has_served and not by_hand:
            raise Mismatch(
                f"the files of {slot.name!r} have changed since it was loaded last: its space was {before.space} "
                f"and is {source.spec.space}; put the old files back, or load the new ones by name"
            )
        with self._changed:
            slot.source, slot.state = source, "loading"
            slot.need = slot.need if slot.need.is_measured and not is_other else source.need()
            self._table.serve(list(self._table.slots.values()))

    def _open(self, slot: Slot) -> None:
        """Nobody meets it before it is proven, and nothing is left of it where that fails."""
        began, before = self._clock(), self._meter.now_bytes()
        with self._meter.watch() as peak:
            loaded = slot.source.open(self._batches)
        took_s = self._clock() - began  # a proof that is made once is no part of the next load
        self._ceiling.saw_load()
        try:
            proof = self._prove(loaded, slot)
            self._meter.give_back()
            least, beyond = slot.need.least_bytes, slot.need.beyond_bytes
            held = max(self._meter.now_bytes() - before, least) + beyond
            top = max(held, peak.top_bytes - before)
            need = Need(held, top, took_s, least, is_measured=True, beyond_bytes=beyond)
            slot.source.note(need)
            with self._changed:
                slot.need = need
            self._ceiling.keep(slot.name, need, partial(self._evict, slot))
            self._engine.add(replace(loaded, aliases=()))  # the pool knows the names
        except BaseException:
            loaded.runtime.close()
            raise
        with self._changed:
            slot.loaded(proof, self._clock())

    def _prove(self, loaded: Loaded, slot: Slot) -> Proof:
        """In an engine of its own, where nobody else waits and nobody is refused.

        It has the model's own name there, whatever it is served by, since that is where its truth is kept.
        What may run unproven is compared with nothing.
        """
        if not self._passes(loaded, slot):
            return "unproven"
        alone = Engine([replace(loaded, spec=slot.source.origin, aliases=())])
        try:
            return self._check(alone, slot.source.precision)
        finally:
            alone.stop()

    def _passes(self, loaded: Loaded, slot: Slot) -> bool:
        with self._changed:
            slot.proving = proving = Proving(self._clock)
            if not self._is_open:  # a load that is under way is finished, but for a proof
                proving.left.set()
        try:
            return slot.source.prove(loaded, proving)
        finally:
            with self._changed:
                slot.proving = None

    def _batches(self) -> int:
        return self._engine.load().batches

    def _unload(self, slot: Slot) -> None:
        """Wait for the work in flight, then free the memory.

        Raises:
            NotReady: it works on and on, or the server is stopping; then it stays.
        """
        with self._changed:
            slot.state = "unloading"
            self._changed.wait_for(lambda: not slot.in_flight or not self._is_open, timeout=UNLOAD_S)
            if slot.in_flight:
                slot.state = "loaded"
                busy = f"{slot.name!r} is still busy after {UNLOAD_S:.0f} s and was not unloaded; ask again"
                raise NotReady(busy if self._is_open else STOPPING, AGAIN_S)
        try:
            self._engine.remove(slot.name)
        finally:
            with self._changed:
                slot.state = "available"
        self._meter.give_back()
        log.info("event=unloaded model=%s anonymous_mb=%d", slot.name, self._meter.now_bytes() / MB)

    def _evict(self, newcomer: Slot | None = None) -> bool:
        """Unload the model that was not used for longest; False if there is none."""
        with self._changed:
            now = self._clock()
            loaded = [slot for slot in self._table.slots.values() if slot.state == "loaded" and slot is not newcomer]
            chosen = next_to_go(slot.candidate(now) for slot in loaded)
            if chosen is None:
                return False
            slot = self._table.slots[chosen.name]
            if newcomer is not None:  # whoever asked for a model that was just loaded gets to use it
                self._changed.wait_for(
                    lambda: not self._is_open or not slot.candidate(self._clock()).is_fresh, timeout=FRESH_S
                )
        self._unload(slot)
        return True

    def _look_round(self) -> None:
        """Idle models go; and where memory has grown over the ceiling, so does the one that was not used longest."""
        now, idle_s = self._clock(), self._rules.idle_unload_s
        for slot in list(self._table.slots.values()):
            if idle_s and slot.state == "loaded" and not slot.in_flight and now - slot.last_used > idle_s:
                self._unload(slot)
        self._ceiling.look_round(self._evict)
