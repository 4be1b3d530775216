"""An HTML page -> its text as Markdown, and what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedstack.documents.document import Json
from embedstack.documents.html_blocks import Blocks
from embedstack.documents.html_effort import check_effort
from embedstack.documents.html_inline import one_line
from embedstack.documents.optional import not_installed

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

META: dict[str, str] = {  # names in the page -> ours, those of Markdown's front matter
    "author": "author",
    "article:author": "author",
    "dc.creator": "author",
    "date": "date",
    "article:published_time": "date",
    "dc.date": "date",
    "dcterms.date": "date",
    "description": "description",
    "og:description": "description",
    "keywords": "keywords",
    "language": "language",
    "og:url": "source_url",
    "og:title": "title",
}


def page(html: str) -> tuple[str, dict[str, Json]]:
    """Text and metadata. Headings, lists, tables and code keep their form; scripts, styles and menus are left out.

    Raises:
        Unfit: its tree would be larger than can be held.
    """
    check_effort(html)
    tree = _parsed(html)
    body = tree.body
    text = Blocks().text_of(body) if body is not None else ""
    return text, _metadata(tree)


def _parsed(html: str) -> LexborHTMLParser:
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as error:
        raise not_installed("reading HTML", error) from error
    return LexborHTMLParser(html)


def _metadata(tree: LexborHTMLParser) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in _said(tree):
        text = one_line(value or "")
        if text:
            found.setdefault(name, text)
    return found


def _said(tree: LexborHTMLParser) -> list[tuple[str, str | None]]:
    """What is said first counts."""
    said: list[tuple[str, str | None]] = []
    title = tree.css_first("head title")
    if title is not None:
        said.append(("title", title.text()))
    root = tree.css_first("html")
    if root is not None:
        said.append(("language", root.attributes.get("lang")))
    said.extend(("source_url", link.attributes.get("href")) for link in tree.css('link[rel="canonical"]'))
    said.extend(
        (META[name], meta.attributes.get("content")) for meta in tree.css("meta") if (name := _name(meta)) in META
    )
    return said


def _name(meta: LexborNode) -> str:
    return (meta.attributes.get("name") or meta.attributes.get("property") or "").lower()
