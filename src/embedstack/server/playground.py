"""The parts in `page/` become one HTML document that loads nothing else, and the headers that it is sent with."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "page"
STYLES = ("base.css", "parts.css", "results.css", "matrix.css")
SCRIPTS = (
    "elements.js",
    "numbers.js",
    "server.js",
    "models.js",
    "shown.js",
    "snippets.js",
    "panels.js",
    "similarity.js",
    "search.js",
    "rerank.js",
    "tokens.js",
    "compare.js",
    "metrics.js",
    "live.js",
    "start.js",
)
"""In this order: each file uses functions of those before it."""

POLICY = {
    "default-src": "'none'",
    "connect-src": "'self'",  # the server that gave the page, and nobody else
    "img-src": "data:",  # the icon
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",  # no string ever becomes markup
}


@dataclass(frozen=True, slots=True)
class Document:
    """What a browser is sent."""

    html: bytes
    headers: Mapping[str, str]


@cache
def playground() -> Document:
    """The document; read once, since the files are part of the package."""
    style = _joined(STYLES)
    script = f'(() => {{\n"use strict";\n{_joined(SCRIPTS)}}})();\n'
    html = _read("page.html").replace("{style}", style).replace("{script}", script)
    return Document(html.encode(), _headers(style, script))


def _joined(names: Sequence[str]) -> str:
    return "\n".join(_read(name) for name in names)


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _headers(style: str, script: str) -> dict[str, str]:
    policy = {**POLICY, "style-src": _hash(style), "script-src": _hash(script)}
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
        "vary": "accept",
    }


def _hash(text: str) -> str:
    """The one inline text that the browser may use, by what it holds."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
