"""Requests, their usage and the engine's batches become Prometheus series, in a registry of their own for each app."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from embedstack import __version__
from embedstack.dialects.dialect import CallerTotals, Status, Wire
from embedstack.types import Usage

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
ELSEWHERE = "(none)"  # the route and the dialect of a path that is not served
STAGES = ("read", "tokenize", "queue", "inference", "write")


@dataclass(frozen=True, slots=True)
class Meter:
    """The series of one route, found once and not per request."""

    seconds: Histogram
    items: Counter
    tokens: Counter
    truncated: Counter
    stages: Mapping[str, Histogram]


class Metrics:
    """All series of one app.

    Args:
        status: asked at each scrape.
        keys: the names of the API keys; of callers without a key no series are kept, since there may be any number.
    """

    def __init__(self, status: Callable[[], Status], keys: Iterable[str] = ()) -> None:
        self._registry = registry = CollectorRegistry()
        self._meters: dict[tuple[str, str], Meter] = {}
        where = ("route", "dialect")
        self._requests = Counter(
            "embedstack_requests",
            "Replies, by status; 499 is a caller that hung up",
            (*where, "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "embedstack_request_seconds",
            "From the head of a request to its reply",
            where,
            buckets=SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "embedstack_stage_seconds",
            "Of these, by stage: read (body and its JSON), tokenize, queue (waiting for the device), inference, write",
            (*where, "stage"),
            buckets=SECONDS,
            registry=registry,
        )
        self._items = Counter("embedstack_items", "Texts, pairs and images", where, registry=registry)
        self._tokens = Counter("embedstack_tokens", "Tokens that the model read", where, registry=registry)
        self._truncated = Counter("embedstack_truncated_items", "Items that lost tokens", where, registry=registry)
        self.in_flight = Gauge("embedstack_requests_in_flight", "Requests that are being answered", registry=registry)
        build = Info("embedstack_build", "What is running", registry=registry)
        build.info({"version": __version__, "python": platform.python_version()})
        registry.register(_Seen(status, frozenset(keys)))

    @property
    def registry(self) -> CollectorRegistry:
        """Where others add series of their own."""
        return self._registry

    def meter(self, route: str, dialect: str) -> Meter:
        """The series of one route, made when its first request comes: of most routes nobody asks anything."""
        where = (route, dialect)
        if where not in self._meters:
            self._meters[where] = self._meter(*where)
        return self._meters[where]

    def _meter(self, route: str, dialect: str) -> Meter:
        return Meter(
            seconds=self._seconds.labels(route, dialect),
            items=self._items.labels(route, dialect),
            tokens=self._tokens.labels(route, dialect),
            truncated=self._truncated.labels(route, dialect),
            stages={stage: self._stages.labels(route, dialect, stage) for stage in STAGES},
        )

    def replied(self, route: str, dialect: str, status: int) -> None:
        """Count one reply."""
        self._requests.labels(route, dialect, str(status)).inc()

    def page(self) -> Wire:
        """The text that Prometheus scrapes."""
        return Wire(200, generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def count(meter: Meter, usage: Usage) -> None:
    """Add what a request used."""
    meter.items.inc(usage.items)
    meter.tokens.inc(usage.tokens)
    meter.truncated.inc(usage.truncated)
    meter.stages["tokenize"].observe(usage.tokenize_s)
    meter.stages["queue"].observe(usage.wait_s)
    meter.stages["inference"].observe(usage.run_s)


class _Seen(Collector):
    """Series that are read off the server's status when somebody scrapes."""

    def __init__(self, status: Callable[[], Status], keys: frozenset[str]) -> None:
        self._status = status
        self._keys = keys

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        status = self._status()
        load, memory = status.load, status.memory
        yield _gauge("ready", "1 when vectors can be had", float(status.state == "ready"))
        yield _gauges("memory_bytes", "Memory of this process", "kind", {
            "anonymous": memory.anonymous, "mapped": memory.mapped, "resident": memory.resident,
        })  # fmt: skip
        yield _gauge("queue_items", "Items that wait for the device", load.waiting_items)
        yield _gauge("queue_tokens", "Their tokens", load.waiting_tokens)
        yield _gauge("queue_limit_tokens", "Waiting tokens above which requests are refused", load.limit_tokens)
        yield _gauge("running_items", "Items on the device", load.running_items)
        yield _counter("cache_hits", "Items answered from the cache of vectors", load.cache_hits)
        yield _counter("cache_misses", "Items that were not in it", load.cache_misses)
        yield _gauge("cache_bytes", "What it holds", load.cache_bytes)
        yield _gauges("model_served", "1 for each model that is served", "model", {
            spec.name: 1 for spec in status.models
        })  # fmt: skip
        yield from _callers({name: totals for name, totals in status.callers.items() if name in self._keys})


def _callers(totals: Mapping[str, CallerTotals]) -> Iterator[Metric]:
    columns = {
        "requests": "Requests of a key",
        "failures": "Of these, not answered with success",
        "items": "Items of a key",
        "tokens": "Tokens of a key",
        "seconds": "Seconds of the device that a key had",
    }
    for column, text in columns.items():
        family = CounterMetricFamily(f"embedstack_key_{column}", text, labels=["key"])
        for name, one in totals.items():
            family.add_metric([name], getattr(one, column))
        yield family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"embedstack_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"embedstack_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"embedstack_{name}", text, value=value)
