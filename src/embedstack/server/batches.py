"""The batches that an encoder runs become Prometheus series."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from embedstack.types import Encoder, Priority
from embedstack.watching import BatchRun, ShowsBatches

SECONDS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)

SLACK = 1.001  # the prediction is a float
WINDOW_S = 60.0  # twice as long as Prometheus leaves between two looks, so that none is missed


class Longest:
    """The longest of the runs that ended in the last minute; how often it is read changes nothing.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()  # lanes add, each in its thread, and whoever scrapes asks
        self._runs: deque[tuple[float, float]] = deque()  # end and length, each longer than all that ended after it

    def add(self, run_s: float) -> None:
        """One more, that has just ended."""
        with self._lock:
            while self._runs and self._runs[-1][1] <= run_s:
                self._runs.pop()
            self._runs.append((self._clock(), run_s))
            self._forget()

    def seconds(self) -> float:
        """Its length; 0 where nothing ran."""
        with self._lock:
            self._forget()
            return self._runs[0][1] if self._runs else 0.0

    def _forget(self) -> None:
        oldest = self._clock() - WINDOW_S
        while self._runs and self._runs[0][0] < oldest:
            self._runs.popleft()


class Batches:
    """Their series.

    Args:
        bulk_batch_s: what a batch led by a bulk request may take, if it holds more than one item.
        clock: seconds.
    """

    def __init__(
        self, registry: CollectorRegistry, bulk_batch_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bulk_batch_s = bulk_batch_s
        self._seconds = Histogram(
            "embedstack_batch_seconds",
            "One run of the model",
            ("model", "priority"),
            buckets=SECONDS,
            registry=registry,
        )
        self._items = Histogram(
            "embedstack_batch_items", "Items of a run", ("model",), buckets=ITEMS, registry=registry
        )
        self._tokens = Histogram(
            "embedstack_batch_tokens", "Tokens of a run", ("model",), buckets=TOKENS, registry=registry
        )
        self._padded = Counter(
            "embedstack_padded_tokens",
            "Places of attention that hold no token; products never see them",
            ("model",),
            registry=registry,
        )
        self._divided = Counter(
            "embedstack_divided_batches", "Runs that failed and were divided", ("model",), registry=registry
        )
        self._failed = Counter(
            "embedstack_failed_batches", "Runs of a single item that failed", ("model",), registry=registry
        )
        self._over = Counter(
            "embedstack_bulk_batches_over_limit",
            "Bulk runs of several items that were predicted to take longer than bulk_batch_ms though that applied",
            registry=registry,
        )
        longest = Gauge(
            "embedstack_longest_batch_seconds",
            "The longest run of those that ended in the last minute",
            ("priority",),
            registry=registry,
        )
        self._longest: dict[Priority, Longest] = {priority: Longest(clock) for priority in get_args(Priority)}
        for priority, one in self._longest.items():
            longest.labels(priority).set_function(one.seconds)

    def watch(self, encoder: Encoder) -> None:
        """Count what this encoder runs, if it tells."""
        if isinstance(encoder, ShowsBatches):
            encoder.on_batch.append(self.ran)

    def ran(self, batch: BatchRun) -> None:
        """Count one run."""
        self._seconds.labels(batch.model, batch.priority).observe(batch.run_s)
        self._items.labels(batch.model).observe(batch.items)
        self._tokens.labels(batch.model).observe(batch.tokens)
        self._padded.labels(batch.model).inc(batch.padded - batch.tokens)
        if not batch.is_whole:
            (self._divided if batch.items > 1 else self._failed).labels(batch.model).inc()
        is_over = batch.is_capped and batch.predicted_s > self._bulk_batch_s * SLACK
        if batch.priority == "bulk" and batch.items > 1 and is_over:
            self._over.inc()
        self._longest[batch.priority].add(batch.run_s)
