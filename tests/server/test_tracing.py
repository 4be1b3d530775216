"""Spans of finished requests, taken by OpenTelemetry's own SDK."""

import http.server
import threading
from dataclasses import replace

import httpx
import pytest

from embedstack.server.tracing import Finished, recorder
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded, Text, Usage

export = pytest.importorskip("opentelemetry.sdk.trace.export")
in_memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

pytestmark = pytest.mark.anyio
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Slow(HashEncoder):
    """Says of every request that it took half a second."""

    async def encode(self, request: Encode) -> Encoded:
        made = await super().encode(request)
        return replace(made, usage=replace(made.usage, run_s=0.5))


@pytest.fixture
def spans(monkeypatch):
    """The spans of apps that are made in the test."""
    exporter = in_memory.InMemorySpanExporter()
    made = recorder(export.SimpleSpanProcessor(exporter))
    monkeypatch.setattr("embedstack.server.front.recorder", lambda: made)
    return exporter.get_finished_spans


def by_name(spans):
    return {span.name: span for span in spans()}


async def test_a_request_is_a_span_with_its_stages_below_it(serve, spans):
    async with serve(traces=True) as client:
        await client.post("/v1/embeddings", json={"input": ["a secret text", "b"]})

    made = by_name(spans)
    root = made["POST /v1/embeddings"]
    assert {name for name in made if name != root.name} == {"tokenize", "queue", "inference"}
    assert {made[name].parent.span_id for name in ("tokenize", "queue", "inference")} == {root.context.span_id}
    assert root.attributes["http.response.status_code"] == 200
    assert (root.attributes["embedstack.items"], root.attributes["embedstack.model"]) == (2, "hash")


async def test_a_span_of_a_request_for_two_models_has_what_both_were():
    exporter = in_memory.InMemorySpanExporter()
    record, _ = recorder(export.SimpleSpanProcessor(exporter))
    answer = await HashEncoder().encode(Encode(model="hash", items=(Text("a"),)))
    usages = Usage(2, 10, truncated=1, wait_s=0.1, run_s=0.5), Usage(3, 7, wait_s=0.2, run_s=0.25)
    answers = tuple(replace(answer, usage=usage) for usage in usages)

    record(Finished("POST", "/embed/batch", "model-worker", 200, "id", 1.0, {}, answers))

    made = by_name(exporter.get_finished_spans)
    told = made["POST /embed/batch"].attributes
    assert told["embedstack.model"] == "hash, hash"
    assert [told[f"embedstack.{name}"] for name in ("items", "tokens", "truncated_items")] == [5, 17, 1]
    lengths = {name: (span.end_time - span.start_time) / 1e9 for name, span in made.items()}
    assert (lengths["queue"], lengths["inference"]) == pytest.approx((0.2, 0.5), abs=1e-6)


async def test_requests_that_were_answered_in_turn_took_their_times_one_after_another(serve, spans):
    requests = [{"content": "a", "type": "intent", "projectId": name} for name in ("p", "q")]
    async with serve(Slow, traces=True) as client:
        await client.post("/kriptik/api/embeddings/batch", json={"requests": requests})

    span = by_name(spans)["inference"]
    assert span.end_time - span.start_time == 1_000_000_000


async def test_a_span_continues_the_callers_trace(serve, spans):
    async with serve(traces=True) as client:
        await client.post("/embed", json={"inputs": "a"}, headers={"traceparent": PARENT})

    assert f"{by_name(spans)['POST /embed'].context.trace_id:032x}" == PARENT.split("-")[1]


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-0-0-0", "é"])
async def test_a_traceparent_that_is_none_begins_a_trace(serve, spans, traceparent):
    async with serve(traces=True) as client:
        reply = await client.post("/embed", json={"inputs": "a"}, headers=[(b"traceparent", traceparent.encode())])

    assert reply.status_code == 200
    assert by_name(spans)["POST /embed"].parent is None


async def test_what_the_caller_did_wrong_is_no_error_of_the_span(serve, spans):
    async with serve(traces=True) as client:
        await client.post("/v1/embeddings", json={"input": []})

    span = by_name(spans)["POST /v1/embeddings"]
    assert span.attributes["http.response.status_code"] == 400
    assert span.status.is_unset


async def test_no_span_holds_a_text(serve, spans):
    async with serve(traces=True) as client:
        await client.post("/v1/embeddings", json={"input": "a secret text", "model": "a secret model"})
        await client.post("/v1/embeddings", json={"input": "a secret text"})

    assert spans()
    assert not any("secret" in span.to_json() for span in spans())


async def test_spans_go_where_the_standard_variable_says(serve, monkeypatch):
    received = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Nothing on stderr."""

    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        async with serve(traces=True) as client:
            await client.post("/v1/embeddings", json={"input": "a"})
        collector.shutdown()

    assert [path for path, _ in received] == ["/v1/traces"]
    assert b"POST /v1/embeddings" in received[0][1]


async def test_without_the_setting_nothing_is_recorded(serve, spans):
    async with serve() as client:
        assert isinstance(await client.post("/embed", json={"inputs": "a"}), httpx.Response)

    assert not spans()
