"""What an endpoint's own health page says becomes whether it would answer, and whether at once; pure.

Source of RunPod's page: https://docs.runpod.io/serverless/endpoints/operation-reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from embedstack.dialects.dialect import Wire
from embedstack.errors import EmbedstackError

HEALTH_S = 5.0  # for the page, as the RAG stack's clients have it
PAGES: Mapping[str, str] = {
    "openai": "/v1/models",  # it has no other, and this shows a wrong key, too
    "tei": "/health",
    "infinity": "/health",
    "model-worker": "/health",
    "ml-service": "/health/ready",
    "rag-stack": "/health",
    "kriptik": "/api/embeddings/health",
    "runpod": "/health",
}
"""By dialect. Cohere, Jina and Hugging Face have no such page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How an endpoint is, as far as it says."""

    is_ready: bool  # whether a request would be answered
    is_warm: bool  # whether at once; False where a worker must start first, or nothing would be answered
    reason: str = ""  # why not
    latency_s: float = 0.0  # of the page
    ready_workers: int | None = None  # of an endpoint of jobs: idle and running ones
    queued_jobs: int | None = None  # that wait there


class _Workers(msgspec.Struct):
    idle: int = 0
    initializing: int = 0
    ready: int = 0
    running: int = 0
    throttled: int = 0
    unhealthy: int = 0


class _Jobs(msgspec.Struct, rename="camel"):
    in_queue: int = 0


class _Page(msgspec.Struct):
    """All pages at once."""

    ready: bool | None = None  # the ML service's, whose original has status 200 for both
    message: str | None = None
    workers: _Workers | None = None
    jobs: _Jobs | None = None


class _Lost(msgspec.Struct):
    """What stands under a 404 of servers that take jobs and have no such page."""

    code: msgspec.Raw = msgspec.Raw(b"")  # ours
    detail: msgspec.Raw = msgspec.Raw(b"")  # that of RunPod's SDK, where a worker is tried alone


_PAGE = msgspec.json.Decoder(_Page)
_LOST = msgspec.json.Decoder(_Lost)


def unasked(dialect: str) -> Health:
    """Of a dialect without such a page."""
    return Health(
        is_ready=True, is_warm=True, reason=f"the dialect {dialect!r} has no health page, so nobody was asked"
    )


def unreachable(error: EmbedstackError) -> Health:
    """Of an endpoint that gave no page."""
    return Health(is_ready=False, is_warm=False, reason=error.message)


def health_of(wire: Wire, failure: EmbedstackError, *, has_jobs: bool = False) -> Health:
    """What a page says. A server that lacks it is there all the same, unless it is the endpoint that is unknown.

    Args:
        failure: what the dialect makes of its status, where that is not 200.
        has_jobs: whether it is an endpoint of jobs, of which each has the page.
    """
    lacks_page = wire.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    if lacks_page and has_jobs:
        lacks_page = wire.status != HTTPStatus.NOT_FOUND or _is_of_a_server(wire)
    if lacks_page and "endpoint" not in failure.message.lower():
        return Health(is_ready=True, is_warm=True, reason="it has no health page")
    if wire.status != HTTPStatus.OK:
        return unreachable(failure)
    page = _page(wire)
    if page.ready is False:
        return Health(is_ready=False, is_warm=False, reason=page.message or "it is not ready")
    if page.workers is None:
        return Health(is_ready=True, is_warm=True)
    return _of_workers(page.workers, page.jobs or _Jobs())


def _page(wire: Wire) -> _Page:
    """Other pages say all by their status."""
    try:
        return _PAGE.decode(wire.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Page()


def _is_of_a_server(wire: Wire) -> bool:
    """Whether it is the path that is unknown, to a server that takes jobs by itself."""
    try:
        lost = _LOST.decode(wire.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return bytes(lost.code) == b'"no_route"' or bytes(lost.detail) == b'"Not Found"'


def _of_workers(workers: _Workers, jobs: _Jobs) -> Health:
    able = max(workers.ready, workers.idle + workers.running)
    is_ready, reason = _without_worker(workers)
    return Health(
        is_ready=able > 0 or is_ready,
        is_warm=able > 0,
        reason="" if able else reason,
        ready_workers=able,
        queued_jobs=jobs.in_queue,
    )


def _without_worker(workers: _Workers) -> tuple[bool, str]:
    """Whether a job is worth sending where no worker can take it at once, and why it must wait or is not."""
    if workers.initializing:
        return True, "a worker starts"
    if workers.unhealthy:
        return False, f"its workers are unhealthy ({workers.unhealthy}); look at their logs"
    if workers.throttled:
        return False, f"its workers wait for a machine ({workers.throttled} throttled)"
    return True, "no worker runs; the first job starts one"
