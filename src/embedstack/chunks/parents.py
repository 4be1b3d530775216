"""A document -> small chunks to search by, each a part of a larger passage that is handed to who reads the result."""

from dataclasses import replace

from embedstack.chunks import semantic
from embedstack.chunks.settling import trim
from embedstack.chunks.spans import Page, Span
from embedstack.chunks.stops import sentence_starts
from embedstack.chunks.window import windows


def spans(page: Page) -> list[Span]:
    """Children with their overlap, within parents that are cut as `semantic` cuts."""
    wide = replace(page, room=page.chunking.parent_tokens)
    return [child for parent in semantic.spans(wide) for child in _children(page, parent)]


def _children(page: Page, parent: Span) -> list[Span]:
    """They end before a sentence where one begins nearby."""
    start, stop = trim(page.text, parent.start, parent.stop)
    if start == stop:
        return []
    return windows(page, Span(start, stop, parent=(start, stop)), sentence_starts(page.text, start, stop))
