"""A document -> one chunk for each sentence; of Markdown, code and tables stay whole if they fit."""

from collections.abc import Iterator

from embedstack.chunks.blocks import Block, tiles
from embedstack.chunks.breaking import fitting
from embedstack.chunks.spans import Page, Span
from embedstack.chunks.stops import sentence_starts

PROSE = ("paragraph", "list", "quote")


def spans(page: Page) -> list[Span]:
    """A heading and an item of a list end a sentence, too."""
    return fitting(page, [Span(*run) for block in page.blocks for run in _sentences(page.text, block)])


def _sentences(text: str, block: Block) -> Iterator[tuple[int, int]]:
    for start, stop in block.parts:
        yield from tiles(sentence_starts(text, start, stop), stop) if block.kind in PROSE else [(start, stop)]
