"""The nouns of cutting: a document while it is cut, and a run of its characters that is to become a chunk."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile

from embedstack.chunks.blocks import Block, blocks
from embedstack.chunks.chunk import Chunking
from embedstack.chunks.meter import MAX_CHARS, Meter
from embedstack.documents.document import Kind


@dataclass(frozen=True, slots=True)
class Span:
    """Characters of a text, and what is known of them."""

    start: int
    stop: int  # the one after the last
    term: str = ""  # what an entry of a glossary explains
    parent: tuple[int, int] | None = None  # characters of the passage that it is a part of
    is_torn: bool = False  # tokens alone said where it begins or ends

    def to(self, following: "Span") -> "Span":
        """Both and what stands between them, as one."""
        return replace(self, stop=following.stop, is_torn=self.is_torn or following.is_torn)


@dataclass(frozen=True)
class Page:
    """A document while it is cut."""

    text: str
    kind: Kind
    chunking: Chunking
    meter: Meter
    room: int  # tokens of the text that a chunk may have, by the meter

    @cached_property
    def blocks(self) -> list[Block]:
        """What it is made of; read when it is first asked."""
        return blocks(self.text, self.kind)

    @cached_property
    def starts(self) -> list[int]:
        """Where each block begins."""
        return [block.start for block in self.blocks]

    def headings(self, span: Span) -> tuple[str, ...]:
        """Those over all of its text; where there are none, those over the first of it."""
        first = max(0, bisect_right(self.starts, span.start) - 1)
        within = self.blocks[first : bisect_left(self.starts, span.stop)]
        paths = [block.headings for block in within if not block.level] or [block.headings for block in within]
        shared = takewhile(lambda titles: len(set(titles)) == 1, zip(*paths, strict=False))
        return tuple(titles[0] for titles in shared) or paths[0]

    @property
    def whole(self) -> Span:
        """All of it."""
        return Span(0, len(self.text))

    def size(self, span: Span) -> int:
        """Tokens of the text alone, by the meter."""
        return self.meter.tokens(span.start, span.stop)

    def fits(self, span: Span) -> bool:
        """Whether it may be one chunk, by the meter; whether it is, the model's own tokeniser says in the end."""
        return span.stop - span.start <= MAX_CHARS and self.size(span) <= self.room
