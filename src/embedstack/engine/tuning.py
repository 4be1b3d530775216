"""A model on its device -> how many batches at once pay, measured once and remembered; and a graph that is warm."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from embedstack.catalog.digests import write_whole
from embedstack.errors import ConfigError, RuntimeFailed
from embedstack.modelspec import ModelSpec, Output
from embedstack.runtimes import Runtime
from embedstack.types import DENSE, Batch

GAIN = 1.1  # a lone query waits longer where lanes share the threads, so the next count must give this much more
ENOUGH_S = 0.5  # a batch that takes this long keeps every thread busy by itself
TIMED_S = 0.6  # per count of lanes
LENGTH = 64  # tokens of an item in the measured batches
LADDER = range(1, 65)  # lengths of the queries that a graph is warmed with

Build = Callable[[int], Runtime]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A runtime with as many lanes as pay."""

    runtime: Runtime
    lanes: int
    failure: str = ""
    """Why more lanes could not be tried; empty where those tried did not fail."""


def choose_lanes(build: Build, spec: ModelSpec, *, most: int, budget: int, clock: Clock = time.perf_counter) -> Chosen:
    """Lanes that pay: counts are doubled as long as that gives `GAIN` times more.

    One runtime is open at a time, since each holds the weights. A count that fails, for example out of memory, ends
    the search at the count before it.

    Args:
        build: opens the runtime with a count of lanes.
        most: the largest count worth a try.
        budget: tokens of one batch.
    Raises:
        ConfigError, RuntimeFailed: one lane fails already.
    """
    lanes = 1
    runtime, rate, took_s = _tried(build, spec, lanes, budget, clock)
    while lanes * 2 <= most and took_s < ENOUGH_S:
        runtime.close()
        try:
            runtime, more, took_s = _tried(build, spec, lanes * 2, budget, clock)
        except (ConfigError, RuntimeFailed) as error:
            return Chosen(build(lanes), lanes, f"{lanes * 2} batches at once failed: {error}")
        if more < GAIN * rate:
            runtime.close()
            return Chosen(build(lanes), lanes)
        lanes, rate = lanes * 2, more
    return Chosen(runtime, lanes)


def _tried(build: Build, spec: ModelSpec, lanes: int, budget: int, clock: Clock) -> tuple[Runtime, float, float]:
    """An open runtime and its `_rate`; it is closed if that fails."""
    runtime = build(lanes)
    try:
        return runtime, *_rate(runtime, spec, lanes, budget, clock)
    except BaseException:
        runtime.close()
        raise


def _rate(runtime: Runtime, spec: ModelSpec, lanes: int, budget: int, clock: Clock) -> tuple[float, float]:
    """Batches a second with all lanes busy, and the seconds that one takes."""
    length = min(LENGTH, spec.max_tokens)
    batch = _batch(spec, [length] * max(1, budget // length))
    wanted = frozenset(spec.outputs[:1])
    runtime.run(batch, wanted)  # what only the first run does is not counted

    def work(began: float) -> int:
        done = 0
        while not done or clock() - began < TIMED_S:
            runtime.run(batch, wanted)
            done += 1
        return done

    with ThreadPoolExecutor(lanes) as threads:
        began = clock()
        done = sum(threads.map(work, [began] * lanes))
        took_s = clock() - began
    return done / took_s, took_s * lanes / done


def warm_up(runtime: Runtime, spec: ModelSpec, *, budget_s: float, clock: Clock = time.monotonic) -> int:
    """Run one item of each length, shortest first, until the time is over; how many lengths are warm.

    A length that a graph sees for the first time takes some 2 ms more in OpenVINO, the very first run some 25 ms.
    """
    began, warm = clock(), 0
    wanted: frozenset[Output] = frozenset(spec.outputs[:1])
    if "image" in spec.inputs:
        runtime.run(_pictures(spec, 1), DENSE)
    for length in LADDER:
        if length > spec.max_tokens or clock() - began > budget_s:
            break
        runtime.run(_batch(spec, [length]), wanted)
        warm += 1
    return warm


def run_all_sizes(runtime: Runtime, spec: ModelSpec, *, budget: int) -> None:
    """One token, a few, and full batches of shorter and longer items, in each lane at once.

    A device keeps what it made for each: OpenVINO packs the weights anew for one row and for a few, and keeps the
    buffers of the largest batch. Then all of that is in memory and can be measured.
    """
    longest = min(spec.max_tokens, budget)
    batches = [
        [1],
        [8],
        *([length] * (budget // length) for length in (min(LENGTH, longest), min(256, longest), longest)),
    ]
    works = [(_batch(spec, lengths), frozenset(spec.outputs)) for lengths in batches]
    if "image" in spec.inputs:
        works += [(_pictures(spec, tokens), DENSE) for tokens in (1, budget)]
    with ThreadPoolExecutor(runtime.lanes) as threads:
        for batch, wanted in works:
            for running in [threads.submit(runtime.run, batch, wanted) for _ in range(runtime.lanes)]:
                running.result()


def _batch(spec: ModelSpec, lengths: Sequence[int]) -> Batch:
    """Items of these lengths; which tokens they hold changes no time."""
    tokens = sum(lengths)
    ids = np.full(tokens, spec.architecture.vocab // 2, np.int32)
    return Batch(ids, np.zeros(tokens, np.int32), np.cumsum([0, *lengths]).astype(np.int32))


def _pictures(spec: ModelSpec, tokens: int) -> Batch:
    """As many as such a batch holds, at least one."""
    vision = spec.architecture.vision
    assert vision is not None  # who asks has seen that the model takes images
    count = max(1, tokens // vision.tokens)
    ids = np.zeros(count * vision.tokens, np.int32)
    offsets = np.arange(0, len(ids) + 1, vision.tokens, dtype=np.int32)
    return Batch(ids, ids, offsets, np.zeros((len(ids), vision.patch_width), np.float32))


class Remembered:
    """Counts of lanes measured earlier on this machine, one small file for each circumstance.

    Args:
        circumstances: everything that the count depends on.
    """

    def __init__(self, cache_dir: Path, circumstances: Sequence[object]) -> None:
        self._path = note_path(cache_dir, "lanes", circumstances)

    def read(self, most: int) -> int | None:
        """The count; None where nothing usable is remembered.

        Args:
            most: the largest count that can have been measured.
        """
        try:
            lanes = msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])["lanes"]
        except (OSError, msgspec.DecodeError, KeyError):
            return None
        return lanes if 0 < lanes <= most else None

    def write(self, lanes: int) -> None:
        """Note it; a cache that cannot be written to only costs time."""
        with contextlib.suppress(OSError):
            write_whole(self._path, msgspec.json.encode({"lanes": lanes}))


def note_path(cache_dir: Path, kind: str, circumstances: Sequence[object]) -> Path:
    """Where a measurement is kept: one small file for each circumstance."""
    digest = hashlib.sha256(repr(tuple(circumstances)).encode()).hexdigest()[:32]
    return cache_dir / kind / f"{digest}.json"
