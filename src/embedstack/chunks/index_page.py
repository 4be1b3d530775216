"""A document -> whether it is an index: a list of links to other pages and hardly anything else."""

import re
from itertools import groupby

FEWEST = 5  # lines; a short page with two links is a page
SHARE = 0.7  # of its lines, headings left out
BESIDE = 4  # words and numbers of such a line that stand in no link: a year, a page, the kind of a work
PROSE = 30  # words that follow each other in no link: somebody wrote a paragraph
# bounded, so that a line of brackets is not searched to its end from each of them
_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\](?:\([^()\n]{0,2000}\)|\[[^\[\]\n]{0,300}\])|<?https?://[^\s<>]{1,2000}>?")
_UNSEEN = re.compile(r"[ ]{0,3}(?:#{1,6}(?:\s|$)|\[[^\[\]\n]{1,300}\]:)")  # headings, and where links lead
_WORD = re.compile(r"\w+")


def is_index(text: str) -> bool:
    """By the share of its lines, of a list or table or none, that are a link and a few words beside it."""
    besides = [_beside(line) for line in text.splitlines() if not _UNSEEN.match(line)]
    written = [beside for beside in besides if beside != (False, 0)]
    linked = sum(_is_linked(beside) for beside in written)
    return linked >= max(FEWEST, SHARE * len(written)) and not _has_prose(besides)


def _beside(line: str) -> tuple[bool, int]:
    """Whether it has a link, and its words that stand in none."""
    once = _LINK.sub("", line)
    rest = _LINK.sub(" ", once)  # twice, for pictures that are links
    return rest != line, len(_WORD.findall(rest))


def _is_linked(beside: tuple[bool, int]) -> bool:
    return beside[0] and beside[1] <= BESIDE


def _has_prose(besides: list[tuple[bool, int]]) -> bool:
    """Lines that follow each other are one paragraph, where no line is empty or a link."""
    runs = groupby(besides, lambda beside: _is_linked(beside) or beside == (False, 0))
    return any(sum(words for _, words in run) >= PROSE for is_border, run in runs if not is_border)
