"""Systems and queries -> how long one query alone takes each of them; they take turns, so that all have the same noise.

A 99th percentile needs 1,000 samples or more: of 1,000 about ten lie above it, and its 95 % interval is from the 18th
largest to the 4th. Of 100 one does, and with fewer than 368 the interval has no upper end at all: with a probability of
0.99 ** samples, which is above 0.025, all of them lie below the percentile.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

import numpy as np

from embedstack.errors import BadRequest
from embedstack.evals.asking import named
from embedstack.evals.outcome import Latency
from embedstack.evals.statistics import quantile
from embedstack.evals.systems.system import Asked, Progress, System

WARM_ROUNDS = 10  # not counted: a first query loads a graph, opens a connection, fills a cache of pages
P99_SAMPLES = 1_000

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Took:
    """One query."""

    whole_s: float
    stages_s: Mapping[str, float]


def timed(
    systems: Sequence[System],
    queries: Sequence[Asked],
    *,
    samples: int,
    limit: int,
    confidence: float = 0.95,
    seed: int = 0,
    clock: Clock = time.perf_counter,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Latency]:
    """The latency of each system, by its name.

    All systems answer the same query, one after the other, before the next one comes. Queries come again, so one that
    keeps answers or vectors is faster here than it will be: open systems without such a cache.

    Args:
        systems: prepared.
        samples: counted queries of each system; once all queries came they come again, in another order.
        limit: documents of each ranking.
        clock: seconds, rising.
    Raises:
        BadRequest: no system, no query or no sample. What a system raises, which names it.
    """
    if not systems or not queries or samples < 1:
        raise BadRequest(
            f"{samples} samples of {len(queries)} queries to {len(systems)} systems cannot be timed; "
            "each must be 1 or more"
        )
    taken: list[list[_Took]] = [[] for _ in systems]
    for round_, query in enumerate(islice(_cycled(queries, seed), WARM_ROUNDS)):
        _ask(systems, query, round_, limit, clock)
    for round_, query in enumerate(islice(_cycled(queries, seed), samples)):
        for place, took in _ask(systems, query, round_, limit, clock):
            taken[place].append(took)
        progress("single queries", round_ + 1, samples)
    return {system.name: _latency(one, confidence) for system, one in zip(systems, taken, strict=True)}


def turn(systems: int, round_: int) -> list[int]:
    """Who comes when in a round: ABBA of two, and then BAAB.

    Of any number every second round is the one before it reversed, so that noise which rises or falls steadily falls on
    all alike; then another one begins, and after 2 * systems rounds each has had each place twice.
    """
    first = round_ // 2 % systems
    order = [*range(first, systems), *range(first)]
    return order[::-1] if round_ % 2 else order


def few_note(samples: int) -> str:
    """What a reader of so few samples must know; empty if they are enough."""
    if samples >= P99_SAMPLES:
        return ""
    return f"{samples} samples of latency say little of its 99th percentile; {P99_SAMPLES:,} or more do"


def _cycled(queries: Sequence[Asked], seed: int) -> Iterator[Asked]:
    """All of them in an order that is drawn, then all again in another, so that none keeps its place in the turns."""
    draw = np.random.default_rng(seed)
    while True:
        for place in draw.permutation(len(queries)):
            yield queries[place]


def _ask(systems: Sequence[System], query: Asked, round_: int, limit: int, clock: Clock) -> list[tuple[int, _Took]]:
    """Each system in its turn: its place, and what it took."""
    taken: list[tuple[int, _Took]] = []
    for place in turn(len(systems), round_):
        with named(systems[place]):
            began = clock()
            rankings = systems[place].search([query], limit)
            taken.append((place, _Took(clock() - began, rankings.took_s)))
    return taken


def _latency(taken: Sequence[_Took], confidence: float) -> Latency:
    whole_ms = [1000 * took.whole_s for took in taken]
    stages = dict.fromkeys(stage for took in taken for stage in took.stages_s)
    return Latency(
        samples=len(taken),
        p50_ms=quantile(whole_ms, 0.50, confidence=confidence),
        p99_ms=quantile(whole_ms, 0.99, confidence=confidence),
        stages_ms={
            stage: 1000 * median(took.stages_s[stage] for took in taken if stage in took.stages_s) for stage in stages
        },
    )
