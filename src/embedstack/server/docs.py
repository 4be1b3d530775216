"""An OpenAPI description becomes one HTML page that loads nothing else and needs no script."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from embedstack.server.table import COLLECTIONS, SEARCH

DOCS_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"}
Json = Mapping[str, Any]  # the description is JSON, and JSON is not typed

STYLE = """
:root{color-scheme:light dark;--line:#8885;--soft:#8881;--mark:#2563eb}
@media (prefers-color-scheme:dark){:root{--mark:#7aa2ff}}
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:0 auto;padding:2rem 1rem 6rem}
h1{margin:0}h2{margin:2.5rem 0 .5rem;border-bottom:1px solid var(--line)}h3{margin:1.5rem 0 .25rem;font-size:1rem}
code,pre{font:13px/1.5 ui-monospace,monospace}pre{background:var(--soft);padding:.75rem;overflow:auto;border-radius:6px}
.method{color:var(--mark);font-weight:700}a{color:var(--mark)}summary{cursor:pointer}
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
"""


def page(description: Json, base_url: str) -> str:
    """The page.

    Args:
        base_url: how the reader reached the server, for the examples.
    """
    version = escape(description["info"]["version"])
    body = "".join(_sections(description, base_url))
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>embedstack {version}</title><style>{STYLE}</style></head><body><h1>embedstack {version}</h1>"
        f"<p>{escape(description['info']['description'])} Machines read <a href=/openapi.json>/openapi.json</a>; "
        "also here: <a href=/health>/health</a>, <a href=/ready>/ready</a>, <a href=/livez>/livez</a>, "
        f"<a href=/metrics>/metrics</a>.</p>{body}</body></html>"
    )


def _sections(description: Json, base_url: str) -> Iterator[str]:
    prefixes = {tag["name"]: tag["x-prefix"] for tag in description["tags"]}
    yield from _root(description, tuple(prefixes.values()))
    yield "<h2>searches</h2>"
    for path in (SEARCH, COLLECTIONS):
        for method, operation in description["paths"][path].items():
            yield from _operation(method, path, operation, base_url)
    for name, prefix in prefixes.items():
        yield f"<h2>{escape(name)}</h2>"
        yield f"<p>For clients of this dialect the base URL is <code>{escape(base_url + prefix)}</code>.</p>"
        for path, operations in description["paths"].items():
            for method, operation in operations.items():
                if _is_under(prefix, path):
                    yield from _operation(method, path, operation, base_url)
    yield "<h2>schemas</h2>"
    for name, schema in description["components"]["schemas"].items():
        yield f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>"


def _is_under(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _root(description: Json, prefixes: tuple[str, ...]) -> Iterator[str]:
    yield "<h2>at the root</h2><p>Where several dialects have one path, the first whose shape a body has answers.</p>"
    yield "<table><tr><th>path<th>dialects, in order</tr>"
    for path, operations in description["paths"].items():
        if not any(_is_under(prefix, path) for prefix in prefixes):
            for method, operation in operations.items():
                names = escape(", ".join(operation["tags"]))
                yield f"<tr><td><code>{escape(method.upper())} {escape(path)}</code><td>{names}</tr>"
    yield "</table>"


def _operation(method: str, path: str, operation: Json, base_url: str) -> Iterator[str]:
    yield f"<h3><span class=method>{escape(method.upper())}</span> <code>{escape(path)}</code></h3>"
    yield f"<p>{escape(operation['summary'])} {' · '.join(_links(operation))}</p>"
    yield f"<pre>{escape(_curl(path, operation, base_url))}</pre>"


def _links(operation: Json) -> Iterator[str]:
    replies = operation["responses"]
    yield from _link("takes", operation.get("requestBody", {}))
    yield from _link("gives", replies["200"])
    for reply in [*replies.values()][1:2]:
        yield from _link("fails with", reply)
    yield "statuses " + ", ".join(replies)


def _link(word: str, reply: Json) -> Iterator[str]:
    """Where the schemas of its JSON are, if it has any."""
    content = reply.get("content", {}).get("application/json")
    if content is not None:
        schema = content["schema"]
        yield f"{word} " + " or ".join(_named(one) for one in schema.get("anyOf", [schema]))


def _named(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"<a href='#{escape(name)}'>{escape(name)}</a>"
    return f"<code>{escape(json.dumps(schema))}</code>"


def _curl(path: str, operation: Json, base_url: str) -> str:
    url = base_url + path
    if "requestBody" not in operation:
        return f"curl {url}"
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    example = json.dumps(next(iter(examples.values()))["value"])
    return f"curl {url} -H 'content-type: application/json' -d '{example}'"


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2))}</pre>"
