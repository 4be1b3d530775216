"""Where sentences begin, in English, Russian and scripts with stops of their own."""

import pytest

from embedstack.chunks.chunk import Chunk, Chunking
from embedstack.chunks.chunking import chunk
from embedstack.chunks.stops import sentence_starts
from embedstack.testing.fake import WordRuler
from support.work import WASTED, growth


def sentences(text: str) -> list[str]:
    starts = sentence_starts(text, 0, len(text))
    return [text[start:stop].strip() for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)]


@pytest.mark.parametrize(
    "marked",
    [
        "The river froze.| The ferries wait!| Do they?| They do…| And so on.",
        "He said no.| The sun.| Он дал им.| Потом ушёл.",
        "He said: “It is late.”| Then he left.| (It was.)| **Bold.**| More.",
        "Dr. Smith and Mrs. Jones met Prof. Lee vs. nobody.| They left.",
        "See fig. 3 and pp. 4, e.g. here, i.e. there, etc. and so on.| Next.",
        "It cost 12.50 in 1999.| Then it rose to 13.",
        "Version 2.0 is out.| See example.org. it is there",
        "A. S. Pushkin was born in the U.S. Army's year.| No.",
        "1. First item.| Second sentence.",
        "one\n2. Second item.| Third.",
        "Wait... what?| Yes...| No?!| Really.",
        "«Really?» he said.| «Yes!»| And he did.",
        "Она пришла.| Он ушёл!| Куда?| Никто не знает…| Так и есть.",
        "А. С. Пушкин родился в 1799 г. в Москве.| Он жил на ул. Арбат, д. 53.| Да.",
        "Это т.е. так, и т. д. и т. п., см. рис. 3 на стр. 15.| Конец.",
        "Цена 5 тыс. руб. за штуку.| Дорого.",
        "これは文です。|次の文です！|終わりですか？|はい。",
        "هل هذا سؤال؟| نعم.",
        "यह एक वाक्य है।| यह दूसरा है।",
        "No stop\n\n|Another paragraph\r\n\r\n|And one\n \t\n|more",
        "line one\nline two, still the same",
        "one two",
        "...",
        "Yes. ... ?! !",
        "--- ***\n\n... One.| Two.",
    ],
)
def test_sentences_are_told_apart(marked: str) -> None:
    assert sentences(marked.replace("|", "")) == [part.strip() for part in marked.split("|")]


@pytest.mark.parametrize(
    ("text", "times"), [("! ", 4000), (".", 40_000), ("a. ", 4000), ("\n", 200_000), (".)", 20_000)]
)
def test_work_grows_as_the_text_does(text: str, times: int) -> None:
    assert growth(lambda size: sentence_starts(text * size + "x", 0, len(text) * size + 1), times) < WASTED


def test_only_a_part_of_a_text_is_looked_at() -> None:
    text = "One. Two. Three. Four."

    assert sentence_starts(text, 5, 16) == [5, 10]


# ------------------------------------------------------------------------------------------------ as a strategy


def cut(text: str, tokens: int = 20, kind: str = "markdown") -> list[Chunk]:
    return chunk(text, kind, Chunking(strategy="sentence", tokens=tokens), WordRuler(4096))


def test_a_sentence_is_a_chunk() -> None:
    made = cut("# Title\n\nOne two. Three four.\n\n- five\n- six\n\n```\na. B. C.\n```\n")

    assert [one.text for one in made] == [
        "# Title",
        "One two.",
        "Three four.",
        "- five",
        "- six",
        "```\na. B. C.\n```",
    ]
    assert {tuple(one.metadata["headings"]) for one in made} == {("Title",)}


def test_a_sentence_that_does_not_fit_is_cut_by_tokens() -> None:
    made = cut("One. Many " + "word " * 29 + "end. Two.")

    assert [one.tokens for one in made] == [1, 16, 15, 1]
