"""Anything that encodes texts -> how fast it is: texts and tokens per second, and the latency of one text alone.

Several are measured in turn, round by round, so that a noisy minute hits all of them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

import numpy as np
import psutil

from embedstack.errors import BadRequest
from embedstack.types import Usage

Run: TypeAlias = Callable[[Sequence[str]], Usage]
"""Encodes the texts, or scores them against a query, and says what it cost."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of one contender."""

    texts_per_s: Spread
    tokens_per_s: Spread
    p50_ms: float  # one text alone, from call to vector
    p99_ms: float


def measure(
    contenders: Mapping[str, Run],
    texts: Sequence[str],
    singles: Sequence[str],
    *,
    rounds: int = 5,
    done: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Speed]:
    """The speed of each contender.

    Args:
        texts: encoded in one call, once a round; a round before the first warms up and is not counted.
        singles: sent alone, one after the other, spread over the rounds.
        done: called after each of the (rounds + 1) x contenders turns, for a progress bar.
        clock: seconds, rising.
    Raises:
        BadRequest: no round, no text, or nothing to send alone.
    """
    if rounds < 1 or not texts or not singles:
        raise BadRequest(f"{rounds} rounds of {len(texts)} texts and {len(singles)} alone; each must be 1 or more")
    turns: dict[str, list[tuple[float, int]]] = {name: [] for name in contenders}
    alone: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(rounds + 1):
        for name, run in contenders.items():
            turn = _timed(run, texts, clock)
            took = [_timed(run, [text], clock)[0] for text in singles[max(round_ - 1, 0) :: rounds]]
            if round_:
                turns[name].append(turn)
                alone[name] += took
            done()
    return {name: _speed(len(texts), turns[name], alone[name]) for name in contenders}


def _timed(run: Run, texts: Sequence[str], clock: Callable[[], float]) -> tuple[float, int]:
    began = clock()
    usage = run(texts)
    return clock() - began, usage.tokens


def _speed(texts: int, turns: Sequence[tuple[float, int]], alone: Sequence[float]) -> Speed:
    p50, p99 = (float(value) for value in np.percentile(np.array(alone) * 1000, (50, 99)))
    return Speed(
        texts_per_s=_spread([texts / took for took, _ in turns]),
        tokens_per_s=_spread([tokens / took for took, tokens in turns]),
        p50_ms=p50,
        p99_ms=p99,
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def private_mb() -> float:
    """Memory that would be free if this process ended: what it shares with no other."""
    return float(psutil.Process().memory_full_info().uss) / 1e6
