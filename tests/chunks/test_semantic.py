"""Chunks follow the sections of a document."""

from random import Random

import pytest

from embedstack.chunks.chunk import Chunk, Chunking
from embedstack.chunks.chunking import chunk
from embedstack.testing.fake import WordRuler


def cut(text: str, tokens: int = 20, strategy: str = "semantic", kind: str = "markdown") -> list[Chunk]:
    return chunk(text, kind, Chunking(strategy=strategy, tokens=tokens), WordRuler(4096))


def words(count: int, word: str = "word") -> str:
    return " ".join([word] * count)


def headings(made: list[Chunk]) -> list[list[str]]:
    return [one.metadata.get("headings", []) for one in made]


def test_a_document_that_fits_is_one_chunk() -> None:
    (made,) = cut("# One\n\ntwo\n\n## Three\n\nfour")

    assert made.metadata == {"strategy": "semantic", "headings": ["One"]}


def test_a_document_is_cut_at_its_headings() -> None:
    made = cut(f"# One\n\n{words(12)}\n\n# Two\n\n{words(13)}")

    assert [one.tokens for one in made] == [14, 15]
    assert headings(made) == [["One"], ["Two"]]


def test_deep_sections_are_put_together_before_high_ones() -> None:
    page = f"# T\n\n## A\n\n{words(3)}\n\n### A1\n\n{words(3)}\n\n### A2\n\n{words(3)}\n\n## B\n\n{words(11)}"

    made = cut(page)

    assert [one.text.splitlines()[-1].split()[0] for one in made] == ["word", "word"]
    assert [one.text.count("#") for one in made] == [1 + 2 + 3 + 3, 2]
    assert headings(made) == [["T", "A"], ["T", "B"]]


def test_small_sections_go_together() -> None:
    made = cut("\n\n".join(f"## S{n}\n\n{words(4)}" for n in range(9)))

    assert [one.tokens for one in made] == [12, 12, 12, 12, 6]


def test_a_section_that_is_half_a_chunk_stays_alone() -> None:
    made = cut(f"# A\n\n{words(9)}\n\n# B\n\n{words(6)}\n\n# C\n\n{words(12)}")

    assert headings(made) == [["A"], ["B"], ["C"]]


def test_a_crumb_at_the_end_goes_with_the_chunk_before() -> None:
    made = cut(f"# A\n\n{words(12)}\n\n# B\n\n{words(12)}\n\n# C\n\n{words(1)}")

    assert [one.tokens for one in made] == [14, 17]


def test_a_long_section_becomes_chunks_of_about_one_size() -> None:
    made = cut("# A\n\n" + "\n\n".join(words(3) for _ in range(7)))

    assert [one.tokens for one in made] == [14, 9]
    assert headings(made) == [["A"], ["A"]]


def test_a_chunk_of_several_sections_says_what_stands_over_all_of_it() -> None:
    (made,) = cut("# T\n\n## A\n\none\n\n## B\n\ntwo")

    assert made.metadata["headings"] == ["T"]


def test_a_chunk_that_begins_before_all_headings_stands_under_none() -> None:
    (made,) = cut("one\n\n# A\n\ntwo")

    assert "headings" not in made.metadata


def test_a_heading_without_text_goes_with_the_section_below_it() -> None:
    made = cut(f"# A\n\n## B\n\n{words(12)}\n\n## C\n\n{words(12)}")

    assert headings(made) == [["A", "B"], ["A", "C"]]
    assert made[0].text.startswith("# A")


BLOCKS = {
    "code": "```\n" + "\n\n".join(words(3) for _ in range(4)) + "\n```",
    "a table": "| a | b |\n|---|---|\n" + "\n".join("| c | d |" for _ in range(2)),
    "a list": "\n".join(f"- {words(3)}" for _ in range(4)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_not_torn_if_it_fits(name: str) -> None:
    made = cut(f"# A\n\n{words(11)}\n\n{BLOCKS[name]}\n\n{words(11)}")

    assert BLOCKS[name] in "\0".join(one.text for one in made).split("\0")


def test_a_list_that_does_not_fit_is_cut_between_its_items() -> None:
    made = cut("\n".join(f"- {words(6)}" for _ in range(9)))

    assert all(one.text.startswith("- ") for one in made)
    assert {one.tokens for one in made} == {14, 7} or {one.tokens for one in made} == {14}


def test_a_table_that_does_not_fit_is_cut_between_its_lines() -> None:
    made = cut("| a | b |\n|---|---|\n" + "\n".join(f"| c | {n} |" for n in range(20)))

    assert all(one.text.startswith("|") and one.text.endswith("|") for one in made)


def test_a_paragraph_that_does_not_fit_is_cut_between_sentences() -> None:
    made = cut(" ".join(f"This is sentence {n}." for n in range(20)))

    assert all(one.text.startswith("This") and one.text.endswith(".") for one in made)


def test_a_sentence_that_does_not_fit_is_cut_by_tokens_and_says_so() -> None:
    made = cut(f"# A\n\n{words(50)}")

    assert [one.metadata["strategy"] for one in made] == ["window"] * 3
    assert max(one.tokens for one in made) - min(one.tokens for one in made) <= 4


def test_plain_text_has_no_headings() -> None:
    made = cut(f"# One\n\n{words(12)}\n\n# Two\n\n{words(13)}", kind="text")

    assert headings(made) == [[], []]


def test_what_stands_before_the_first_heading_is_a_section() -> None:
    made = cut(f"{words(12)}\n\n# One\n\n{words(13)}")

    assert headings(made) == [[], ["One"]]


def corpus(seed: int) -> str:
    """A page as encyclopaedias have them: sections of 20 to 300 words, three levels deep."""
    draw = Random(seed)
    parts = ["# Title"]
    for number in range(draw.randrange(3, 12)):
        parts.append("#" * draw.choice([2, 2, 3, 4]) + f" Section {number}")
        parts += [". ".join(words(draw.randrange(5, 25), "Word") for _ in range(5)) for _ in range(draw.randrange(4))]
    return "\n\n".join(parts)


def test_most_chunks_know_their_headings_and_few_are_cut_by_tokens_alone() -> None:
    made = [one for seed in range(40) for one in cut(corpus(seed), tokens=256)]

    assert sum("headings" in one.metadata for one in made) > 0.7 * len(made)
    assert sum(one.metadata["strategy"] == "window" for one in made) < 0.05 * len(made)


def test_chunks_of_long_pages_are_more_than_half_full() -> None:
    made = [one.tokens for seed in range(40) for one in cut(corpus(seed), tokens=256)]

    assert sum(made) / len(made) > 128


# ------------------------------------------------------------------------------------------------ paragraphs


def test_clusters_of_paragraphs_do_not_end_at_headings() -> None:
    made = cut("\n\n".join(f"## S{n}\n\n{words(4)}" for n in range(9)), strategy="paragraph")

    assert [one.tokens for one in made] == [18, 18, 18]
    assert headings(made) == [["S0"], ["S3"], ["S6"]]


def test_a_heading_is_not_the_last_line_of_a_cluster() -> None:
    made = cut(f"{words(17)}\n\n# A\n\n{words(17)}", strategy="paragraph")

    assert made[1].text.startswith("# A")
