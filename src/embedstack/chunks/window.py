"""A document -> runs of as many tokens as fit, with some of the run before in each; or a span -> runs without."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from embedstack.chunks.meter import MAX_CHARS
from embedstack.chunks.spans import Page, Span

LOOK_BACK = 4  # a run may end before its last sentence if that begins in this part of it


def spans(page: Page) -> list[Span]:
    """As large as may be, each with the last `overlap` tokens of the one before."""
    return windows(page, page.whole)


def windows(page: Page, span: Span, sentences: Sequence[int] = ()) -> list[Span]:
    """The same of a part of the document.

    Args:
        sentences: where they begin, if a run should rather end before one.
    """
    made: list[Span] = []
    at = before = span.start
    while True:
        end = page.meter.reach(at, span.stop, page.room)
        if end < span.stop:
            end = _rather(sentences, max(before, end - (end - at) // LOOK_BACK), end)
        made.append(replace(span, start=at, stop=end))
        if end >= span.stop:
            return made
        at, before = _following(page, made[-1], span.stop), end


def _rather(sentences: Sequence[int], least: int, end: int) -> int:
    """The beginning of the last sentence above `least` and up to `end`; `end` if there is none."""
    last = bisect_right(sentences, end)
    return sentences[last - 1] if last and sentences[last - 1] > least else end


def _following(page: Page, before: Span, stop: int) -> int:
    """Where the next one begins: only so far back that it ends behind the one before."""
    at = page.meter.back(before.start, before.stop, page.chunking.overlap)
    goes_on = at > before.start and page.meter.reach(at, stop, page.room) > before.stop
    return at if goes_on else before.stop


def torn(page: Page, span: Span) -> list[Span]:
    """As few as fit and all of about one size, without overlap."""
    made: list[Span] = []
    while not page.fits(span):
        size = page.size(span)
        parts = max(2, -(-size // page.room), -(-(span.stop - span.start) // MAX_CHARS))
        end = page.meter.reach(span.start, span.stop, -(-size // parts))
        if end >= span.stop:
            break  # one character that is more tokens than fit; whether it truly is, the count will say
        made.append(replace(span, stop=end, is_torn=True))
        span = replace(span, start=end, is_torn=True)
    return [*made, span]
