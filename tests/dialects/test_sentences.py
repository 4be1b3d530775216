"""Where sentences stand in a text."""

import pytest

from embedstack.dialects.sentences import Part, parts_of
from embedstack.dialects.wire import Misfit

TEXT = "Rain falls. It falls on\n the roof.  Then it stops."


def parts(text, *sentences, before=0):
    return parts_of(text, sentences, "sentences", before)


def test_parts_make_the_whole_text_and_each_sentence_has_its_number():
    found = parts(TEXT, "Rain falls.", "It falls on\n the roof.", "Then it stops.")

    assert "".join(part.text for part in found) == TEXT
    assert [part.sentence for part in found] == [0, 1, 2]


def test_white_space_goes_with_the_part_before_it_or_with_the_first():
    assert parts("  a b \n c ", "a b", "c") == [Part("  a b \n ", 0), Part("c ", 1)]


def test_what_stands_between_is_a_part_of_its_own():
    found = parts("Title: a b [1] c (end)", "a b", "c")

    assert found == [Part("Title: ", None), Part("a b", 0), Part(" [1] ", None), Part("c", 1), Part(" (end)", None)]


def test_white_space_of_another_kind_is_white_space():
    assert parts("a  b\nc. d", "a b c.", " d\t") == [Part("a  b\nc. ", 0), Part("d", 1)]


def test_sentences_may_come_in_any_order_and_keep_their_numbers():
    found = parts(TEXT, "Then it stops.", "Rain falls.", "It falls on the roof.")

    assert [part.sentence for part in found] == [1, 2, 0]


def test_a_sentence_that_comes_twice_has_two_places():
    assert parts("Yes. No. Yes.", "Yes.", "Yes.", "No.") == [Part("Yes. ", 0), Part("No. ", 2), Part("Yes.", 1)]


def test_a_sentence_that_is_a_part_of_another_takes_its_own_place():
    found = parts("rain falls falls", "falls", "rain falls")

    assert found == [Part("rain falls ", 1), Part("falls", 0)]


def test_before_its_beginning_no_sentence_is_looked_for():
    assert parts("a: a", "a", before=3) == [Part("a: ", None), Part("a", 0)]


def test_a_sentence_may_begin_within_a_word():
    assert parts("end.Next one", "end.", "Next one") == [Part("end.", 0), Part("Next one", 1)]


def test_letters_of_several_bytes_are_one_character_each():
    found = parts("Ёлка 😀 стоит. Дом.", "Ёлка 😀 стоит.", "Дом.")

    assert found == [Part("Ёлка 😀 стоит. ", 0), Part("Дом.", 1)]


@pytest.mark.parametrize(
    ("sentences", "said"),
    [
        (["Rain falls.", "Snow falls."], "sentences 1 is not in the text"),
        (["rain falls."], "sentences 0 is not in the text"),
        (["Rain falls.", "  "], "sentences 1 is empty"),
        (["Rain falls.", "Rain falls."], "sentences 1 stands only where others stand"),
        (["Rain falls.", "Rain"], "sentences 1 stands only where others stand"),
    ],
)
def test_what_has_no_place_of_its_own_is_named_by_its_number(sentences, said):
    with pytest.raises(Misfit, match=said) as caught:
        parts(TEXT, *sentences)

    assert "falls" not in caught.value.message


def test_many_sentences_that_are_alike_are_all_found():
    found = parts("x " + "b " * 2000, *["b"] * 2000, "x")

    assert [part.sentence for part in found] == [2000, *range(2000)]
