"""The server's own pages: is it alive, is it ready, what has it done, what can it do."""

import json
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from embedstack.dialects.wire import retry_after
from embedstack.errors import NotReady
from embedstack.server.docs import DOCS_HEADERS, page
from embedstack.server.metrics import Metrics
from embedstack.server.openapi import describe
from embedstack.server.opening import Opening
from embedstack.server.table import Place


def own_pages(opening: Opening, metrics: Metrics, table: Sequence[Place]) -> list[Route]:
    """Their routes."""
    described: list[dict[str, object]] = []

    def description() -> dict[str, object]:
        """Made at the first wish for it, since few ever ask."""
        if not described:
            described.append(describe(table))
        return described[0]

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(_: Request) -> Response:
        if opening.state == "ready":
            return JSONResponse({"status": "ready", "proof": opening.proof})
        headers = retry_after(NotReady(opening.reason))
        return JSONResponse({"status": opening.state, "reason": opening.reason}, 503, headers)

    async def scraped(_: Request) -> Response:
        wire = metrics.page()
        return Response(wire.body, media_type=wire.media_type)

    async def openapi(_: Request) -> Response:
        return Response(json.dumps(description(), indent=1), media_type="application/json")

    async def docs(request: Request) -> Response:
        return HTMLResponse(page(description(), str(request.base_url).rstrip("/")), headers=DOCS_HEADERS)

    async def start(_: Request) -> Response:
        return RedirectResponse("/docs")

    return [
        Route("/livez", livez),
        Route("/ready", ready),
        Route("/metrics", scraped),
        Route("/openapi.json", openapi),
        Route("/docs", docs),
        Route("/", start),
    ]
