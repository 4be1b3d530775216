"""A page of HTML -> what a reader sees of it, and whether it is whole and needs nothing else."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

VOID = ("meta", "br")
OUTWARD = re.compile(r"<script|<link|<img|<iframe|https?:|url\(|@import| on\w+=| src=| href=")


class Parsed(HTMLParser):
    """Tags as they were opened and closed, the names of their attributes, and the cells of tables.

    Raises:
        AssertionError: one is closed that is not the last one open.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.seen: list[str] = []
        self.attributes: set[str] = set()
        self.tables: list[list[list[str]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "br":
            self.handle_data(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.stack):
            self.tables[-1][-1][-1] += data


def pictures(page: str) -> list[ElementTree.Element]:
    """Each SVG; all are well formed."""
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def text_of(page: str) -> str:
    """What a reader sees, without styles."""
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)).split())
