"""What a route has seen, as Prometheus series."""

import random

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from embedstack.server.metrics import SECONDS, Metrics
from embedstack.types import Usage


def never():
    raise AssertionError("nobody asked for the status")


def lines(metrics: Metrics, name: str) -> set[str]:
    """The series of one name, read without those that need a server."""
    routes = next(one for one in metrics.registry._collector_to_names if type(one).__name__ == "_Routes")
    alone = CollectorRegistry()
    alone.register(routes)
    return {line for line in generate_latest(alone).decode().splitlines() if line.startswith(name)}


def test_durations_are_what_the_client_library_would_have_written():
    drawn = random.Random(0)
    numbers = [drawn.expovariate(20) for _ in range(500)] + [0.0, *SECONDS, 1000.0]
    ours, registry = Metrics(never), CollectorRegistry()
    theirs = Histogram("embedstack_request_seconds", "", ("route", "dialect"), buckets=SECONDS, registry=registry)

    for number in numbers:
        ours.meter("/embed", "tei").seconds.add(number)
        theirs.labels("/embed", "tei").observe(number)

    made = generate_latest(registry).decode().splitlines()
    wanted = {line for line in made if line.startswith("embedstack_request_seconds_") and "_created" not in line}
    assert lines(ours, "embedstack_request_seconds_") == wanted


def test_usage_is_added_up_by_route_and_stage():
    metrics = Metrics(never)
    meter = metrics.meter("/embed", "tei")
    meter.seconds.add(0.5)

    meter.count(Usage(2, 30, dropped=4, truncated=1, wait_s=0.25, run_s=0.125, tokenize_s=0.0625))
    meter.count(Usage(1, 10, wait_s=0.25))

    where = 'dialect="tei",route="/embed"'
    assert lines(metrics, "embedstack_items_total") == {f"embedstack_items_total{{{where}}} 3.0"}
    assert lines(metrics, "embedstack_tokens_total") == {f"embedstack_tokens_total{{{where}}} 40.0"}
    assert lines(metrics, "embedstack_truncated_items_total") == {f"embedstack_truncated_items_total{{{where}}} 1.0"}
    assert f'embedstack_stage_seconds_sum{{{where},stage="queue"}} 0.5' in lines(
        metrics, "embedstack_stage_seconds_sum"
    )


def test_a_page_has_replies_and_no_durations():
    metrics = Metrics(never)

    metrics.replied("/health", "tei", 200)

    assert lines(metrics, "embedstack_requests_total") == {
        'embedstack_requests_total{dialect="tei",route="/health",status="200"} 1.0'
    }
    assert lines(metrics, "embedstack_request_seconds_") == set()
