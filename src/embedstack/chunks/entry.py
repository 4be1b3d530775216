"""A glossary -> one chunk for each of its entries, with the term that it explains.

An entry begins with a term in bold, or with a line that `: ` follows on the next one; or with a heading, where as many
stand at one level; in plain text with a term before a colon or a dash. What has no entries is cut as `semantic` cuts.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from embedstack.chunks import semantic
from embedstack.chunks.blocks import Block, tiles
from embedstack.chunks.breaking import fitting, packed
from embedstack.chunks.spans import Page, Span

FEWEST = 2  # one word in bold is no glossary
_BOLD = re.compile(r"\s{0,8}(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(\*\*|__)(?P<term>[^\n*_]{1,200})\1")
_DEFINED = re.compile(r"\s{0,8}(?P<term>[^\r\n]{1,200}?)[ \t]{0,8}(?:\r\n|\r|\n)[ ]{0,3}:[ \t]+\S")
_PLAIN = re.compile(r"\s{0,8}(?P<term>[^\r\n:—–.!?]{1,80}?)(?::|[ \t][—–-])[ \t]+\S")
_LETTER = re.compile(r"\w(?:\W{1,3}\w)?")  # a heading that parts a glossary: A, or A - C

Terms = Callable[[Block, int], str]
"""The term of an entry that begins there, or nothing."""


def spans(page: Page) -> list[Span]:
    """What stands before the first entry, or under a heading and is none, is a chunk of its own without a term."""
    marks = _marks(page)
    if sum(bool(term) for _, term in marks) < FEWEST:
        return semantic.spans(page)
    runs = tiles([start for start, _ in marks], len(page.text))
    wholes = (Span(*run, term) for run, (_, term) in zip(runs, marks, strict=True))
    return [span for whole in wholes for span in _fitted(page, whole)]


def _fitted(page: Page, whole: Span) -> list[Span]:
    """All of it, or cut at the blocks within it."""
    if page.fits(whole):
        return [whole]
    within = page.starts[bisect_right(page.starts, whole.start) : bisect_left(page.starts, whole.stop)]
    cut = [replace(whole, start=start, stop=stop) for start, stop in tiles([whole.start, *within], whole.stop)]
    return packed(page, fitting(page, cut))


def _marks(page: Page) -> list[tuple[int, str]]:
    """Where entries begin and the term of each; without one, where something begins that is no entry."""
    if page.kind == "text":
        return list(_by(page.blocks, _written(page.text, _PLAIN)))
    level = _level(page.blocks)
    written = list(_by(page.blocks, _written(page.text, _BOLD, _DEFINED)))
    headed = list(_by(page.blocks, lambda block, _: _title(block, level), level))
    return max(headed, written, key=lambda marks: sum(bool(term) for _, term in marks))


def _level(blocks: Sequence[Block]) -> int:
    """Of most headings, the deepest of such."""
    counted = Counter(block.level for block in blocks if block.level)
    return max(counted, key=lambda level: (counted[level], level), default=0)


def _title(block: Block, level: int) -> str:
    if not level or block.level != level or not block.headings or _LETTER.fullmatch(block.headings[-1]):
        return ""
    return block.headings[-1]


def _written(text: str, *rules: "re.Pattern[str]") -> Terms:
    def term(block: Block, start: int) -> str:
        if block.kind not in ("paragraph", "list"):
            return ""
        found = (match["term"] for rule in rules if (match := rule.match(text, start, block.stop)))
        return next(found, "").strip().rstrip(":").strip()

    return term


def _by(blocks: Sequence[Block], term_of: Terms, deepest: int = 6) -> Iterator[tuple[int, str]]:
    """A heading ends the entry before it, unless it is deeper than that. Those right before an entry go with it."""
    heading: int | None = 0  # where those begin, or the text itself, under which nothing stands yet
    for block in blocks:
        for start, _ in block.parts:
            if term := term_of(block, start):
                yield start if heading is None else heading, term
                heading = None
            elif 0 < block.level <= deepest:
                heading = start if heading is None else heading
            elif heading is not None:
                yield heading, ""
                heading = None
    if heading is not None:
        yield heading, ""
