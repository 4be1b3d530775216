"""Finished requests become OpenTelemetry spans: one for the request, one for each of its stages; never a text."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedstack import __version__
from embedstack.errors import ConfigError
from embedstack.server.usage import total
from embedstack.types import Answer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

NANOSECONDS = 1_000_000_000
FAILED = 500  # from this status on a span is an error; what the caller did wrong is none, as OpenTelemetry has it


@dataclass(frozen=True, slots=True)
class Searched:
    """A search that was answered."""

    collection: str
    took_s: Mapping[str, float]  # by stage


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that was answered."""

    method: str
    route: str
    dialect: str
    status: int
    request_id: str
    took_s: float
    headers: Mapping[bytes, bytes]
    answers: tuple[Answer, ...]  # one for each request that its body became
    searched: Searched | None = None
    in_turn: bool = False  # whether the answers were computed one after another and not at once


Record = Callable[[Finished], None]


def recorder(processor: "SpanProcessor | None" = None) -> tuple[Record, Callable[[], None]]:
    """What to call after each request, and what to call at the end, which sends what is left.

    Args:
        processor: takes the spans; a batch over OTLP by HTTP if None, where the OTEL_* variables say.
    Raises:
        ConfigError: OpenTelemetry is not installed.
    Source:
        attribute names of https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and, of a search,
        https://opentelemetry.io/docs/specs/semconv/database/database-spans/.
    """
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError as error:
        raise ConfigError("traces need packages that are not installed; run: pip install 'embedstack[otel]'") from error
    if processor is None:
        processor = BatchSpanProcessor(_exporter())
    resource = Resource.create({"service.name": "embedstack", "service.version": __version__})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("embedstack", __version__)
    parents = TraceContextTextMapPropagator()

    def record(request: Finished) -> None:
        ended = time.time_ns()
        carrier = {"traceparent": request.headers.get(b"traceparent", b"").decode("latin-1")}
        span = tracer.start_span(
            f"{request.method} {request.route}",
            context=parents.extract(carrier),
            kind=SpanKind.SERVER,
            start_time=ended - int(request.took_s * NANOSECONDS),
            attributes=_attributes(request),
        )
        if request.status >= FAILED:
            _fail(span)
        _stages(tracer, span, request, ended)
        span.end(ended)

    return record, provider.shutdown


def _exporter() -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _attributes(request: Finished) -> dict[str, str | int]:
    told: dict[str, str | int] = {
        "http.request.method": request.method,
        "http.route": request.route,
        "http.response.status_code": request.status,
        "embedstack.dialect": request.dialect,
        "embedstack.request_id": request.request_id,
    }
    if request.answers:
        usage = total([answer.usage for answer in request.answers])
        told["embedstack.model"] = ", ".join(answer.spec.name for answer in request.answers)
        told["embedstack.items"], told["embedstack.tokens"] = usage.items, usage.tokens
        told["embedstack.truncated_items"] = usage.truncated
    if request.searched is not None:
        told["db.operation.name"], told["db.collection.name"] = "search", request.searched.collection
    return told


def _fail(span: "Span") -> None:
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR)


def _stages(tracer: "Tracer", parent: "Span", request: Finished, ended: int) -> None:
    """Their lengths are measured; they are laid one after the other, ending when the request does."""
    from opentelemetry.trace import set_span_in_context

    lengths = _lengths(request)
    at = ended - int(sum(lengths.values()) * NANOSECONDS)
    for name, length_s in lengths.items():
        child = tracer.start_span(name, context=set_span_in_context(parent), start_time=at)
        at += int(length_s * NANOSECONDS)
        child.end(at)


def _lengths(request: Finished) -> Mapping[str, float]:
    """Seconds by stage."""
    if request.searched is not None:
        return request.searched.took_s
    if not request.answers:
        return {}
    usages = [answer.usage for answer in request.answers]
    stages = zip(*((usage.tokenize_s, usage.wait_s, usage.run_s) for usage in usages), strict=True)
    return dict(zip(("tokenize", "queue", "inference"), map(sum if request.in_turn else max, stages), strict=True))
