"""A tokeniser's encoding and the texts that it was made of become pieces, each with its place in the caller's text."""

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tokenizers

from embedstack.modelspec import Truncate
from embedstack.types import Ints, Piece


@dataclass(frozen=True)
class Source:
    """What a caller sent and what the tokeniser read of it: the prompt in front, and all of it without punctuation or
    with; without, in lower case or not. The tokeniser itself lowers all others."""

    text: str
    prompt: str = ""
    is_canonical: bool = False
    is_lowered: bool = False

    @property
    def read(self) -> str:
        """What the tokeniser reads, and counts its characters in."""
        if self.is_canonical:
            return "".join(character for character, _ in self._canonical)
        return self._whole

    @property
    def _whole(self) -> str:
        return self.prompt + self.text

    @cached_property
    def _origins(self) -> Sequence[int]:
        """For each character that was read, the one that it was made of."""
        return [place for _, place in self._canonical] if self.is_canonical else range(len(self._whole))

    @property
    def _lowered(self) -> Iterator[tuple[int, str]]:
        """Each character and where it is from: a few become two. Which sigma one becomes, the whole text says."""
        if not self.is_lowered:
            return iter(enumerate(self._whole))
        places = (place for place, character in enumerate(self._whole) for _ in character.lower())
        return zip(places, self._whole.lower(), strict=True)

    @cached_property
    def _canonical(self) -> list[tuple[str, int]]:
        """Characters and where they are from, without punctuation, and with one space for each run of white space.

        Source: `SiglipTokenizer.canonicalize_text` of transformers 5.23.
        """
        kept: list[tuple[str, int]] = []
        for place, character in self._lowered:
            if character in string.punctuation:
                continue
            if not character.isspace():
                kept.append((character, place))
            elif kept and kept[-1][0] != " ":
                kept.append((" ", place))
        return kept[:-1] if kept and kept[-1][0] == " " else kept

    def places(self, offsets: Sequence[tuple[int, int]]) -> Ints:
        """(tokens, 2) in the text for these in `read`, where there is no prompt."""
        read = np.array(offsets, np.int32).reshape(-1, 2)
        if not self.is_canonical:
            return read
        origins = np.array([*self._origins, len(self.text)], np.int32)
        ends = origins[np.maximum(read[:, 1] - 1, 0)] + (read[:, 1] > read[:, 0])
        return np.stack([origins[read[:, 0]], np.maximum(ends, origins[read[:, 0]])], axis=1).astype(np.int32)

    def piece(self, token_id: int, start: int, stop: int, *, is_cut: bool) -> Piece:
        """The piece of these characters of `read`; of one that begins in the prompt, what is the caller's."""
        if start == stop:
            return Piece(token_id, "", special=False, is_cut=is_cut)
        start, stop = self._origins[start], self._origins[stop - 1] + 1
        begin = len(self.prompt)
        if stop <= begin:
            return Piece(token_id, self.prompt[start:stop], special=False, is_cut=is_cut)
        start, stop = max(0, start - begin), stop - begin
        return Piece(token_id, self.text[start:stop], special=False, start=start, stop=stop, is_cut=is_cut)


def pieces(
    encoding: tokenizers.Encoding, sources: Sequence[Source], keeps: Sequence[int], truncate: Truncate
) -> tuple[Piece, ...]:
    """Every token in order, special ones by their name.

    Args:
        encoding: whole, with offsets in characters.
        sources: of a text one, of a pair two.
        keeps: how many tokens of each source stay.
        truncate: which end of each the others are cut from.
    """
    counts = lengths(encoding, len(sources))
    firsts = [count - keep if truncate == "left" else 0 for count, keep in zip(counts, keeps, strict=True)]
    seen = [0] * len(sources)
    made: list[Piece] = []
    spans = zip(encoding.offsets, encoding.sequence_ids, strict=True)
    names = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, strict=True)
    for (token_id, token, is_special), ((start, stop), number) in zip(names, spans, strict=True):
        if is_special or number is None:
            made.append(Piece(token_id, token, special=True))
            continue
        is_cut = not firsts[number] <= seen[number] < firsts[number] + keeps[number]
        seen[number] += 1
        made.append(sources[number].piece(token_id, start, stop, is_cut=is_cut))
    return tuple(made)


def lengths(encoding: tokenizers.Encoding, sources: int) -> list[int]:
    """Tokens of each source, without the special ones around."""
    told = zip(encoding.sequence_ids, encoding.special_tokens_mask, strict=True)
    numbers = [number for number, is_special in told if not is_special]
    return [numbers.count(source) for source in range(sources)]


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each of a pair stay: the longer is cut first.

    Source: `TruncationStrategy::LongestFirst` of the tokenizers library, which transformers and TEI use.
    """
    if first + second <= room:
        return first, second
    half = room // 2
    if first <= half:
        return first, room - first
    if second <= half:
        return room - second, second
    return (room - half, half) if first > second else (half, room - half)
