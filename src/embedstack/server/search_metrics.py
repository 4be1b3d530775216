"""Searches become Prometheus series: how many, and how long they took, by collection and outcome."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram

from embedstack.errors import EmbedstackError
from embedstack.server.guard import HungUp
from embedstack.server.metrics import ELSEWHERE, SECONDS


class Watched:
    """One search; whoever finds its collection names it."""

    collection = ELSEWHERE


class Searches:
    """Their series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("collection", "outcome")
        self._count = Counter(
            "embedstack_searches", "Searches; the outcome is ok or an error's code", labels, registry=registry
        )
        self._seconds = Histogram(
            "embedstack_search_seconds",
            "From the head of a search to its reply",
            labels,
            buckets=SECONDS,
            registry=registry,
        )

    @contextmanager
    def watch(self) -> Iterator[Watched]:
        """Count what is done in the block."""
        began, watched, outcome = perf_counter(), Watched(), "ok"
        try:
            yield watched
        except EmbedstackError as error:
            outcome = error.code
            raise
        except HungUp:
            outcome = "hung_up"
            raise
        except BaseException:
            outcome = "error"
            raise
        finally:
            self._count.labels(watched.collection, outcome).inc()
            self._seconds.labels(watched.collection, outcome).observe(perf_counter() - began)
