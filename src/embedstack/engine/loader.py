"""What a pool asks for becomes loads and unloads, one at a time in a thread of their own, under one memory ceiling."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Literal

from embedstack.engine.alone import Alone
from embedstack.engine.engine import Engine
from embedstack.engine.memory import Meter
from embedstack.engine.need import MB, Need, next_to_go, too_large
from embedstack.engine.slots import FRESH_S, Slot, Table
from embedstack.errors import EmbedstackError, LoadFailed, Mismatch, NotReady, RuntimeFailed, UnknownModel
from embedstack.proof.startup import Proof
from embedstack.types import Encoder

log = logging.getLogger(__name__)
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
        self._base_bytes = meter.now_bytes()  # what the process holds without any model
        self._has_loaded = self._is_base_settled = False
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
        """Finish what is being done, refuse what waits."""
        with self._changed:
            self._is_open = False
            self._waiting.put(None)
            self._changed.notify_all()
        if self.is_alive():
            self.join()

    # ------------------------------------------------------------------ the thread

    def run(self) -> None:
        """See Thread."""
        pause_s = LOOK_S if self._rules.ceiling_bytes or self._rules.idle_unload_s else None
        while self._is_open:
            try:
                work = self._waiting.get(timeout=pause_s)
            except queue.Empty:
                self._look_round()
                continue
            if work is not None:
                self._do(work)
        while not self._waiting.empty():
            if (left := self._waiting.get()) is not None:
                left.done.set_exception(NotReady(STOPPING))

    def _do(self, work: Work) -> None:
        slot = work.slot
        try:
            if work.verb == "load":
                self._load(work)
            elif slot.state == "loaded":
                self._unload(slot)
            if work.verb == "forget":
                with self._changed:
                    self._table.serve([other for other in self._table.slots.values() if other is not slot])
        except Exception as error:  # whatever it was, the next models must be loaded
            known = error if isinstance(error, EmbedstackError) else _unforeseen(slot, error)
            self._fail(slot, known)
            work.done.set_exception(known)
        else:
            work.done.set_result(None)

    def _fail(self, slot: Slot, error: EmbedstackError) -> None:
        with self._changed:
            slot.failed(error, self._clock())
        self._meter.give_back()
        log.error("event=load_failed model=%s state=%s reason=%s", slot.name, slot.state, error)

    # ------------------------------------------------------------------ load and unload

    def _load(self, work: Work) -> None:
        slot = work.slot
        if slot.state == "loaded":
            return
        if not self._table.has(slot):
            raise UnknownModel(f"model {slot.name!r} is served no more")
        self._read_again(slot, by_hand=work.by_hand)
        if not self._make_room(slot, may_evict=work.may_evict):
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
        began, before = self._clock(), self._meter.now_bytes()
        with self._meter.watch() as peak:
            loaded = slot.source.open()
        self._engine.add(replace(loaded, aliases=()))  # the pool knows the names
        self._has_loaded = True
        try:
            proof = self._check(Alone(self._engine, slot.source), slot.source.precision)
            self._meter.give_back()
            held = max(0, self._meter.now_bytes() - before)
            need = Need(held, max(held, peak.top_bytes - before), self._clock() - began, is_measured=True)
            slot.source.note(need)
            self._keep_ceiling(slot, need)
        except BaseException:
            self._drop(slot)
            raise
        with self._changed:
            slot.need, slot.proof, slot.failure = need, proof, None
            slot.state, slot.loaded_at = "loaded", self._clock()

    def _unload(self, slot: Slot) -> None:
        """Wait for the work in flight, then free the memory."""
        with self._changed:
            slot.state = "unloading"
            self._changed.wait_for(lambda: not slot.in_flight or not self._is_open)
        self._drop(slot)
        with self._changed:
            slot.state = "available"
        log.info("event=unloaded model=%s anonymous_mb=%d", slot.name, self._meter.now_bytes() / MB)

    def _drop(self, slot: Slot) -> None:
        self._engine.remove(slot.name)
        self._meter.give_back()

    # ------------------------------------------------------------------ memory

    def _make_room(self, slot: Slot, *, may_evict: bool) -> bool:
        """Whether there is room now; others go for it, the least recently used first.

        Raises:
            LoadFailed: it would not fit even alone. RuntimeFailed: it should, and does not at the moment.
        """
        ceiling = self._rules.ceiling_bytes
        while ceiling:
            self._settle_base()
            if why := too_large(slot.name, slot.need, ceiling, self._base_bytes):
                raise LoadFailed(why)
            now = self._meter.now_bytes()
            if now + slot.need.peak_bytes <= ceiling:
                return True
            if not may_evict:
                return False
            if not self._evict(slot):
                raise RuntimeFailed(
                    f"{slot.name!r} needs {slot.need.peak_mb} MB while it is loaded, and {now / MB:.0f} of "
                    f"{ceiling / MB:.0f} MB are held without any model; this may pass, or raise memory_mb"
                )
        return True

    def _settle_base(self) -> None:
        """What the process holds without any model can be seen while there is none.

        The runtime's library is part of it, so what was seen before the first load is forgotten. Afterwards the least
        counts, since what a closed model leaves behind often goes a little later.
        """
        if not self._engine.models():
            self._meter.give_back()
            now = self._meter.now_bytes()
            self._base_bytes = min(self._base_bytes, now) if self._is_base_settled else now
            self._is_base_settled = self._has_loaded

    def _keep_ceiling(self, slot: Slot, need: Need) -> None:
        """After a load what was measured counts: others go, or the model itself."""
        ceiling = self._rules.ceiling_bytes
        while ceiling and self._meter.now_bytes() > ceiling:
            if not self._evict(slot):
                slot.need = need
                why = too_large(slot.name, need, ceiling, self._base_bytes)
                raise LoadFailed(
                    why
                    or f"{slot.name!r} takes {need.held_bytes / MB:.0f} MB and with it the process is over its "
                    f"ceiling of {ceiling / MB:.0f} MB; raise memory_mb or take a smaller precision"
                )

    def _evict(self, newcomer: Slot | None) -> bool:
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
        now, idle_s, ceiling = self._clock(), self._rules.idle_unload_s, self._rules.ceiling_bytes
        for slot in list(self._table.slots.values()):
            if idle_s and slot.state == "loaded" and not slot.in_flight and now - slot.last_used > idle_s:
                self._unload(slot)
        if ceiling and self._meter.now_bytes() > ceiling:
            self._meter.give_back()
            if self._meter.now_bytes() > ceiling:
                self._evict(None)


def _unforeseen(slot: Slot, error: Exception) -> RuntimeFailed:
    log.error("event=bug model=%s", slot.name, exc_info=error)
    wrapped = RuntimeFailed(f"{slot.name!r} could not be loaded ({type(error).__name__}: {error}); see the log")
    wrapped.__cause__ = error
    return wrapped
