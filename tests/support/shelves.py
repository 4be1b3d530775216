"""A pool's models without weights: a tiny tokeniser and a runtime of ones; how much memory each takes is told."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.engine.loader import Check, Rules
from embedstack.engine.memory import Peak
from embedstack.engine.need import MB, Need
from embedstack.engine.pool import Pool, unproven
from embedstack.errors import EmbedstackError
from embedstack.inputs.image import ImageInput
from embedstack.inputs.text import TextInput
from embedstack.modelspec import ModelSpec, Output
from embedstack.proof.proving import Proving
from embedstack.types import Batch, Encode, Encoded, Text, Vectors

BASE = 50 * MB
PATIENCE_S = 20


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A meter that adds up what the models here say that they hold."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.extra = 0
        self.rows: Callable[[], int] = lambda: 0  # what finished rows take
        self.top = 0

    def now_bytes(self) -> int:
        return BASE + self.extra + self.rows() + sum(self.held.values())

    def give_back(self) -> None:
        """Nothing is kept here."""

    @contextlib.contextmanager
    def watch(self) -> Iterator[Peak]:
        peak = Peak(self.now_bytes())
        yield peak
        peak.top_bytes = max(self.now_bytes(), self.top)
        self.top = 0


class Ones:
    """A runtime that gives ones, when its gate is open."""

    lanes = 1
    precision = "float32"
    device = "cpu"
    calibration = ""
    reason = "it gives ones"

    def __init__(self, source: "Shelf") -> None:
        self.source = source

    def run(self, batch: Batch, outputs: frozenset[Output]) -> Vectors:
        self.source.running.release()
        assert self.source.gate.wait(PATIENCE_S)
        return {name: np.ones((len(batch), self.source.spec.dim), np.float32) for name in outputs}

    def close(self) -> None:
        self.source.meter.held.pop(self.source.spec.name, None)


@dataclass
class Shelf:
    """A source. `broken` makes it fail; `gate` holds its batches, `door` its loads."""

    folder: Path
    origin: ModelSpec
    meter: Told
    spec: ModelSpec
    size: int = 100 * MB
    peak: int = 0
    estimated: int = 0
    least: int = 0
    aliases: tuple[str, ...] = ()
    is_variant: bool = False
    precision: str = "auto"
    broken: Exception | None = None
    is_proven: bool = True
    proving: Callable[[Proving], None] = lambda proof: None  # what is done while it is proven
    image: ImageInput | None = None
    files: int = 1
    opened: int = 0
    noted: list[Need] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    door: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    running: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def open(self, batches: Callable[[], int] = lambda: 0) -> Loaded:
        self.entered.set()
        assert self.door.wait(PATIENCE_S)
        if self.broken is not None:
            raise self.broken
        self.opened += 1
        self.meter.held[self.spec.name] = self.size
        self.meter.top = self.meter.now_bytes() + self.peak
        return Loaded(self.spec, TextInput(self.folder, self.spec), Ones(self), self.aliases, self.image)

    def prove(self, loaded: Loaded, proving: Proving) -> bool:
        self.proving(proving)
        return self.is_proven

    def need(self) -> Need:
        held = self.estimated or self.size
        return Need(held, held + self.peak, 2.5, self.least)

    def note(self, need: Need) -> None:
        self.noted.append(need)

    def stamp(self) -> int:
        return self.files

    def again(self) -> "Shelf":
        return self


@dataclass
class House:
    """Three models a, b, c, and pools over them."""

    shelves: dict[str, Shelf]
    meter: Told
    clock: Clock
    pools: list[Pool]

    def open(
        self,
        *,
        fill: bool = False,
        find: Callable[[str], Shelf] | None = None,
        engine: Engine | None = None,
        check: Check = unproven,
        **rules: object,
    ) -> Pool:
        given = Rules(**{"is_lazy": not fill, **rules})
        pool = Pool(
            list(self.shelves.values()),
            engine or Engine([]),
            given,
            find=find,
            check=check,
            meter=self.meter,
            clock=self.clock,
        )
        self.pools.append(pool)
        if fill:
            pool.fill()
        return pool

    def __getitem__(self, name: str) -> Shelf:
        return self.shelves[name]


def wish(model: str) -> Encode:
    return Encode(model=model, items=(Text("panda"),))


def ask(pool: Pool, model: str) -> Encoded:
    return asyncio.run(pool.encode(wish(model)))


def refused(pool: Pool, model: str) -> EmbedstackError:
    with pytest.raises(EmbedstackError) as told:
        ask(pool, model)
    return told.value


def in_memory(pool: Pool) -> str:
    return "".join(state.name for state in pool.states() if state.state == "loaded")


def loaded(pool: Pool, *models: str) -> None:
    """Load and use them, in this order."""
    for model in models:
        pool.load_model(model).result(PATIENCE_S)
        ask(pool, model)


def settled(pool: Pool) -> None:
    """What was asked for before is done."""
    pool.unload_model("c").result(PATIENCE_S)


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_so():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never became so")
