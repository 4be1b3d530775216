"""Children to search by within parents to read."""

from itertools import pairwise

from embedstack.chunks.chunk import Chunk, Chunking
from embedstack.chunks.chunking import chunk
from embedstack.testing.fake import WordRuler

PAGE = "\n\n".join(f"# Part {n}\n\n" + " ".join(f"word{n}-{k}" for k in range(1200)) for n in range(3))


def cut(text: str = PAGE, tokens: int = 400, overlap: int = 50, parent_tokens: int = 1500) -> list[Chunk]:
    chunking = Chunking(strategy="parent", tokens=tokens, overlap=overlap, parent_tokens=parent_tokens)
    return chunk(text, "markdown", chunking, WordRuler(512))


def test_children_stand_in_their_parent() -> None:
    for one in cut():
        assert one.metadata["parent_start"] <= one.start < one.stop <= one.metadata["parent_stop"]


def test_parents_follow_the_sections() -> None:
    made = cut()

    assert [one.metadata["headings"] for one in made if "parent_text" in one.metadata] == [
        ["Part 0"],
        ["Part 1"],
        ["Part 2"],
    ]


def test_the_first_child_alone_carries_the_text_of_its_parent() -> None:
    made = cut()
    texts = {one.metadata["parent_id"]: one.metadata["parent_text"] for one in made if "parent_text" in one.metadata}

    assert len(texts) == len({one.metadata["parent_id"] for one in made}) == 3
    assert all(one.text in texts[one.metadata["parent_id"]] for one in made)
    assert all(len(text.split()) <= 1500 for text in texts.values())


def test_children_overlap_within_a_parent_and_not_beyond() -> None:
    made = cut()

    for before, one in pairwise(made):
        if before.metadata["parent_id"] == one.metadata["parent_id"]:
            assert before.text.split()[-50:] == one.text.split()[:50]
        else:
            assert before.stop <= one.start


def test_a_child_ends_before_a_sentence_that_begins_nearby() -> None:
    made = cut("# A\n\n" + " ".join(f"This is the sentence number {n}." for n in range(200)), 50, 10, 300)

    assert all(one.text.endswith(".") for one in made)
    assert max(one.tokens for one in made) > 40


def test_a_child_stands_under_its_own_headings() -> None:
    made = cut("# A\n\n## B\n\n" + "one " * 40 + "\n\n## C\n\n" + "two " * 40, 50, 0, 500)

    assert [one.metadata["headings"] for one in made] == [["A", "B"], ["A", "C"]]


def test_a_parent_of_one_child_is_the_child() -> None:
    (made,) = cut("# A\n\none two")

    assert made.metadata["parent_text"] == made.text


def test_a_parent_has_the_same_id_in_every_run_and_another_for_other_settings() -> None:
    ids = [[one.metadata["parent_id"] for one in cut(overlap=overlap)] for overlap in (50, 50, 40)]

    assert ids[0] == ids[1]
    assert not {*ids[0]} & {*ids[2]}
