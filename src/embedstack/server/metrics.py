"""Requests, their usage and the encoder's state become Prometheus series, in a registry of their own for each app."""

import platform
from bisect import bisect_left
from collections import Counter as Counted
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from embedstack import __version__
from embedstack.dialects.dialect import CallerTotals, Standing, Status, Wire
from embedstack.types import Usage

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BOUNDS = (*map(str, SECONDS), "+Inf")
ELSEWHERE = "(none)"  # the route and the dialect of a path that is not served
WHERE = ("route", "dialect")


class Durations:
    """A histogram. For one event loop: the client library's own takes a lock for each number, ten times the time."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.sum_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: each bound with all that is not above it."""
        return list(zip(BOUNDS, accumulate(self.counts), strict=True))


class Meter:
    """What one route has seen in one dialect, found once and not per request."""

    def __init__(self) -> None:
        self.replies: Counted[int] = Counted()  # by status
        self.items = self.tokens = self.truncated = 0
        self.seconds, self.read, self.tokenize, self.queue, self.inference, self.write = (Durations() for _ in range(6))

    def count(self, usage: Usage, *, has_run: bool = True) -> None:
        """Add what a request used.

        Args:
            has_run: whether a model read its tokens; else they were only counted, and it had no stages.
        """
        self.items += usage.items
        self.truncated += usage.truncated
        if not has_run:
            return
        self.tokens += usage.tokens
        self.tokenize.add(usage.tokenize_s)
        self.queue.add(usage.wait_s)
        self.inference.add(usage.run_s)


class Metrics:
    """All series of one app.

    Args:
        status: asked at each scrape.
        keys: the names of the API keys; of callers without a key no series are kept, since there may be any number.
    """

    def __init__(self, status: Callable[[], Status], keys: Iterable[str] = ()) -> None:
        self._registry = registry = CollectorRegistry()
        self._meters: dict[tuple[str, str], Meter] = {}
        self.in_flight = 0
        build = Info("embedstack_build", "What is running", registry=registry)
        build.info({"version": __version__, "python": platform.python_version()})
        registry.register(_Routes(self, self._meters))
        registry.register(_Seen(status, frozenset(keys)))

    @property
    def registry(self) -> CollectorRegistry:
        """Where others add series of their own."""
        return self._registry

    def meter(self, route: str, dialect: str) -> Meter:
        """The series of one route, made when its first request comes: of most routes nobody asks anything."""
        where = (route, dialect)
        if where not in self._meters:
            self._meters[where] = Meter()
        return self._meters[where]

    def replied(self, route: str, dialect: str, status: int) -> None:
        """Count one reply."""
        self.meter(route, dialect).replies[status] += 1

    def page(self) -> Wire:
        """The text that Prometheus scrapes."""
        return Wire(200, generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


class _Routes(Collector):
    """What the meters have counted."""

    def __init__(self, metrics: Metrics, meters: Mapping[tuple[str, str], Meter]) -> None:
        self._metrics, self._meters = metrics, meters

    def collect(self) -> Iterator[Metric]:
        """All of it; pages have replies only."""
        yield _gauge("requests_in_flight", "Requests that are being answered", self._metrics.in_flight)
        meters = list(self._meters.items())
        asked = [(where, meter) for where, meter in meters if any(meter.seconds.counts)]
        replies = CounterMetricFamily(
            "embedstack_requests", "Replies, by status; 499 is a caller that hung up", labels=(*WHERE, "status")
        )
        for where, meter in meters:
            for status, count in sorted(meter.replies.items()):
                replies.add_metric([*where, str(status)], count)
        yield replies
        yield from _durations(asked)
        for name, text, counts in (
            ("items", "Texts, pairs and images", [meter.items for _, meter in asked]),
            ("tokens", "Tokens that the model read", [meter.tokens for _, meter in asked]),
            ("truncated_items", "Items that lost tokens", [meter.truncated for _, meter in asked]),
        ):
            family = CounterMetricFamily(f"embedstack_{name}", text, labels=WHERE)
            for (where, _), count in zip(asked, counts, strict=True):
                family.add_metric(where, count)
            yield family


def _durations(asked: Iterable[tuple[tuple[str, str], Meter]]) -> Iterator[Metric]:
    seconds = HistogramMetricFamily(
        "embedstack_request_seconds", "From the head of a request to its reply", labels=WHERE
    )
    stages = HistogramMetricFamily(
        "embedstack_stage_seconds",
        "Of these, by stage: read (body and its JSON), tokenize, queue (waiting for the device), inference, write",
        labels=(*WHERE, "stage"),
    )
    for where, meter in asked:
        seconds.add_metric(where, meter.seconds.buckets(), meter.seconds.sum_s)
        for stage in ("read", "tokenize", "queue", "inference", "write"):
            durations: Durations = getattr(meter, stage)
            stages.add_metric([*where, stage], durations.buckets(), durations.sum_s)
    yield seconds
    yield stages


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
        yield _counter("refused", "Requests that would have waited too long", load.refused)
        yield _counter("expired", "Requests whose deadline passed while they waited", load.expired)
        yield _counter("out_of_memory_batches", "Runs that the device had no memory for", load.out_of_memory)
        yield _counter("cache_hits", "Items answered from the cache of vectors", load.cache_hits)
        yield _counter("cache_misses", "Items that were not in it", load.cache_misses)
        yield _gauge("cache_bytes", "What it holds", load.cache_bytes)
        yield _gauges("model_served", "1 for each model that is served", "model", {
            spec.name: 1 for spec in status.models
        })  # fmt: skip
        yield _model_states(status)
        yield from _callers({name: totals for name, totals in status.callers.items() if name in self._keys})


def _model_states(status: Status) -> Metric:
    family = GaugeMetricFamily(
        "embedstack_model_state", "1 for the state that a model is in", labels=["model", "state"]
    )
    for name, standing in status.states.items():
        for state in get_args(Standing):
            family.add_metric([name, state], float(state == standing))
    return family


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
