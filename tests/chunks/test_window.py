"""Runs of tokens: as large as fit, with some of the one before, and no word or character torn if it can be helped."""

from itertools import pairwise

import pytest

from embedstack.chunks.chunk import Chunk, Chunking, Ruler
from embedstack.chunks.chunking import chunk
from embedstack.testing.fake import WordRuler
from support.cutting import Letters

NUMBERS = " ".join(str(number) for number in range(100))


def windows(text: str, tokens: int, overlap: int = 0, by: Ruler | None = None) -> list[Chunk]:
    chunking = Chunking(strategy="window", tokens=tokens, overlap=overlap)
    return chunk(text, "text", chunking, by or WordRuler(4096))


def test_a_window_begins_with_the_last_tokens_of_the_one_before() -> None:
    made = windows(NUMBERS, 20, 5)

    assert made[0].text.split() == [str(n) for n in range(20)]
    assert all(one.text.split()[-5:] == other.text.split()[:5] for one, other in pairwise(made))
    assert all(one.tokens == 20 for one in made[:-1])


def test_a_window_of_markdown_stands_under_headings() -> None:
    text = "# A\n\n" + "one " * 20 + "\n\n# B\n\n" + "two " * 30

    made = chunk(text, "markdown", Chunking(strategy="window", tokens=28), WordRuler())

    assert [one.metadata["headings"] for one in made] == [["A"], ["B"]]


def test_windows_without_overlap_follow_each_other() -> None:
    made = windows(NUMBERS, 30)

    assert [one.tokens for one in made] == [30, 30, 30, 10]
    assert " ".join(one.text for one in made) == NUMBERS


def test_half_of_a_window_may_be_of_the_one_before() -> None:
    made = windows(NUMBERS, 20, 10)

    assert [one.text.split()[0] for one in made] == [str(n) for n in range(0, 90, 10)]


def test_a_window_that_is_nearly_full_keeps_a_little_room() -> None:
    """A word at the beginning may be one token more than behind a space, and then all windows were cut in two."""
    made = windows("one " * 2000, 512)

    assert [one.tokens for one in made[:-1]] == [510] * 3


def test_a_window_ends_between_words_where_one_ends_nearby() -> None:
    made = windows("aaaa bbbb cccc dddd eeee", 10, by=Letters())

    assert [one.text for one in made] == ["aaaa bbbb", "cccc dddd", "eeee"]


def test_a_word_that_is_longer_than_a_window_is_cut() -> None:
    made = windows("ab " + "x" * 25, 10, by=Letters())

    assert [one.text for one in made] == ["ab xxxxxxxx", "x" * 10, "x" * 7]


@pytest.mark.parametrize("one", ["e\u0301", "👍🏽", "👩‍👩‍👧‍👦", "☺\ufe0f", "नि"])
def test_what_is_seen_as_one_character_is_not_cut(one: str) -> None:
    text = ("x" * 7 + one) * 9

    made = windows(text, 10, by=Letters())

    assert "".join(part.text for part in made) == text.strip()
    assert all(not part.text.startswith(one[1:]) for part in made)


def test_marks_without_end_are_cut_all_the_same() -> None:
    made = windows("e" + "\u0301" * 100, 10, by=Letters())

    assert [len(one.text) for one in made][:2] == [10, 10]


def test_a_text_without_spaces_fills_its_windows() -> None:
    made = windows("語" * 95, 10, by=Letters())

    assert [one.tokens for one in made] == [10] * 9 + [5]


def test_a_rest_of_white_space_is_no_window() -> None:
    assert len(windows("one two three \n\t \n", 3, 1)) == 1
