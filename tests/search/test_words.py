"""Texts of all scripts, and those that somebody made to break this."""

import sys
import time
import unicodedata
from itertools import product
from string import punctuation

import pytest

from embedstack.search.words import END_OF_MARKS, ODD, UNSEEN, thorough, words


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hello, WORLD!", ["hello", "world"]),
        ("state-of-the-art snake_case", ["state", "of", "the", "art", "snake", "case"]),
        ("3.14 и 1,000", ["3", "14", "и", "1", "000"]),
        ("covid19 GPT-4", ["covid19", "gpt", "4"]),
        ("don't DON’T donʼt", ["don't"] * 3),
        ("'quoted' rock'n'roll dogs' x", ["quoted'", "rock'n'roll", "dogs'", "x"]),
        ("Ёлка ёлка е\u0308лка", ["елка"] * 3),
        ("ﬁne Ｆｕｌｌ x² ½", ["fine", "full", "x2", "1", "2"]),
        ("№5 Apple™ ㎞", ["5", "apple", "km"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("café cafe\u0301 CAFÉ", ["café"] * 3),
        ("за\u0301мок й и\u0306", ["замок", "й", "й"]),
        ("İstanbul", ["istanbul"]),
        ("soft\u00adhyphen zero\u200dwidth\ufeff", ["softhyphen", "zerowidth"]),
        ("two\u200bwords", ["two", "words"]),
        ("❤️ 1️⃣ 🇩🇪", ["1"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("שָׁלוֹם עולם", ["שָׁלוֹם", "עולם"]),
        ("ΌΣΟΣ", ["όσοσ"]),
    ],
)
def test_words_are_letters_digits_and_marks_in_one_spelling(text: str, wanted: list[str]) -> None:
    assert words(text) == [unicodedata.normalize("NFKC", word) for word in wanted]


def test_the_quick_way_gives_what_the_thorough_gives() -> None:
    quick = [chr(code) for code in range(0x3000) if not ODD.search(chr(code))]

    different = [one for one in quick if words(f"Ab{one}c {one}d{one}") != thorough(f"Ab{one}c {one}d{one}")]

    assert len(quick) > 4000
    assert different == []


def test_words_of_words_are_the_same_words() -> None:
    letters = [chr(code) for code in range(0x3000) if chr(code).isalnum()]
    found = [words(f"a{one}b{one}") for one in letters]

    assert [words(" ".join(once)) for once in found] == found


@pytest.mark.slow
def test_marks_beyond_those_that_are_looked_at_are_not_seen() -> None:
    beyond = [
        chr(code) for code in range(END_OF_MARKS, sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "M"
    ]

    assert UNSEEN.sub("", "".join(beyond)) == ""


@pytest.mark.parametrize(
    "text", ["", " \n\t", punctuation, "\0" * 9, "\ud800\udfff\udead", "—…«»№€™→", "_", "'", "\u0301"]
)
def test_a_text_without_words_has_none(text: str) -> None:
    assert words(text) == []


def test_what_is_no_character_parts_words() -> None:
    assert words("a\0b\ud800c") == ["a", "b", "c"]


UNITS = [
    "a", "a'", "ж", "!", "\0", "\ud800", "_", "a\u0301\u0327", "\u0301\u0327", "\u0327\u0301\u00ad", "\uff9e\u0301",
    "\u0301\u034f\u0327", "\u1100\u1161", "\ufdfa", "\u0345", "ﬃ",
]  # fmt: skip


def _seconds(text: str) -> float:
    started = time.process_time()
    words(text)
    return time.process_time() - started


@pytest.mark.parametrize("unit", UNITS)
def test_four_times_the_text_takes_no_sixteen_times_as_long(unit: str) -> None:
    words("ȩ́ warm")
    small, large = (min(_seconds(unit * count) for _ in range(3)) for count in (2_000, 8_000))

    assert large < 10 * small + 0.02


def test_marks_beyond_thirty_in_a_row_are_left_out() -> None:
    (word,) = words("я" + "\u0488" * 100)

    assert len(word) == 31


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "count"), [("a" * 10**7, 1), ("a'" * 5 * 10**6, 1), ("?" * 10**7, 0), ("ж" * 10**7, 1)]
)
def test_ten_million_characters_are_read_in_seconds(text: str, count: int) -> None:
    assert _seconds(text) < 20
    assert len(words(text)) == count


def test_words_come_apart_wherever_something_else_stands() -> None:
    for left, between, right in product(
        ("a", "ж", "9"), punctuation.replace("'", "") + " \u00a0\u2003\u200b", ("b", "я")
    ):
        assert words(f"{left}{between}{right}") == [left, right]
