"""A text -> where its tokens begin, so that any run of its characters can be measured and cut without tokenising again.

The text is read once, in slices. What stands at the ends of a slice or of a chunk may be read otherwise when it stands
alone, so these numbers only guide the cutting: `settling.py` counts every chunk before it is believed.
"""

from functools import cached_property
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from embedstack.chunks.chunk import Ruler

MAX_CHARS = 100_000  # of one chunk: many tokenisers read a word of any length as one unknown token
SLICE = 1 << 15  # characters: enough of them keep all cores busy with one document, and few tokens stand at their ends
LOOK_BACK = 4  # a cut moves to a word's border by this part of a chunk at most; some languages have no spaces
LONGEST_CHARACTER = 32  # code points that are kept together: the longest emoji have about ten
SPACES = ("", " ", "\n", "\r", "\t")  # that every tokeniser takes for white space, and the ends of a text
JOINER = "\u200d"  # joins two emoji into one
SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


class Meter:
    """Of one text; reads it when it is first asked."""

    def __init__(self, text: str, ruler: Ruler) -> None:
        self._text = text
        self._ruler = ruler

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The first character of each token, rising; several tokens may begin at one."""
        ends = _slices(self._text)
        read = self._ruler.offsets([self._text[start:stop] for start, stop in ends])
        # of the type that numbers are looked up as: an array of another one would be copied for each
        starts = [spans[:, 0].astype(np.int64) + start for spans, (start, _) in zip(read, ends, strict=True)]
        return np.maximum.accumulate(np.concatenate(starts))

    def knows(self, start: int, stop: int) -> bool:
        """Whether this stands between two spaces, and is not longer than a chunk may be."""
        before, behind = self._text[max(0, start - 1) : start], self._text[stop : stop + 1]
        return self._is_sound and before in SPACES and behind in SPACES and stop - start <= MAX_CHARS

    @cached_property
    def _is_sound(self) -> bool:
        """Whether no word was read in two slices."""
        return all(self._text[start] in SPACES for start, _ in _slices(self._text)[1:])

    def tokens(self, start: int, stop: int) -> int:
        """How many begin there."""
        first, last = self._starts.searchsorted((start, stop))
        return int(last - first)

    def sizes(self, places: list[int]) -> list[int]:
        """Tokens between each place and the next one."""
        found: list[int] = np.diff(self._starts.searchsorted(places)).tolist()
        return found

    def reach(self, start: int, stop: int, tokens: int) -> int:
        """Where a run from `start` ends that has at most so many tokens, at a word's border if one is near.

        Always behind `start`: a character may be more than one token, and is never cut.
        """
        left_out = int(self._starts.searchsorted(start)) + tokens
        end = min(stop, start + MAX_CHARS)
        if left_out < len(self._starts):
            end = min(end, int(self._starts[left_out]))
        return stop if end >= stop else _border(self._text, start, max(end, start + 1))

    def back(self, start: int, stop: int, tokens: int) -> int:
        """Where the last tokens before `stop` begin, so many at most: at a word's beginning if one is near."""
        if not tokens:
            return stop
        first = int(self._starts.searchsorted(stop)) - tokens
        at = max(start, int(self._starts[first])) if first >= 0 else start
        return _beginning(self._text, at, stop)

    def middle(self, start: int, stop: int) -> int:
        """A place that cuts at least two characters in two runs, equal in tokens if there are some."""
        tokens = self.tokens(start, stop)
        if tokens > 1:
            return self.reach(start, stop, (tokens + 1) // 2)
        return _border(self._text, start, (start + stop) // 2)


def _slices(text: str) -> list[tuple[int, int]]:
    """Ended before white space where there is some; a space begins a word for many tokenisers."""
    cuts = [0]
    while len(text) - cuts[-1] > SLICE:
        end = cuts[-1] + SLICE
        near = end - SLICE // 8
        white = max(text.rfind(" ", near, end), text.rfind("\n", near, end))
        cuts.append(white if white > 0 else end)
    return list(zip(cuts, [*cuts[1:], len(text)], strict=True))


def _border(text: str, start: int, end: int) -> int:
    """The last word's border up to there if one is near, else the last place between two characters; above `start`."""
    lowest = end - max(1, (end - start) // LOOK_BACK)
    white = (at for at in range(end, lowest, -1) if text[at - 1].isspace() or text[at].isspace())
    at = next(white, end)
    return _between(text, start, at)


def _between(text: str, start: int, end: int) -> int:
    """Nothing that is seen as one character is cut, unless it is longer than characters are."""
    lowest = max(start, end - LONGEST_CHARACTER)
    return next((at for at in range(end, lowest, -1) if not _is_joined(text, at)), end)


def _is_joined(text: str, at: int) -> bool:
    """Whether the code points on both sides make one character."""
    before, after = text[at - 1], text[at]
    return JOINER in (before, after) or after in SKIN_TONES or category(after).startswith("M")


def _beginning(text: str, at: int, stop: int) -> int:
    """The first word's beginning from there on if one is near, else the first place between two characters."""
    highest = at + (stop - at) // LOOK_BACK
    words = (n for n in range(max(at, 1), highest + 1) if text[n - 1].isspace() and not text[n : n + 1].isspace())
    found = next(words, at)
    nexts = (n for n in range(found, min(stop, found + LONGEST_CHARACTER)) if n == 0 or not _is_joined(text, n))
    return next(nexts, found)
