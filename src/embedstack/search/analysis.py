"""A text and its language become terms: the words that count, each by its stem.

`en` stems by Snowball's English rules, `ru` words with Cyrillic letters by its Russian and all others by its English
rules, since Russian texts are full of English names; both leave stop words out. `none` does neither, for any language
with spaces between words.

A word with apostrophes is left out where it is a stop word as a whole (`don't`); else its parts are words, of which `s`
is one that is left out: `dog's` is `dog`, `O'Reilly` is `o` and `reilli`. Words of more than 64 characters are no
language's: they are terms as they are.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from itertools import chain, product
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import msgspec
from snowballstemmer.english_stemmer import EnglishStemmer
from snowballstemmer.russian_stemmer import RussianStemmer

from embedstack.errors import BadRequest
from embedstack.search.words import words

Language = Literal["en", "ru", "none"]
Rule: TypeAlias = Callable[[str], tuple[str, ...]]
"""A word -> its terms: none of a stop word, and more than one where apostrophes part it."""

VERSION = 1  # raised when the code here or in words.py changes a term
LONGEST = 64  # characters of a word that is stemmed and remembered; rules of stemmers are quadratic
REMEMBERED = 2**16  # words of each language, 15 MB; a stem takes 50 us, one that is remembered 0.1
CYRILLIC = re.compile("[\u0400-\u04ff]")
LISTS: Mapping[Language, tuple[str, ...]] = {"en": ("en",), "ru": ("en", "ru"), "none": ()}
"""Whose words count: names of files here."""


def terms(text: str, language: Language) -> list[str]:
    """In the order of the text, repeated as often as they are in it.

    May be called from several threads.

    Raises:
        BadRequest: the language is not known.
    """
    known, unknown = _remembering(language), _rule(language)
    return list(chain.from_iterable((known if len(word) <= LONGEST else unknown)(word) for word in words(text)))


@cache
def digest(language: Language) -> str:
    """32 hex digits, equal where terms are: of the code's version, the stop words, and the stems of many words.

    Another version of the stemmer gives the same digest if it gives the same stems.

    Raises:
        BadRequest: the language is not known.
    """
    rule = _rule(language)
    stems = {one: [rule(word) for word in _lists(one).probes.words()] for one in LISTS[language]}
    decides = {"version": VERSION, "language": language, "stop_words": sorted(stop_words(language)), "stems": stems}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


@cache
def stop_words(language: Language) -> frozenset[str]:
    """Words that are no terms; of `ru` also the English ones."""
    lists = [_lists(one) for one in LISTS[language]]
    return frozenset(word for one in lists for word in (*one.stop_words.split(), *one.contractions.split()))


def check_language(language: str) -> None:
    """Raises BadRequest: it is not known."""
    if language not in get_args(Language):
        raise BadRequest(f"language {language!r} is not known; take one of: {', '.join(get_args(Language))}")


@cache
def _remembering(language: Language) -> Rule:
    return lru_cache(REMEMBERED)(_rule(language))


@cache
def _rule(language: Language) -> Rule:
    check_language(language)
    return partial(_terms, language, stop_words(language))


def _terms(language: Language, left_out: frozenset[str], word: str) -> tuple[str, ...]:
    if word.rstrip("'") in left_out:  # one that is quoted ends with an apostrophe
        return ()
    parts = word.split("'")
    return tuple(_stem(part, language) for part in parts if part and part not in left_out)


def _stem(word: str, language: Language) -> str:
    """A stemmer of its own for each word: they keep what they work on, and threads may not share them."""
    if language == "none" or len(word) > LONGEST:
        return word
    is_russian = language == "ru" and CYRILLIC.search(word)
    stem: str = (RussianStemmer() if is_russian else EnglishStemmer()).stemWord(word)
    return stem


# ------------------------------------------------------------------------------------------------ en.toml and ru.toml


class _Probes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    beginnings: str
    endings: str
    others: str

    def words(self) -> list[str]:
        joined = ["".join(parts) for parts in product(self.beginnings.split(), self.endings.split())]
        return [*joined, *self.others.split()]


class _Lists(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words with white space between them."""

    stop_words: str
    probes: _Probes
    contractions: str = ""


@cache
def _lists(name: str) -> _Lists:
    return msgspec.toml.decode(Path(__file__).with_name(f"{name}.toml").read_bytes(), type=_Lists)
