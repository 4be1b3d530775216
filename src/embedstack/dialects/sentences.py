"""A text and its sentences, in any order -> where each of them stands in it, to the character; pure.

White space counts as white space, however much of it and of whichever kind. A sentence that is not there is an error:
no place is guessed.
"""

import re
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from embedstack.dialects.wire import Misfit

WORD = re.compile(r"\S+")
Place = tuple[int, int]  # the first character, and the one after the last


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text, and the number of the sentence that it is; None: what stands between."""

    text: str
    sentence: int | None


def parts_of(text: str, sentences: Sequence[str], name: str, before: int = 0) -> list[Part]:
    """The text in parts, which together are all of it: the sentences, and what stands before, between and behind them.

    White space alone, which may have no token of its own, goes with the part before it, or with the first one.

    Args:
        sentences: at least one.
        name: the field of the body that held them.
        before: characters of the text in which no sentence is looked for.
    Raises:
        Misfit: a sentence is empty, is not in the text, or only where another one stands.
    """
    places = _places(text, sentences, name, before)
    parts: list[Part] = []
    end = 0
    for number in sorted(range(len(sentences)), key=places.__getitem__):
        start, stop = places[number]
        parts = _with_gap(parts, text[end:start])
        parts.append(Part(text[start if parts else end : stop], number))
        end = stop
    return _with_gap(parts, text[end:])


def _with_gap(parts: list[Part], gap: str) -> list[Part]:
    if gap.strip():
        return [*parts, Part(gap, None)]
    return [*parts[:-1], replace(parts[-1], text=parts[-1].text + gap)] if parts and gap else parts


def _places(text: str, sentences: Sequence[str], name: str, before: int) -> list[Place]:
    wanted = [" ".join(one.split()) for one in sentences]
    if "" in wanted:
        raise Misfit(f"{name} {wanted.index('')} is empty; send its words or leave it out", name)
    words = list(WORD.finditer(text, before))
    plain = " ".join(word[0] for word in words)
    starts = list(accumulate((len(word[0]) + 1 for word in words), initial=0))  # of the words in `plain`

    def origin(at: int) -> int:
        word = bisect_right(starts, at) - 1
        return words[word].start() + at - starts[word]

    found = _in_order(plain, wanted) or _anywhere(plain, wanted, name)
    return [(origin(start), origin(stop - 1) + 1) for start, stop in found]


def _in_order(text: str, wanted: Sequence[str]) -> list[Place]:
    """Each behind the one before; none at all where one is not."""
    found: list[Place] = []
    end = 0
    for one in wanted:
        start = text.find(one, end)
        if start < 0:
            return []
        end = start + len(one)
        found.append((start, end))
    return found


def _anywhere(text: str, wanted: Sequence[str], name: str) -> list[Place]:
    """The longest first, so that none takes the place of one that it is a part of; the same again stands later."""
    found: dict[int, Place] = {}
    taken: list[Place] = []
    searched: dict[str, int] = {}  # up to where, for a text that comes again
    for number in sorted(range(len(wanted)), key=lambda number: -len(wanted[number])):
        one = wanted[number]
        place = _free(text, one, taken, searched.get(one, 0))
        if place is None:
            why = "stands only where others stand" if one in text else "is not in the text"
            raise Misfit(f"{name} {number} {why}; send each sentence as it is there, and each place once", name)
        insort(taken, place)
        found[number], searched[one] = place, place[1]
    return [found[number] for number in range(len(wanted))]


def _free(text: str, one: str, taken: Sequence[Place], first: int) -> Place | None:
    """The first place from there on where nothing else stands."""
    start = text.find(one, first)
    while start >= 0:
        stop = start + len(one)
        near = bisect_right(taken, (start, len(text)))  # those before it begin here at the latest
        behind = taken[near - 1][1] if near else 0
        if behind <= start and (near == len(taken) or taken[near][0] >= stop):
            return start, stop
        start = text.find(one, behind if behind > start else taken[near][1])
    return None
