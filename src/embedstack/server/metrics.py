"""Requests and their usage become Prometheus series, in a registry of their own for each app."""

import platform
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from embedstack import __version__
from embedstack.dialects.dialect import Wire
from embedstack.server.opening import memory
from embedstack.types import Usage

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ELSEWHERE = "(none)"  # the route and the dialect of a path that is not served


@dataclass(frozen=True, slots=True)
class Meter:
    """The series of one route, found once and not per request."""

    seconds: Histogram
    items: Counter
    tokens: Counter
    truncated: Counter
    waits: Histogram
    runs: Histogram


class Metrics:
    """All series of one app.

    Args:
        is_ready: asked at each scrape.
    """

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._registry = registry = CollectorRegistry()
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
        self._waits = Histogram(
            "embedstack_wait_seconds", "Of these, waiting for the device", where, buckets=SECONDS, registry=registry
        )
        self._runs = Histogram(
            "embedstack_run_seconds", "Of these, on the device", where, buckets=SECONDS, registry=registry
        )
        self._items = Counter("embedstack_items", "Texts and pairs", where, registry=registry)
        self._tokens = Counter("embedstack_tokens", "Tokens that the model read", where, registry=registry)
        self._truncated = Counter("embedstack_truncated_items", "Items that lost tokens", where, registry=registry)
        self.in_flight = Gauge("embedstack_requests_in_flight", "Requests that are being answered", registry=registry)
        ready = Gauge("embedstack_ready", "1 when vectors can be had", registry=registry)
        ready.set_function(lambda: float(is_ready()))
        build = Info("embedstack_build", "What is running", registry=registry)
        build.info({"version": __version__, "python": platform.python_version()})
        self._memory = Gauge("embedstack_memory_bytes", "Memory of this process", ("kind",), registry=registry)

    def meter(self, route: str, dialect: str) -> Meter:
        """The series of one route."""
        return Meter(
            seconds=self._seconds.labels(route, dialect),
            items=self._items.labels(route, dialect),
            tokens=self._tokens.labels(route, dialect),
            truncated=self._truncated.labels(route, dialect),
            waits=self._waits.labels(route, dialect),
            runs=self._runs.labels(route, dialect),
        )

    def replied(self, route: str, dialect: str, status: int) -> None:
        """Count one reply."""
        self._requests.labels(route, dialect, str(status)).inc()

    def page(self) -> Wire:
        """The text that Prometheus scrapes."""
        held = memory()
        self._memory.labels("anonymous").set(held.anonymous)
        self._memory.labels("mapped").set(held.mapped)
        self._memory.labels("resident").set(held.resident)
        return Wire(200, generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def count(meter: Meter, usage: Usage) -> None:
    """Add what a request used."""
    meter.items.inc(usage.items)
    meter.tokens.inc(usage.tokens)
    meter.truncated.inc(usage.truncated)
    meter.waits.observe(usage.wait_s)
    meter.runs.observe(usage.run_s)
