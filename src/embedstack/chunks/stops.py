"""A run of a text -> where its sentences begin, by rules for English, Russian and scripts with stops of their own."""

import re

from embedstack.chunks.blocks import NEWLINE

# A run of stops with what closes behind it, and then white space; stops that need none behind; or an empty line. The
# look behind has each run tried once.
_END = re.compile(
    r"(?<![.!?…])[.!?…]+[\"'»”’)\]*_]*(?=\s)"
    r"|[。！？｡؟।॥]+[」』”’）)]*"
    rf"|{NEWLINE}[^\S\r\n]*{NEWLINE}"
)
_WIDE_STOPS = "。！？｡؟।॥"
_WORD = re.compile(r"\w")
_BLACK = re.compile(r"\S")
_APART = re.compile(r"[\s(\[\"'«“‘/]")
_INITIALS = re.compile(r"(?:\w\.)*\w")  # A. S. Pushkin, U.S., т.е.
_LONGEST_WORD = 16  # characters before a stop that are looked at
# what stands before a stop without ending a sentence, in lower case
_SHORT = frozenset((
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "etc", "cf", "al", "nos", "vol", "fig", "figs", "eq",
    "eqs", "sec", "ch", "ed", "eds", "pp", "approx", "dept", "est", "inc", "ltd", "co", "corp", "gen", "col", "lt",
    "capt", "sgt", "rev", "hon", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
    "гг", "вв", "см", "ср", "ул", "пр", "пл", "просп", "др", "проф", "акад", "доц", "тыс", "млн", "млрд", "трлн",
    "руб", "коп", "рис", "табл", "гл", "стр", "тел", "обл", "мин", "сек", "ред", "изд", "напр", "тов", "гр", "гос",
    "св", "янв", "февр", "апр", "авг", "сент", "окт", "нояб", "дек",
))  # fmt: skip


def sentence_starts(text: str, start: int, stop: int) -> list[int]:
    """The first is `start`. What holds neither letter nor digit goes with the sentence after it, at the end before."""
    found = [start]
    wordless = at = start  # where what was seen of this sentence without a word ends; where the next stop is looked for
    while end := _END.search(text, at, stop):
        black = _BLACK.search(text, end.end(), stop)
        if black is None:
            break
        at = end.end()
        if not _is_end(text, start, end, black.start()):
            continue
        at = black.start()
        if _WORD.search(text, wordless, end.end()):
            found.append(at)
        wordless = at
    if len(found) > 1 and not _WORD.search(text, found[-1], stop):
        found.pop()
    return found


def _is_end(text: str, start: int, end: "re.Match[str]", behind: int) -> bool:
    """Whether a sentence ends with this; `behind` is the first character of what follows."""
    stops = end[0]
    if stops[0] in "\r\n" or stops[0] in _WIDE_STOPS:
        return True
    if text[behind].islower():
        return False
    is_one = stops[0] == "." and stops[1:2] not in (".", "!", "?", "…")
    return not (is_one and _is_short(text, start, end.start()))


def _is_short(text: str, start: int, stop: int) -> bool:
    """Whether the word before a stop is an abbreviation, an initial, or the number of an item."""
    word = _APART.split(text[max(start, stop - _LONGEST_WORD) : stop])[-1]
    if word.isdecimal():
        return _begins_line(text, start, stop - len(word))
    return word.lower() in _SHORT or bool(_INITIALS.fullmatch(word))


def _begins_line(text: str, start: int, at: int) -> bool:
    before = text[max(start, at - _LONGEST_WORD) : at].rstrip(" \t")
    return before[-1:] in ("", "\n", "\r")
