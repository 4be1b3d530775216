"""A job as Prometheus sees it: the names that dashboards have already, and ours."""

import dataclasses
import socket
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from embedstack.errors import ConfigError
from embedstack.jobs.metrics import JobSeries, scraped
from embedstack.jobs.progress import Seen


def seen(**numbers: object) -> Seen:
    zeros = {row.name: 0 for row in dataclasses.fields(Seen)}
    return Seen(**{**zeros, "eta_s": None, **numbers})


def page(series: JobSeries) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(series)
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def series(now: Seen, price: float | None = None) -> JobSeries:
    return JobSeries(lambda: now, instance="here", model="hash", price=price)


def test_the_names_of_embedding_pipelines_are_there() -> None:
    shown = page(series(seen(shards=10, tokens=100, tokens_done=25, rows=7, took_s=1800), price=0.5))

    assert shown["embeddings_cost_dollars"] == 0.25
    assert shown["embeddings_batch_progress"] == 0.25
    assert shown["embeddings_vectors_generated"] == 7
    assert shown['mia_embeddings_generated_total{instance="here",model="hash"}'] == 7


def test_no_cost_is_shown_where_no_price_is_known() -> None:
    assert "embeddings_cost_dollars" not in page(series(seen()))


def test_no_time_left_is_shown_while_nobody_knows_it() -> None:
    assert "embedstack_job_left_seconds" not in page(series(seen()))


def test_failed_and_skipped_documents_are_told_apart() -> None:
    shown = page(series(seen(docs_dead=5, docs_failed=2)))

    assert shown['embedstack_job_dead_total{kind="failed"}'] == 2
    assert shown['embedstack_job_dead_total{kind="skipped"}'] == 3


def test_every_series_of_ours_begins_with_its_name() -> None:
    shown = page(series(seen(eta_s=5.0)))

    usual = ("embeddings_", "mia_embeddings_")
    assert {name.split("_", 2)[0] for name in shown if not name.startswith(usual)} == {"embedstack"}


def test_the_counter_of_tokens_is_of_all_that_were_read() -> None:
    assert page(series(seen(tokens_read=2300, tokens_here=400)))["embedstack_job_tokens_read_total"] == 2300


@pytest.mark.slow  # a server that ends looks up twice a second
def test_it_is_scraped_over_http_as_it_stands() -> None:
    with scraped(series(seen(rows=7)), "127.0.0.1", 0) as port:
        text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()

    assert "\nembeddings_vectors_generated 7.0\n" in text


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with (
            pytest.raises(ConfigError, match=f"port {port} .* --metrics-port"),
            scraped(series(seen()), "127.0.0.1", port),
        ):
            pass
