"""The server's own pages become their part of the OpenAPI description; what they answer is in pages.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Json = dict[str, object]
OBJECT: Json = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Own:
    """One page: its summary, and what stands behind each status."""

    summary: str
    replies: Mapping[int, str] = field(default_factory=lambda: {200: "what was asked for"})
    media_types: tuple[str, ...] = ("application/json",)
    needs_key: bool = False


METRICS = Own("What the server has done, for Prometheus.", media_types=("text/plain",), needs_key=True)
OWN: Mapping[str, Own] = {
    "/": Own(
        "Name, version and state; the playground for browsers.",
        {200: "ready", 503: "not ready"},
        ("application/json", "text/html"),
    ),
    "/docs": Own("All paths, as a page.", media_types=("text/html",)),
    "/livez": Own("200 as long as the process answers."),
    "/metrics": METRICS,
    "/openapi.json": Own("This description."),
    "/ready": Own("200 when vectors can be had, else 503 with the reason.", {200: "ready", 503: "not ready"}),
    "/tei/metrics": METRICS,
}


def own_operation(path: str, headers: Json, unauthorized: Json) -> Json:
    """One page as an operation.

    Args:
        headers: of every reply.
        unauthorized: the reply to a caller without a key.
    """
    page = OWN[path]
    schemas = {
        kind: {"schema": OBJECT if kind == "application/json" else {"type": "string"}} for kind in page.media_types
    }
    replies = {
        str(status): {"description": text, "headers": headers, "content": schemas}
        for status, text in page.replies.items()
    }
    return {
        "operationId": "_".join(("own", *path.strip("/").replace(".", "_").split("/"))),
        "summary": page.summary,
        "tags": ["server"],
        "parameters": [],
        "responses": {**replies, **({"401": unauthorized} if page.needs_key else {})},
    }
