"""Spans that a strategy chose -> spans that the model can read, each with its tokens counted by the model's tokeniser.

A text that stands alone may have other tokens than it had in its document, so nothing is believed that was not counted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from embedstack.chunks.chunk import Ruler, Skipped
from embedstack.chunks.spans import Page, Span

SMALLER = 8  # the overlap of the halves of a chunk: this part of its tokens at most, or they would not be smaller


def settle(page: Page, spans: Sequence[Span], ruler: Ruler) -> list[tuple[Span, int]]:
    """In order, without white space around; what is over the limit is cut in two until it fits.

    Text without a token of its own, or of which the model knows none (a count of 0), is left out: nothing is in it.

    Raises:
        Skipped: nothing is left; or what must stay whole is too long.
    """
    limit = page.chunking.tokens
    settled: list[tuple[Span, int]] = []
    waiting = _with_tokens(page, list(_trimmed(page.text, spans)), ruler)
    while waiting:
        counted = _counted(page, waiting, ruler)
        settled += [(span, tokens) for span, tokens in counted if 0 < tokens <= limit]
        halves = [half for span, tokens in counted if tokens > limit for half in _halves(page, span, tokens)]
        waiting = _with_tokens(page, halves, ruler)
    if not settled:
        raise Skipped("empty", "the document holds nothing that the model knows a token of; leave it out")
    return list(_in_order(settled))


def _with_tokens(page: Page, spans: Sequence[Span], ruler: Ruler) -> list[Span]:
    """Some characters are read as nothing; but where the meter has no token, one may have begun before."""
    doubted = [span for span in spans if not page.size(span)]
    read = ruler.offsets([page.text[span.start : span.stop] for span in doubted]) if doubted else []
    without = {span for span, offsets in zip(doubted, read, strict=True) if not len(offsets)}
    return [span for span in spans if span not in without]


def _counted(page: Page, spans: Sequence[Span], ruler: Ruler) -> list[tuple[Span, int]]:
    """Each with its tokens; what the ruler says to be the same alone as in the document is not read again."""
    known = {
        span: page.size(span) + ruler.added
        for span in spans
        if ruler.adds_up and page.meter.knows(span.start, span.stop)
    }
    others = [span for span in spans if span not in known]
    counts = ruler.count([page.text[span.start : span.stop] for span in others]) if others else []
    known.update(zip(others, counts, strict=True))
    return [(span, known[span]) for span in spans]


def _halves(page: Page, span: Span, tokens: int) -> list[Span]:
    """Both are smaller than the span, also where they overlap."""
    limit, meter = page.chunking.tokens, page.meter
    if page.chunking.strategy == "whole":
        raise Skipped("too_long", f"the document has {tokens} tokens, the limit is {limit}; choose another chunker")
    if span.stop - span.start < 2:
        raise Skipped("too_long", f"one character has {tokens} tokens, the limit is {limit}; raise it")
    cut = meter.middle(span.start, span.stop)
    overlap = min(page.chunking.overlap, page.size(span) // SMALLER)
    again = meter.back(span.start, cut, overlap)
    first, second = replace(span, stop=cut), replace(span, start=again if again > span.start else cut)
    return list(_trimmed(page.text, [replace(half, is_torn=True) for half in (first, second)]))


def _in_order(settled: Iterable[tuple[Span, int]]) -> Iterator[tuple[Span, int]]:
    """Without those that stand in another one: a last one that was overlap and white space, halves of neighbours."""
    end = 0
    for span, tokens in sorted(settled, key=lambda one: (one[0].start, -one[0].stop)):
        if span.stop > end:
            yield span, tokens
            end = span.stop


def _trimmed(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    for span in spans:
        start, stop = trim(text, span.start, span.stop)
        if start < stop:
            yield span if (start, stop) == (span.start, span.stop) else replace(span, start=start, stop=stop)


def trim(text: str, start: int, stop: int) -> tuple[int, int]:
    """The same run without white space at its ends; of white space alone an empty one."""
    inside = text[start:stop]
    begin = start + len(inside) - len(inside.lstrip())
    return begin, begin + len(inside.strip())
