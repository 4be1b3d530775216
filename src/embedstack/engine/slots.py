"""What a pool knows of each of its models: where it stands, who uses it, what it needs, why it failed."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from embedstack.engine.loaded import Loaded
from embedstack.engine.naming import name_table, pick
from embedstack.engine.need import MB, Candidate, Need
from embedstack.errors import EmbedstackError, LoadFailed, NotReady, RuntimeFailed
from embedstack.modelspec import Input, ModelSpec, Task
from embedstack.proof.proving import Proving
from embedstack.proof.startup import Proof

Standing = Literal["available", "loading", "loaded", "unloading", "failed"]
FRESH_S = 5.0  # whoever asked for a model is back within Retry-After, so it is not unloaded unused at once
PAUSE_S = 5.0  # before a load that failed for a reason that may pass is tried again; doubled with each in a row
MOST_PAUSE_S = 300.0  # a load that fails keeps the processor busy for seconds, and someone who mends it waits no longer
BY_HAND = "POST /admin/models/load"


class Source(Protocol):
    """A model that can be loaded, again and again; see `building.Recipe`."""

    @property
    def origin(self) -> ModelSpec:
        """Under its own name."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """Under the name that it is served by."""
        ...

    @property
    def aliases(self) -> tuple[str, ...]: ...

    @property
    def is_variant(self) -> bool: ...

    @property
    def precision(self) -> str:
        """As it was asked for."""
        ...

    def open(self, batches: Callable[[], int]) -> Loaded:
        """Read the weights.

        Args:
            batches: that other models here have run so far; where they run meanwhile, no speed is remembered.
        """
        ...

    def prove(self, loaded: Loaded, proving: Proving) -> bool:
        """Whether what was opened may be called proven, as far as it depends on its precision.

        Raises:
            Mismatch: it was compared with the truth, and is not near enough. NotReady: `proving` says to leave it.
        """
        ...

    def need(self) -> Need: ...

    def note(self, need: Need) -> None: ...

    def stamp(self) -> Hashable:
        """Changes when somebody changes the files; never fails."""
        ...

    def again(self) -> "Source": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """A model of a pool, for those who show it."""

    name: str
    aliases: tuple[str, ...]
    task: str
    state: Standing
    reason: str  # why it failed; empty if it did not
    need: Need
    in_flight: int
    idle_s: float | None  # since it was used last; None if it never was
    proof: Proof
    is_wanted: bool  # whether it is loaded at the start, and so readiness waits for it


@dataclass(slots=True, eq=False)
class Slot:
    """One model of a pool. Whoever changes it holds the pool's lock."""

    source: Source
    need: Need
    state: Standing = "available"
    in_flight: int = 0
    loaded_at: float = 0.0
    used_at: float | None = None
    ready_at: float = 0.0  # when a load that is under way should be done
    proving: Proving | None = None  # it is opened, and compared with the truth before anybody meets it
    has_served: bool = False  # its identity has been given out
    is_wanted: bool = False
    proof: Proof = "unproven"
    failure: str = ""  # words alone: an error would hold, by its traces, what was loaded of the model
    failures: int = 0  # in a row
    stamp: Hashable = None  # of the files that failed
    retry_at: float = 0.0

    @property
    def name(self) -> str:
        """The public one."""
        return self.source.spec.name

    @property
    def last_used(self) -> float:
        """For the order in which models make room."""
        return max(self.loaded_at, self.used_at or 0.0)

    def candidate(self, now: float) -> Candidate:
        """As `next_to_go` sees it."""
        is_unused = self.used_at is None or self.used_at < self.loaded_at
        is_fresh = is_unused and now < self.loaded_at + FRESH_S
        return Candidate(self.name, self.last_used, self.in_flight, is_fresh)

    def shown(self, now: float) -> ModelState:
        """As it stands."""
        return ModelState(
            name=self.name,
            aliases=self.source.aliases,
            task=self.source.spec.task,
            state=self.state,
            reason=self.failure,
            need=self.need,
            in_flight=self.in_flight,
            idle_s=None if self.used_at is None else max(0.0, now - self.used_at),
            proof=self.proof,
            is_wanted=self.is_wanted,
        )

    def failed(self, error: EmbedstackError, now: float) -> None:
        """Note why; what may pass leaves it available."""
        is_passing = error.retry or isinstance(error, RuntimeFailed)
        self.state = "available" if is_passing else "failed"
        self.failure = str(error)
        self.retry_at = now + min(PAUSE_S * 2 ** min(self.failures, 10), MOST_PAUSE_S)
        self.failures += 1
        self.stamp = self.source.stamp()

    def loaded(self, proof: Proof, now: float) -> None:
        """It is in memory."""
        self.state, self.loaded_at, self.proof = "loaded", now, proof
        self.failure, self.failures = "", 0

    def refusal(self, now: float) -> EmbedstackError | None:
        """Why no load begins now; None if one may."""
        if self.state == "unloading":
            return NotReady(f"{self.name!r} is being unloaded; ask again", 1.0)
        if not self.failure:
            return None
        if self.state == "failed" and self.stamp == self.source.stamp():
            return LoadFailed(f"{self.name!r} cannot be loaded: {self.failure}; mend it, then {BY_HAND} tries again")
        if self.state == "available" and now < self.retry_at:
            return NotReady(f"{self.name!r} could not be loaded just now: {self.failure}", self.retry_at - now)
        return None

    def proving_s(self, now: float) -> float:
        """What is left of a proof that is under way; 0 if none is."""
        return self.proving.left_s(now) if self.proving is not None and self.proving.is_under_way else 0.0

    def waiting(self, now: float, behind_s: float = 0.0) -> NotReady:
        """What its callers hear while it is loaded; `behind_s`: what is left of a proof that its load waits for."""
        if left_s := self.proving_s(now):
            again = f"ask again in {math.ceil(left_s)} s"
            return NotReady(f"{self.name!r} is loaded and is being proven once; {again}", left_s)
        left_s = max(1.0, self.ready_at - now, behind_s)
        size = f"{self.need.held_bytes / MB:.0f} MB"
        return NotReady(f"{self.name!r} is being loaded ({size}); ask again in {math.ceil(left_s)} s", left_s)


class Table:
    """Which models are served, under which names. Whoever changes it or looks for a slot holds the pool's lock.

    Raises:
        ConfigError: two have the same name.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots: dict[str, Slot]
        self.specs: dict[str, ModelSpec]
        self.names: dict[str, str]
        self.serve(slots)

    def serve(self, slots: Sequence[Slot]) -> None:
        """Serve these and no others."""
        names = name_table([slot.source for slot in slots])
        self.slots = {slot.name: slot for slot in slots}
        self.specs = {slot.name: slot.source.spec for slot in slots}
        self.names = names

    def find(self, name: str, task: Task | None, kind: Input | None = None) -> Slot:
        """See `naming.pick`."""
        return self.slots[pick(name, task, self.specs, self.names, kind).name]

    def has(self, slot: Slot) -> bool:
        """Whether it is still served."""
        return self.slots.get(slot.name) is slot
