"""A document -> chunks that follow its sections: cut at headings, deep ones put together first, up to the limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from embedstack.chunks.blocks import Block, tiles
from embedstack.chunks.breaking import broken, packed
from embedstack.chunks.spans import Page, Span

SMALL = 2  # a chunk below this part of the room takes the next one in, if it fits
CRUMB = 4  # one at the end below this part goes with the one before, if it fits


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, or several of which the first ones have no text of their own, and what stands under the last."""

    level: int  # of the highest; 0 for what stands before all headings
    blocks: tuple[Block, ...]


def spans(page: Page) -> list[Span]:
    """A document without headings is one section."""
    return _of(page, list(_sections(page.blocks)))


def _sections(blocks: Sequence[Block]) -> Iterator[Section]:
    """In the order of the text."""
    level, held, has_text = 0, list[Block](), False
    for block in blocks:
        goes_down = not held or block.level > held[-1].level > 0
        if block.level and held and (has_text or not goes_down):
            yield Section(level, tuple(held))
            held, has_text = [], False
        if not held:
            level = block.level
        held.append(block)
        has_text = has_text or not block.level
    if held:
        yield Section(level, tuple(held))


def _of(page: Page, run: Sequence[Section]) -> list[Span]:
    """One if all of it fits; else its parts, and parts that stay small together with their neighbours."""
    whole = Span(run[0].blocks[0].start, run[-1].blocks[-1].stop)
    if page.fits(whole):
        return [whole]
    if len(run) == 1:
        return packed(page, broken(page, run[0].blocks))
    return _merged(page, [span for group in _groups(run) for span in _of(page, group)])


def _groups(run: Sequence[Section]) -> Iterator[Sequence[Section]]:
    """Two or more: each begins at one of the highest headings behind the first section."""
    top = min(section.level for section in run[1:])
    starts = [0, *(number for number, section in enumerate(run) if number and section.level == top)]
    return (run[start:stop] for start, stop in tiles(starts, len(run)))


def _merged(page: Page, spans: Sequence[Span]) -> list[Span]:
    made = [spans[0]]
    for number, span in enumerate(spans[1:], 2):
        is_crumb = number == len(spans) and page.size(span) < page.room // CRUMB
        both = made[-1].to(span)
        if (is_crumb or page.size(made[-1]) < page.room // SMALL) and page.fits(both):
            made[-1] = both
        else:
            made.append(span)
    return made
