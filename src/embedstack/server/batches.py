"""The batches that an encoder runs become Prometheus series."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from embedstack.types import Encoder
from embedstack.watching import BatchRun, ShowsBatches

SECONDS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)

SLACK = 1.001  # the prediction is a float


class Batches:
    """Their series.

    Args:
        bulk_batch_s: what a batch led by a bulk request may take, if it holds more than one item.
    """

    def __init__(self, registry: CollectorRegistry, bulk_batch_s: float) -> None:
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
        self._longest = Gauge("embedstack_longest_batch_seconds", "The longest run since the start", registry=registry)
        self._longest_s = 0.0

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
        if batch.run_s > self._longest_s:
            self._longest_s = batch.run_s
            self._longest.set(batch.run_s)
