"""An order -> a job planned and run in this process, which a chosen write to storage or a poisonous text ends."""

import asyncio
import itertools
import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

import msgspec

from embedstack.chunks.chunk import Chunking
from embedstack.documents.document import Reading
from embedstack.documents.source import open_source
from embedstack.errors import EmbedstackError, RuntimeFailed
from embedstack.jobs.events import Event
from embedstack.jobs.opened import opened
from embedstack.jobs.plan import Exact, Wish
from embedstack.jobs.planning import load_plan, plan
from embedstack.jobs.running import Runner
from embedstack.modelspec import ModelSpec
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Entry, Storage
from embedstack.testing.fake import HashEncoder, WordRuler, hash_spec
from embedstack.types import Encode, Encoded
from support.corpus import POISON

SHARD_DOCS, CHECKPOINT_DOCS, CHUNK_TOKENS = 10, 20, 64
SPOOL_BYTES = 64 << 20
DAY_S = 86_400.0
STEPS = "link", "replace", "rename", "unlink", "remove", "fsync"
Moment = Literal["before", "after"]
Model = Literal["hash", "other", "panics", "fails"]
Got = TypeVar("Got")


@dataclass(frozen=True, slots=True)
class At:
    """A moment of a run, and the signal that the process gets then."""

    write: int = 0  # from 1; 0: the first with such a name
    key: str = ""  # how its name begins
    moment: Moment = "before"
    sends: int = signal.SIGKILL

    def is_at(self, number: int, key: str) -> bool:
        """Whether this write is meant."""
        return self.write in (0, number) and key.startswith(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a process shall do: plan if nobody has, run, finish."""

    out: str
    inputs: tuple[str, ...]
    log: Path
    spool: Path
    model: Model = "hash"
    at: At | None = None
    plans: bool = True  # else somebody has
    in_steps: bool = False  # `at` counts calls of the system that change files, not those of the storage
    run_s: float = 0.0  # that a request keeps the device
    jumps: bool = False  # the wall clock, by days, at each look
    file_bytes: int = 0  # most that one file may have; 0: no limit
    max_document_bytes: int = 16 << 20
    shard_docs: int = SHARD_DOCS
    checkpoint_docs: int = CHECKPOINT_DOCS
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def wish(self) -> Wish:
        """The same for orders that make the same table."""
        return Wish(
            inputs=self.inputs,
            model="hash",
            reading=Reading(max_document_bytes=self.max_document_bytes),
            chunking=Chunking(tokens=CHUNK_TOKENS),
            shard_docs=self.shard_docs,
            checkpoint_docs=self.checkpoint_docs,
        )


def work(order: Order) -> None:
    """All of it; the exit code is that of the command line."""
    os.environ.update(order.variables)
    log = Log(order.log)
    trigger = Trigger(log, order.at)
    if order.jumps:
        time.time = Jumping(time.time)
    if order.in_steps:
        count_steps(trigger)
    if order.file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.file_bytes, resource.RLIM_INFINITY))
    try:
        code = asyncio.run(_worked(order, log, trigger))
    except EmbedstackError as error:
        log.add(error=error.code, message=error.message)
        code = error.exit_code
    log.add(peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    raise SystemExit(code)


async def _worked(order: Order, log: "Log", trigger: "Trigger") -> int:
    here = await opened(
        encoder_of(order), order.wish, WordRuler(), Exact(where="here", version="1", lanes=1, threads=1)
    )
    storage = open_storage(order.out)
    storage = storage if order.in_steps else Writes(storage, trigger)
    source = open_source(order.inputs)
    made = plan(order.wish, source, here, storage) if order.plans else load_plan(storage)
    runner = Runner(
        made, source, storage, here, spool=order.spool, spool_bytes=SPOOL_BYTES, error_budget=0.5, say=teller(log)
    )
    ended = await runner.run()
    log.add(ended=ended.code, message=ended.error, done=ended.done, lost=ended.lost)
    return ended.exit_code


# ------------------------------------------------------------------------------------------------ what is counted


class Log:
    """Lines of JSON that outlive the process: each is with the system when the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def add(self, **line: object) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")


class Trigger:
    """Counts and notes writes, and fires once, at the one that is meant."""

    def __init__(self, log: Log, at: At | None) -> None:
        self._log, self._at = log, at
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def around(self, name: str, key: str, call: Callable[[], Got]) -> Got:
        """What the call gives, if there still is somebody to give it to."""
        with self._lock:
            number = next(self._numbers)
            self._log.add(write=number, name=name, key=key)
            at = self._at if self._at is not None and self._at.is_at(number, key) else None
            self._at = self._at if at is None else None
        _fire(at, "before")
        try:
            return call()
        finally:  # also where it failed: some delete what is gone already
            _fire(at, "after")


def _fire(at: At | None, moment: Moment) -> None:
    if at is not None and at.moment == moment:
        os.kill(os.getpid(), at.sends)


class Writes:
    """A storage whose changes are counted."""

    def __init__(self, inner: Storage, trigger: Trigger) -> None:
        self._inner, self._trigger = inner, trigger
        self.url = inner.url

    def get(self, key: str) -> bytes:
        return self._inner.get(key)

    def open(self, key: str) -> BinaryIO:
        return self._inner.open(key)

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        return self._inner.list(prefix, after)

    def entry(self, key: str) -> Entry | None:
        return self._inner.entry(key)

    def put(self, key: str, data: bytes) -> None:
        self._trigger.around("put", key, lambda: self._inner.put(key, data))

    def put_new(self, key: str, data: bytes) -> bool:
        return self._trigger.around("put_new", key, lambda: self._inner.put_new(key, data))

    def put_file(self, key: str, path: Path) -> None:
        self._trigger.around("put_file", key, lambda: self._inner.put_file(key, path))

    def delete(self, key: str) -> None:
        self._trigger.around("delete", key, lambda: self._inner.delete(key))


def count_steps(trigger: Trigger) -> None:
    """From now on all calls of the system count that name files, rename them, or have them outlive a loss of power."""

    def counted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        return lambda *given, **options: trigger.around(name, str(given[0]), lambda: call(*given, **options))

    for name in STEPS:
        setattr(os, name, counted(name, getattr(os, name)))


def teller(log: Log) -> Callable[[Event], None]:
    """What a runner says, in the log."""

    def say(event: Event) -> None:
        said = msgspec.to_builtins(event)
        commit = said.pop("commit", None)
        log.add(**said, **({"shard": commit["shard"], "took_s": commit["took_s"]} if commit else {}))

    return say


class Jumping:
    """A wall clock that somebody sets, back and forth by a day, whenever it is looked at."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._looks = clock, itertools.count()

    def __call__(self) -> float:
        return self._clock() + (next(self._looks) % 3 - 1) * DAY_S


# ------------------------------------------------------------------------------------------------ what encodes


def encoder_of(order: Order) -> HashEncoder:
    """The one that it asks for."""
    spec = hash_spec("other" if order.model == "other" else "hash")
    if order.model in ("fails", "panics"):
        return Poisoned(order.model, spec, run_s=order.run_s)
    return HashEncoder([spec], run_s=order.run_s)


class PanicException(BaseException):
    """What tokenizers raise where their Rust code gave up: no Exception, so much that catches errors lets it pass."""


PanicException.__module__ = "pyo3_runtime"


class Poisoned(HashEncoder):
    """An encoder that one word is too much for."""

    def __init__(self, how: Model, spec: ModelSpec, *, run_s: float) -> None:
        super().__init__([spec], run_s=run_s)
        self._error = PanicException if how == "panics" else RuntimeFailed

    async def encode(self, request: Encode) -> Encoded:
        if any(POISON in item.text for item in request.items):
            raise self._error("the model cannot read this; leave it out")
        return await super().encode(request)
