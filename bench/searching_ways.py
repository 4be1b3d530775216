"""Collections, and an encoder -> ways to ask them, and what each took for each of many questions."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from embedstack.databases.opening import open_database
from embedstack.evals.outcome import Interval
from embedstack.evals.statistics import quantile
from embedstack.evals.timing import WARM_ROUNDS, turn
from embedstack.search.found import Found, How
from embedstack.search.hybrid import Searcher
from embedstack.types import Encoder
from searching_places import Place

BEST = 10
FIELDS: Mapping[str, tuple[str, ...]] = {"dense": ("dense",), "BM25": ("bm25",), "hybrid": ("dense", "bm25")}
SLOW_MS = 100.0  # a way that takes longer is asked less often, so that all of it ends in some minutes


@dataclass(slots=True)
class Way:
    """How a database is asked, and what it took."""

    database: str
    kind: str  # of FIELDS
    ask: Callable[[str], Found]
    wanted: int = 0  # samples
    taken: list[Mapping[str, float]] = field(default_factory=list)  # stage -> seconds; "whole" is all of them
    best: dict[str, list[int]] = field(default_factory=dict)  # question -> ids
    notes: dict[str, None] = field(default_factory=dict)

    def sample(self, question: str) -> None:
        """One question, from its text to the points."""
        began = time.perf_counter()
        found = self.ask(question)
        self.taken.append({**found.took_s, "whole": time.perf_counter() - began})
        self.best[question] = [int(point.id) for point in found.points]
        self.notes |= dict.fromkeys(found.notes)

    def is_due(self, round_: int, rounds: int) -> bool:
        """Its samples are spread evenly over all rounds."""
        return (round_ + 1) * self.wanted // rounds > round_ * self.wanted // rounds

    def told(self, reference: "Way") -> dict[str, object]:
        """For the JSON.

        Args:
            reference: of a database that compares every point.
        """
        fused = [one["fuse"] for one in self.taken if "fuse" in one]
        return {
            "database": self.database,
            "kind": self.kind,
            "samples": len(self.taken),
            "whole_ms": _quantiles([one["whole"] for one in self.taken]),
            "embed_ms": _quantiles([one["embed"] for one in self.taken]),
            "search_ms": _quantiles([one["search"] + one.get("fuse", 0.0) for one in self.taken]),
            "fuse_ms": round(1000 * float(np.median(fused)), 3) if fused else None,  # None: not here
            "same_ten": round(float(np.mean([_same(self, reference, one) for one in self.best])), 4),
            "notes": list(self.notes),
        }


def _same(way: Way, reference: Way, question: str) -> float:
    """The share of the reference's points that are found; of none it is all."""
    wanted = {*reference.best[question]}
    return len(wanted & {*way.best[question]}) / len(wanted) if wanted else 1.0


def _quantiles(took_s: Sequence[float]) -> dict[str, dict[str, float | None]]:
    took_ms = [1000 * one for one in took_s]
    return {"p50": _rounded(quantile(took_ms, 0.50)), "p99": _rounded(quantile(took_ms, 0.99))}


def _rounded(found: Interval) -> dict[str, float | None]:
    """None is an end that so few samples do not tell."""
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return {name: round(end, 3) if np.isfinite(end) else None for name, end in ends.items()}


@contextmanager
def opened(running: Sequence[Place], name: str, encoder: Encoder) -> Iterator[list[Way]]:
    """All ways to ask the databases' collections of that name; the encoder stays open."""
    with ExitStack() as stack:
        loop = stack.enter_context(closing(asyncio.new_event_loop()))
        stack.callback(lambda: loop.run_until_complete(loop.shutdown_default_executor()))
        ways = []
        for place in running:
            database = stack.enter_context(closing(open_database(place.url)))
            for kind, fields in FIELDS.items():
                search = partial(Searcher(database, name, encoder).search, how=How(limit=BEST, fields=fields))
                ways.append(Way(place.name, kind, _waiting(loop, search)))
        yield ways


def _waiting(loop: asyncio.AbstractEventLoop, search: Callable) -> Callable[[str], Found]:
    return lambda text: loop.run_until_complete(search(text))


def ask_all(ways: Sequence[Way], questions: Sequence[str], samples: int, slow_samples: int) -> None:
    """All ways answer a question before the next one comes, each in its turn; then all come again in another order.

    The first rounds are not counted; they tell which ways are slow.
    """
    coming = _cycled(questions)
    for round_ in range(WARM_ROUNDS):
        _round(ways, round_, next(coming))
    for way in ways:
        is_slow = 1000 * float(np.median([one["whole"] for one in way.taken])) > SLOW_MS
        way.wanted = min(samples, slow_samples) if is_slow else samples
        way.taken.clear()
    for round_ in range(samples):
        _round([way for way in ways if way.is_due(round_, samples)], round_, next(coming))


def _round(ways: Sequence[Way], round_: int, question: str) -> None:
    for place in turn(len(ways), round_):
        ways[place].sample(question)


def _cycled(questions: Sequence[str]) -> Iterator[str]:
    draw = np.random.default_rng(0)
    while True:
        for place in draw.permutation(len(questions)):
            yield questions[place]
