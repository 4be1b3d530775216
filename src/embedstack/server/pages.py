"""The server's own pages: is it alive, is it ready, what has it done, what can it do."""

import json
from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from embedstack import __version__
from embedstack.dialects.dialect import Status
from embedstack.dialects.places import Place
from embedstack.dialects.wire import retry_after
from embedstack.errors import NotReady, Unauthorized
from embedstack.server import tei_metrics
from embedstack.server.admin import standing
from embedstack.server.docs import DOCS_HEADERS, page
from embedstack.server.front import Front
from embedstack.server.openapi import describe
from embedstack.server.playground import playground
from embedstack.server.readiness import note


def own_pages(front: Front, table: Sequence[Place]) -> list[Route]:
    """Their routes. None needs a key but the metrics, if the settings say so."""
    opening = front.opening
    described: list[dict[str, object]] = []

    def description() -> dict[str, object]:
        """Made at the first wish for it, since few ever ask."""
        if not described:
            described.append(describe(table, needs_key=front.keys.are_set))
        return described[0]

    async def livez(_: Request) -> Response:
        """Whoever asks here restarts the process for a 503, which helps a dead engine and nothing else."""
        if opening.state == "dead" and not opening.is_draining:
            return JSONResponse({"status": "dead", "reason": opening.reason}, 503)
        return JSONResponse({"status": "alive"})

    async def ready(request: Request) -> Response:
        status = front.status()
        code, headers = _answering(status)
        if not front.keys.is_caller(dict(request.scope["headers"])):
            return JSONResponse({"status": status.state}, code, headers)
        models = opening.pool.states() if opening.pool else ()
        told = {
            "reason": status.reason,
            "proof": opening.proof if status.state == "ready" else "",
            "models": {model.name: standing(model) for model in models},
            "note": note(models) if status.state == "ready" else "",
        }
        return JSONResponse(
            {"status": status.state, **{name: told[name] for name in told if told[name]}}, code, headers
        )

    async def scraped(request: Request) -> Response:
        try:
            front.admitted_to_metrics(request.scope)
            wire = front.metrics.page()
            if request.url.path.startswith(tei_metrics.PREFIX):
                wire = replace(wire, body=wire.body + tei_metrics.page(front.metrics.registry.collect()))
        except Unauthorized as error:
            wire = front.failed(table[0].first, error, request.scope["embedstack.request_id"])
        return Response(wire.body, wire.status, dict(wire.headers), wire.media_type)

    async def openapi(_: Request) -> Response:
        return Response(json.dumps(description(), separators=(",", ":")), media_type="application/json")

    async def docs(request: Request) -> Response:
        return HTMLResponse(page(description(), str(request.base_url).rstrip("/")), headers=DOCS_HEADERS)

    async def start(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            document = playground()
            return Response(document.html, headers=document.headers)
        status = front.status()
        found = {"name": "embedstack", "version": __version__, "status": status.state, "docs": "/docs"}
        code, headers = _answering(status)
        return JSONResponse(found, code, {"vary": "accept", **headers})

    return [
        Route("/livez", livez),
        Route("/ready", ready),
        Route("/metrics", scraped),
        Route("/tei/metrics", scraped),
        Route("/openapi.json", openapi),
        Route("/docs", docs),
        Route("/", start),
    ]


def _answering(status: Status) -> tuple[int, dict[str, str]]:
    """The status code of readiness, and when to ask again."""
    return (200, {}) if status.state == "ready" else (503, dict(retry_after(NotReady(status.reason))))
