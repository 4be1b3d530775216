"""A text in any language becomes its words, in lower case and in one spelling.

In this order: Unicode's NFKC, so that `ﬁ`, `Ｆ` and `²` are `fi`, `F` and `2`; case folded, so that `ß` is `ss`; `ё` is
`е`. Characters that nobody sees (soft hyphens, joiners, variation selectors) are taken out, and so are accents that
make no letter of Unicode's with the one before them: the stress of a Russian word.

A word is of letters, digits and the marks on them; all else stands between words: hyphens, underscores, the dot in
`3.14`. Apostrophes behind the first letter are kept, always as `'`: what they mean depends on the language. Texts
without spaces (Chinese, Japanese, Thai) become words as long as a clause: they need another analyser.

Which characters are letters is asked of the Python that runs: one that Unicode 15 added is none for Python 3.10.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby

UNSEEN = re.compile(
    "[\u00ad\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]+"
)
ACCENTS = re.compile("[\u0300-\u036f\u20d0-\u20ff]+")
ODD = re.compile(
    "[\u00ad\u0130\u0300-\u036f\u0483-\u0489\u0590-\u1dff\u200c-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff"
    "\u2c00-\U0010ffff]"
)
"""Without these a text has no marks in its words, and nothing that nobody sees: Latin, Greek, Cyrillic, most signs."""
PLAIN = re.compile(r"\w[\w']*")
SIGNS = "№™℠"  # NFKC makes them letters, of "№5" the word "no5"
MOST_MARKS = 30  # in a row, as Unicode's Stream-Safe Text Format has it: https://unicode.org/reports/tr15/#UAX15-D4
HALF_WIDTH_MARKS = "\uff9e\uff9f"  # letters by category, and marks after NFKC
END_OF_MARKS = 0x20000  # beyond are ideographs, and variation selectors, which nobody sees


def words(text: str) -> list[str]:
    """In the order of the text; in time that grows with its length, whatever is in it."""
    if text.isascii():  # NFKC changes nothing, and all else is quick
        return PLAIN.findall(text.lower().replace("_", " "))
    if ODD.search(text):
        return thorough(text)
    return PLAIN.findall(_folded(text))


def thorough(text: str) -> list[str]:
    """The same for every text, at three times the cost."""
    rows, word = _patterns()
    calm = rows.sub(lambda row: row[0][:MOST_MARKS], UNSEEN.sub("", text))
    return word.findall(ACCENTS.sub("", _folded(calm)))


def _folded(text: str) -> str:
    for sign in SIGNS:
        text = text.replace(sign, " ")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.replace("ё", "е").replace("’", "'").replace("‘", "'").replace("ʼ", "'").replace("_", " ")


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Of too many marks in a row, which Python would sort in quadratic time; and of words with marks."""
    marks = "".join(f"{chr(first)}-{chr(last)}" for first, last in _marks())
    return re.compile(f"[{marks}{HALF_WIDTH_MARKS}]{{{MOST_MARKS + 1},}}"), re.compile(rf"\w[\w'{marks}]*")


def _marks() -> Iterator[tuple[int, int]]:
    """The first and the last of each row of characters of the categories Mn, Mc and Me."""
    codes = [code for code in range(END_OF_MARKS) if unicodedata.category(chr(code)).startswith("M")]
    for _, row in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]):
        members = [code for _, code in row]
        yield members[0], members[-1]
