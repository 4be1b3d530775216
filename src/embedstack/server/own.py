"""The server's own pages become their part of the OpenAPI description; what they answer is in pages.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embedstack.dialects.wire import MAX_NAME_CHARS

Json = dict[str, object]
OBJECT: Json = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Own:
    """One page: its summary, and what stands behind each status."""

    summary: str
    replies: Mapping[int, str] = field(default_factory=lambda: {200: "what was asked for"})
    media_types: tuple[str, ...] = ("application/json",)
    needs_key: bool = False
    is_admins: bool = False
    body: Json | None = None


DONE = {200: "done", 202: "begun"}
NAMED: Json = {
    "type": "object",
    "properties": {
        "model": {"type": "string", "maxLength": MAX_NAME_CHARS},
        "wait": {"type": "boolean", "default": True, "description": "whether the reply waits until it is done"},
    },
    "required": ["model"],
    "additionalProperties": False,
}
METRICS = Own("What the server has done, for Prometheus.", media_types=("text/plain",), needs_key=True)
OWN: Mapping[tuple[str, str], Own] = {
    ("get", "/"): Own(
        "Name, version and state; the playground for browsers.",
        {200: "ready", 503: "not ready"},
        ("application/json", "text/html"),
    ),
    ("get", "/docs"): Own("All paths, as a page.", media_types=("text/html",)),
    ("get", "/livez"): Own(
        "200 as long as the process answers, also while it loads, drains or is overloaded.",
        {200: "alive", 503: "the engine is dead, and only a restart helps"},
    ),
    ("get", "/metrics"): METRICS,
    ("get", "/openapi.json"): Own("This description."),
    ("get", "/ready"): Own("200 when vectors can be had, else 503 with the reason.", {200: "ready", 503: "not ready"}),
    ("get", "/tei/metrics"): replace(METRICS, summary=f"{METRICS.summary[:-1]}; with the names of TEI's series, too."),
    ("get", "/admin/models"): Own(
        "Every model: its state, what it needs, who uses it.", needs_key=True, is_admins=True
    ),
    ("post", "/admin/models/load"): Own(
        "Load a model now; one of the catalog that is not served yet is fetched and served.",
        {**DONE, 404: "no such model", 502: "it cannot be loaded"},
        needs_key=True,
        is_admins=True,
        body=NAMED,
    ),
    ("post", "/admin/models/unload"): Own(
        "Free a model's memory; it is loaded again when it is asked for.",
        {**DONE, 404: "no such model"},
        needs_key=True,
        is_admins=True,
        body=NAMED,
    ),
    ("delete", "/admin/models/{id}"): Own(
        "Unload a model, and serve it no more.", {200: "done", 404: "no such model"}, needs_key=True, is_admins=True
    ),
}


def own_operation(method: str, path: str, headers: Json, refusals: Mapping[str, Json]) -> Json:
    """One page as an operation.

    Args:
        headers: of every reply.
        refusals: the replies to a caller without a key, or with one that does not do.
    """
    page = OWN[method, path]
    schemas = {
        kind: {"schema": OBJECT if kind == "application/json" else {"type": "string"}} for kind in page.media_types
    }
    replies = {
        str(status): {"description": text, "headers": headers, "content": schemas}
        for status, text in page.replies.items()
    }
    denied: dict[str, Json] = {"401": refusals["401"]} if page.needs_key else {}
    if page.is_admins:
        denied["403"] = {**refusals["403"], "description": "another key than the admin's, or there is none here"}
    named = path.strip("/").replace(".", "_").replace("{id}", "one").split("/")
    return {
        "operationId": "_".join(("own", *named) if method == "get" else ("own", method, *named)),
        "summary": page.summary,
        "tags": ["server"],
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}] * ("{id}" in path),
        **({"requestBody": _takes(page.body)} if page.body else {}),
        "responses": {**replies, **denied},
    }


def _takes(schema: Json) -> Json:
    examples = {"by name": {"value": {"model": "all-MiniLM-L6-v2"}}}
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
