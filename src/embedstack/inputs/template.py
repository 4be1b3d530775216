"""A pair and its model's template become one text; of the tokens of it, which are the document's, and which are cut."""

from collections.abc import Sequence
from dataclasses import dataclass

import tokenizers

from embedstack.inputs.pieces import Source
from embedstack.modelspec import Truncate
from embedstack.types import Piece

QUERY, DOCUMENT = "{query}", "{document}"


@dataclass(frozen=True, slots=True)
class Written:
    """A pair as a decoder reads it: in the midst of what it is asked about it."""

    read: str
    query: str
    document: str
    query_at: int  # its first character in `read`
    document_at: int

    def document_tokens(self, offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """The first token with a character of the document, and the one after the last; equal where there is none."""
        end = self.document_at + len(self.document)
        its = [place for place, (start, stop) in enumerate(offsets) if start < end and stop > self.document_at]
        return (its[0], its[-1] + 1) if its and self.document else (len(offsets), len(offsets))

    def piece(self, token_id: int, start: int, stop: int, *, is_cut: bool) -> Piece:
        """The piece of these characters; of one that begins or ends in the template, what is the caller's."""
        for text, at in ((self.query, self.query_at), (self.document, self.document_at)):
            first, end = max(start, at) - at, min(stop, at + len(text)) - at
            if first < end:
                return Piece(token_id, text[first:end], special=False, start=first, stop=end, is_cut=is_cut)
        return Piece(token_id, self.read[start:stop], special=False, is_cut=is_cut)


def fill(template: str, query: str, document: str) -> Written:
    """The template with both in their places, whatever they hold."""
    before, _, rest = template.partition(QUERY)
    between, _, after = rest.partition(DOCUMENT)
    document_at = len(before) + len(query) + len(between)
    return Written(before + query + between + document + after, query, document, len(before), document_at)


def taken(sources: tuple[Source, ...] | Written) -> str | tuple[str, str]:
    """What the tokeniser takes: a text, or two of a pair."""
    if isinstance(sources, Written):
        return sources.read
    texts = [source.read for source in sources]
    return texts[0] if len(texts) == 1 else (texts[0], texts[1])


def without(ids: Sequence[int], span: tuple[int, int], over: int, truncate: Truncate) -> list[int]:
    """All but so many tokens of the end that is cut of a span."""
    first, stop = span
    kept = ids[first + over : stop] if truncate == "left" else ids[first : stop - over]
    return [*ids[:first], *kept, *ids[stop:]]


def written_pieces(encoding: tokenizers.Encoding, pair: Written, limit: int, truncate: Truncate) -> tuple[Piece, ...]:
    """Every token in order, each with its place in the text that it is of."""
    first, stop = pair.document_tokens(encoding.offsets)
    stay = set(without(range(len(encoding.ids)), (first, stop), min(stop - first, _over(encoding, limit)), truncate))
    read = enumerate(zip(encoding.ids, encoding.offsets, strict=True))
    return tuple(pair.piece(token_id, *span, is_cut=place not in stay) for place, (token_id, span) in read)


def _over(encoding: tokenizers.Encoding, limit: int) -> int:
    return max(0, len(encoding.ids) - limit)
