"""A document -> clusters of its paragraphs, as many as fit; or all of it, whatever it is made of."""

from embedstack.chunks.breaking import broken, packed
from embedstack.chunks.spans import Page, Span


def spans(page: Page) -> list[Span]:
    """Of about one size; headings, lists and tables are paragraphs, too, and a new section may begin within one."""
    return packed(page, broken(page, page.blocks))


def whole(page: Page) -> list[Span]:
    """One; what is over the limit is refused when its tokens are counted."""
    return [page.whole]
