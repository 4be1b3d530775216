"""Blocks and spans that are too large -> smaller ones that fit; and small ones, put together again up to the limit."""

from collections.abc import Sequence
from dataclasses import replace

from embedstack.chunks.blocks import Block, line_starts, tiles
from embedstack.chunks.meter import MAX_CHARS
from embedstack.chunks.spans import Page, Span
from embedstack.chunks.stops import sentence_starts
from embedstack.chunks.window import torn


def broken(page: Page, blocks: Sequence[Block]) -> list[Span]:
    """Spans that fit and together are these blocks; a heading is never alone, unless nothing fits beside it."""
    made: list[Span] = []
    is_heading = False
    for block in blocks:
        parts = _parts(page, block)
        if is_heading:
            parts[0] = replace(parts[0], start=made.pop().start)
        made += parts
        is_heading = block.level > 0
    return fitting(page, made)


def _parts(page: Page, block: Block) -> list[Span]:
    """The block; one that does not fit in its items or lines, if it has such."""
    whole = Span(block.start, block.stop)
    if block.kind in ("heading", "paragraph", "quote", "rule") or page.fits(whole):
        return [whole]
    if block.kind == "list":
        return [Span(*run) for run in block.parts]
    return [Span(*run) for run in tiles(line_starts(page.text, block.start, block.stop), block.stop)]


def fitting(page: Page, spans: Sequence[Span]) -> list[Span]:
    """What does not fit in sentences, and sentences that do not fit in runs of tokens."""
    made: list[Span] = []
    for span in spans:
        made += [span] if page.fits(span) else [part for one in _sentences(page, span) for part in torn(page, one)]
    return made


def _sentences(page: Page, span: Span) -> list[Span]:
    begins = sentence_starts(page.text, span.start, span.stop)
    return [replace(span, start=start, stop=stop) for start, stop in tiles(begins, span.stop)]


def packed(page: Page, spans: Sequence[Span]) -> list[Span]:
    """Neighbours together: as few as fit, and of about one size, so that no crumb is left at the end.

    Args:
        spans: at least one; each ends where the next begins.
    """
    sizes = page.meter.sizes([*(span.start for span in spans), spans[-1].stop])
    total = sum(sizes)
    goal = max(1, total / max(1, -(-total // page.room)))
    made, now = [spans[0]], sizes[0]
    for span, size in zip(spans[1:], sizes[1:], strict=True):
        is_long = span.stop - made[-1].start > MAX_CHARS
        if now >= goal or now + size > page.room or is_long:
            made.append(span)
            now = size
        else:
            made[-1] = made[-1].to(span)
            now += size
    return made
