"""A document's text, how to cut it and what counts its tokens -> its chunks, or the reason why it has none."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from embedstack.chunks import entry, paragraphs, parents, semantic, sentences, window
from embedstack.chunks.chunk import Chunk, Chunking, Ruler, Skipped, Strategy
from embedstack.chunks.index_page import is_index
from embedstack.chunks.meter import Meter
from embedstack.chunks.settling import settle
from embedstack.chunks.spans import Page, Span
from embedstack.documents.document import Json, Kind
from embedstack.errors import BadRequest

Chunker = Callable[[Page], list[Span]]
"""Spans in the order of their beginnings, which together hold everything but white space; each fits by the meter."""

CHUNKERS: Mapping[Strategy, Chunker] = {
    "semantic": semantic.spans,
    "entry": entry.spans,
    "paragraph": paragraphs.spans,
    "window": window.spans,
    "parent": parents.spans,
    "sentence": sentences.spans,
    "whole": paragraphs.whole,
}
# A word may have more tokens at the beginning of a chunk than behind a space: where one is filled to the brim, these
# keep most from being cut once more. Of small chunks they would be a large part, and there they are not kept.
SPARE, SPARE_SHARE = 2, 32
LIBRARIES = ("markdown-it-py", "tokenizers")
OVERLAPPING: tuple[Strategy, ...] = ("window", "parent")


def chunk(text: str, kind: Kind, chunking: Chunking, ruler: Ruler) -> list[Chunk]:
    """In order. The text of each is that of the document from `start` to `stop`, and has as many tokens as it says.

    Raises:
        Skipped: there is nothing in it, it is an index page that is to be left out, or it must stay whole and is too
            long.
        BadRequest: the settings do not go together, or do not suit the model; see `check`.
    """
    room = _room(chunking, ruler)
    if not text.strip():
        raise Skipped("empty", "the document holds nothing but white space; leave it out")
    if chunking.skip_index and is_index(text):
        raise Skipped("index_page", "the document is a list of links, and skip_index leaves such pages out")
    page = Page(text, kind, chunking, Meter(text, ruler), room)
    settled = settle(page, CHUNKERS[chunking.strategy](page), ruler)
    befores = [None, *(span for span, _ in settled)]
    return [
        Chunk(index, text[span.start : span.stop], span.start, span.stop, tokens, _metadata(page, span, before))
        for index, ((span, tokens), before) in enumerate(zip(settled, befores, strict=False))
    ]


def check(chunking: Chunking, ruler: Ruler) -> None:
    """Whether documents can be cut so for this model; for before the work.

    Raises:
        BadRequest: they cannot.
    """
    _room(chunking, ruler)
    least = ruler.count(["a"])[0]  # some models fill every text up
    if least > chunking.tokens:
        raise BadRequest(
            f"chunks of {chunking.tokens} tokens are too small: for this model every text has {least} or more; "
            f"ask for {least} or more"
        )


def cutter_versions() -> str:
    """Of what else decides where texts are cut: with other ones the same text and settings may become other chunks."""
    return ", ".join([*map(_installed, LIBRARIES), f"Unicode {unicodedata.unidata_version}"])


def _installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def _room(chunking: Chunking, ruler: Ruler) -> int:
    """Tokens that are left for the text of a chunk.

    Raises:
        BadRequest: see `check`.
    """
    for problem in _problems(chunking, ruler):
        raise BadRequest(problem)
    return max(1, chunking.tokens - ruler.added - min(SPARE, chunking.tokens // SPARE_SHARE))


def _problems(chunking: Chunking, ruler: Ruler) -> Iterator[str]:
    tokens, least, most_overlap = chunking.tokens, ruler.added + 1, (chunking.tokens - ruler.added) // 2
    if tokens > ruler.max_tokens:
        yield f"chunks of {tokens} tokens are too large: the model takes {ruler.max_tokens}; ask for that or less"
    if tokens < least:
        yield (
            f"chunks of {tokens} tokens leave no room: special tokens and prompt are {ruler.added} of them; "
            f"ask for {least} or more"
        )
    if chunking.overlap and chunking.strategy not in OVERLAPPING:
        yield f"chunks of the strategy {chunking.strategy!r} do not overlap; ask for an overlap of 0"
    if not 0 <= chunking.overlap <= most_overlap:
        yield (
            f"an overlap of {chunking.overlap} tokens is not between 0 and {most_overlap}, half of what a chunk has "
            "room for; ask for less, or for larger chunks"
        )
    if chunking.strategy == "parent" and chunking.parent_tokens < tokens:
        yield (
            f"parents of {chunking.parent_tokens} tokens are smaller than their children ({tokens}); "
            "ask for larger parents or smaller children"
        )


def _metadata(page: Page, span: Span, before: Span | None) -> dict[str, Json]:
    """What else is known of a chunk; the text of a parent stands with its first child alone."""
    made: dict[str, Json] = {"strategy": "window" if span.is_torn else page.chunking.strategy}
    if headings := page.headings(span):
        made["headings"] = list(headings)
    if span.term:
        made["term"] = span.term
    if span.parent:
        made |= _told(page, span.parent, is_first=before is None or before.parent != span.parent)
    return made


def _told(page: Page, parent: tuple[int, int], *, is_first: bool) -> dict[str, Json]:
    """What a child says of its parent, whose id is the same in every run; all of its text only once."""
    start, stop = parent
    text = page.text[start:stop]
    named = hashlib.sha256(f"{page.chunking.digest}\0{start}\0{text}".encode()).hexdigest()[:32]
    made: dict[str, Json] = {"parent_id": named, "parent_start": start, "parent_stop": stop}
    return {**made, "parent_text": text} if is_first else made
