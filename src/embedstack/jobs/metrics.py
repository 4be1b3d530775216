"""How a job stands -> Prometheus series over HTTP: those that source systems scrape already, and ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from embedstack.errors import ConfigError
from embedstack.jobs.progress import Seen

SECONDS_PER_HOUR = 3600


class JobSeries(Collector):
    """Read off when somebody scrapes.

    Args:
        seen: how the job stands at the moment.
        instance: whose vectors they are, a label of `mia_embeddings_generated_total`.
        price: dollars per hour of where it runs; None: nobody knows, so no series of costs is there.
    """

    def __init__(self, seen: Callable[[], Seen], *, instance: str, model: str, price: float | None = None) -> None:
        self._seen, self._instance, self._model, self._price = seen, instance, model, price

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        seen = self._seen()
        yield from self._usual(seen)
        yield _by("shards", "Units of work", "state", {"done": seen.shards_done, "all": seen.shards})
        yield _by("documents", "Documents of the whole job", "state", {"done": seen.docs_done, "all": seen.docs})
        yield _by("tokens", "Tokens of the whole job, as expected", "state", {
            "done": seen.tokens_done, "all": seen.tokens,
        })  # fmt: skip
        yield CounterMetricFamily("embedstack_job_tokens_read", "Tokens that the model read in this run",
                                  value=seen.tokens_read)  # fmt: skip
        dead = CounterMetricFamily("embedstack_job_dead", "Documents left out in this run", labels=["kind"])
        dead.add_metric(["failed"], seen.docs_failed)
        dead.add_metric(["skipped"], seen.docs_dead - seen.docs_failed)
        yield dead
        yield _gauge("tokens_per_second", "Of the last minute", seen.tokens_per_s)
        yield _gauge("documents_per_second", "Of the last minute", seen.docs_per_s)
        yield _gauge("busy_ratio", "Share of the device's time that it computed", seen.busy)
        yield _gauge("padding_ratio", "Share of what it computed that was padding", seen.padding)
        yield _gauge("spool_bytes", "Files that wait to be stored", seen.spool_bytes)
        yield _gauge("processes", "That work at the moment", seen.processes)
        if seen.eta_s is not None:
            yield _gauge("left_seconds", "Until it is done, at the rate of the last minute", seen.eta_s)

    def _usual(self, seen: Seen) -> Iterator[Metric]:
        """Under the names that dashboards of embedding pipelines have."""
        if self._price is not None:
            dollars = self._price * seen.took_s / SECONDS_PER_HOUR
            yield GaugeMetricFamily("embeddings_cost_dollars", "What this run has cost so far", value=dollars)
        yield GaugeMetricFamily("embeddings_batch_progress", "Share of the job that is done, 0 to 1", value=seen.share)
        yield GaugeMetricFamily("embeddings_vectors_generated", "Vectors stored in this run", value=seen.rows)
        made = CounterMetricFamily(
            "mia_embeddings_generated", "Vectors stored in this run", labels=["instance", "model"]
        )
        made.add_metric([self._instance, self._model], seen.rows)
        yield made


@contextmanager
def scraped(series: Collector, host: str, port: int) -> Iterator[int]:
    """Within it `GET /metrics` is answered; where it is, since 0 takes a free port.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    registry = CollectorRegistry()
    registry.register(series)
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"port {port} on {host!r} cannot be listened at ({error}); give another --metrics-port"
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"embedstack_job_{name}", text, value=value)


def _by(name: str, text: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(f"embedstack_job_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
