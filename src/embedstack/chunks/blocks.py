"""A document -> its blocks in order: headings, paragraphs, lists, tables, code; together they are all of the text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from embedstack.documents.document import Kind

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "quote", "html", "rule"]
NEWLINE = r"(?:\r\n|\r(?!\n)|\n)"  # as CommonMark has it
LINES = 1 << 15  # of Markdown that are parsed at once: what the library keeps of so many takes about 20 MB
_NEWLINE = re.compile(NEWLINE)
_BLANK = re.compile(rf"{NEWLINE}[^\S\r\n]*{NEWLINE}\s*")


@dataclass(frozen=True, slots=True)
class Block:
    """Characters of the text up to the next block, and what they are."""

    kind: BlockKind
    start: int
    stop: int
    headings: tuple[str, ...] = ()  # that it stands under; its own among them, if it is one
    level: int = 0  # of a heading
    items: tuple[int, ...] = ()  # where those of a list begin

    @property
    def parts(self) -> list[tuple[int, int]]:
        """Its items, if it is a list; else all of it."""
        return tiles([self.start, *self.items[1:]], self.stop)


def blocks(text: str, kind: Kind) -> list[Block]:
    """Of plain text the paragraphs, which empty lines part."""
    return _markdown(text) if kind == "markdown" else _paragraphs(text)


def line_starts(text: str, start: int, stop: int) -> list[int]:
    """Where each line of a run begins."""
    return [start, *(found.end() for found in _NEWLINE.finditer(text, start, stop) if found.end() < stop)]


def tiles(starts: Sequence[int], stop: int) -> list[tuple[int, int]]:
    """Runs that begin at each of these places and end where the next one begins; the last one at `stop`."""
    return [run for run in zip(starts, [*starts[1:], stop], strict=True) if run[0] < run[1]]


def _paragraphs(text: str) -> list[Block]:
    starts = [0, *(found.end() for found in _BLANK.finditer(text) if found.end() < len(text))]
    return [Block("paragraph", *run) for run in zip(starts, [*starts[1:], len(text)], strict=True)]


def _markdown(text: str) -> list[Block]:
    """Each block ends where the next one begins, so that nothing can be lost between them."""
    found = list(_under(_tops(text)))
    if not found:
        return [Block("paragraph", 0, len(text))]
    found[0] = replace(found[0], start=0)
    ends = [*(block.start for block in found[1:]), len(text)]
    return [replace(block, stop=end) for block, end in zip(found, ends, strict=True)]


def _tops(text: str) -> Iterator[Block]:
    """Blocks that stand in no other, without their ends; of a heading, its title stands in `headings`.

    So many lines are parsed at once, and where the last block of these begins it goes on: nothing that stands before
    decides how it is read. A single block of more lines is cut there.
    """
    from embedstack.chunks.markdown import parsed  # its library is an optional one

    start = 0
    while start < len(text):
        lines = [start, *(line.end() for line in islice(_NEWLINE.finditer(text, start), LINES))]
        is_last = len(lines) <= LINES or lines[-1] == len(text)
        end = len(text) if is_last else lines[-1]
        found = [
            Block(top.kind, lines[top.line], end, (top.title,), top.level, tuple(lines[line] for line in top.items))
            for top in parsed(text[start:end])
        ]
        if is_last or len(found) < 2:
            yield from found
            start = end
        else:
            yield from found[:-1]
            start = found[-1].start


def _under(tops: Iterator[Block]) -> Iterator[Block]:
    """The same with all headings above each."""
    path: list[tuple[int, str]] = []
    headings: tuple[str, ...] = ()
    for block in tops:
        if block.level:
            path = [*(above for above in path if above[0] < block.level), (block.level, block.headings[0])]
            headings = tuple(title for _, title in path if title)
        yield replace(block, headings=headings)
