"""The page that dashboards for Text Embeddings Inference read."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from embedstack.server import tei_metrics
from embedstack.server.batches import Batches
from embedstack.server.metrics import Metrics
from embedstack.types import Usage
from embedstack.watching import BatchRun

ZERO = dict.fromkeys(
    ["te_request_count", "te_request_success", "te_queue_size", "te_embed_count", "te_embed_success",
     "te_predict_count", "te_predict_success"], 0.0,
)  # fmt: skip


def never():
    raise AssertionError("nobody asked for the status")


class Seen(Metrics):
    """Series of requests alone, without those that need a server."""

    def __init__(self) -> None:
        super().__init__(never)
        status = next(one for one in self.registry._collector_to_names if type(one).__name__ == "_Seen")
        self.registry.unregister(status)


def read(page: str) -> dict[str, float]:
    """Numbers of the te_ series, buckets left out; behind a counter's name the parser puts _total where it is not."""
    families = [one for one in text_string_to_metric_families(page) if one.name.startswith("te_")]
    samples = [sample for family in families for sample in family.samples if "le" not in sample.labels]
    told = ((" ".join([one.name.removesuffix("_total"), *one.labels.values()]), one.value) for one in samples)
    return dict(told)


def shown(metrics: Metrics) -> dict[str, float]:
    return read(tei_metrics.page(metrics.registry.collect()).decode())


def test_before_the_first_request_counters_are_0_and_no_histogram_is_there():
    assert shown(Seen()) == ZERO


def test_requests_are_counted_by_outcome_wherever_the_route_stands():
    metrics = Seen()
    for route, status in (
        ("/embed", 200),
        ("/tei/embed", 200),
        ("/tei/rerank", 429),
        ("/tei/", 422),
        ("/predict", 504),
    ):
        metrics.replied(route, "tei", status)

    made = shown(metrics)

    assert (made["te_request_count"], made["te_request_success"]) == (5.0, 2.0)
    causes = {name.removeprefix("te_request_failure "): n for name, n in made.items() if "te_request_failure" in name}
    assert causes == {"overloaded": 1.0, "validation": 1.0, "backend": 1.0}


def test_other_dialects_and_what_the_original_does_not_count_are_left_out():
    metrics = Seen()
    for route, dialect in (("/v1/embeddings", "openai"), ("/tei/tokenize", "tei"), ("/tei/health", "tei")):
        metrics.replied(route, dialect, 200)

    assert shown(metrics) == ZERO


def test_inputs_and_durations_are_summed_over_routes():
    metrics = Seen()
    for route, items in (("/embed", 3), ("/tei/embed_all", 2), ("/rerank", 4)):
        meter = metrics.meter(route, "tei")
        meter.seconds.add(0.5)
        meter.count(Usage(items, 10, wait_s=0.25, run_s=0.125, tokenize_s=0.0625))

    made = shown(metrics)

    assert (made["te_embed_success"], made["te_predict_success"]) == (5.0, 4.0)
    stages = [made[f"te_request_{stage}duration_sum"] for stage in ("", "tokenization_", "queue_", "inference_")]
    assert stages == [1.5, 0.1875, 0.75, 0.375]
    assert made["te_request_duration_count"] == 3.0


def test_batches_of_all_models_make_one_histogram_whose_last_bucket_holds_all():
    metrics = Seen()
    batches = Batches(metrics.registry, 0.04)
    for model, items in (("a", 2), ("b", 6)):
        batches.ran(
            BatchRun(
                model=model,
                lane=0,
                wait_s=0.0,
                priority="interactive",
                items=items,
                tokens=items * 10,
                padded=items * 10,
                run_s=0.1,
                predicted_s=0.1,
                is_capped=False,
                is_whole=True,
            )
        )
    (family,) = (
        one
        for one in text_string_to_metric_families(tei_metrics.page(metrics.registry.collect()).decode())
        if one.name == "te_batch_next_size"
    )

    made = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
    assert (made["1.0"], made["2.0"], made["8.0"], made["+Inf"]) == (0.0, 1.0, 2.0, 2.0)
    assert (made["te_batch_next_size_sum"], made["te_batch_next_size_count"]) == (8.0, 2.0)


@pytest.mark.anyio
async def test_the_page_has_our_series_and_theirs(serve):
    async with serve() as client:
        for body in ({"inputs": ["a cat", "rain"]}, {"inputs": []}):
            await client.post("/tei/embed", json=body)
        page, own = (await client.get("/tei/metrics")).text, (await client.get("/metrics")).text

    made = read(page)
    assert (made["te_request_count"], made["te_embed_success"], made["te_request_failure validation"]) == (
        2.0,
        2.0,
        1.0,
    )
    assert "# TYPE te_request_count counter\nte_request_count 2.0\n" in page
    assert 'embedstack_items_total{dialect="tei",route="/tei/embed"} 2.0' in page
    assert "te_request_count" not in own
