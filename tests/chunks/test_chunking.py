"""Whatever the text, the tokeniser and the strategy: chunks fit, hold everything, and are as long as they say."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from embedstack.chunks.chunk import Chunk, Chunking, Ruler, Skipped, Strategy
from embedstack.chunks.chunking import CHUNKERS, check, chunk, cutter_versions
from embedstack.documents.document import Kind
from embedstack.errors import BadRequest
from embedstack.testing.fake import WordRuler
from support.cutting import KINDS, Letters, ruler, text_of

OVERLAPPING = ("window", "parent")
WAYS = [*(one for one in get_args(Strategy) if one != "whole")]


def settings(strategy: str, tokens: int = 40) -> Chunking:
    overlap = tokens // 8 if strategy in OVERLAPPING else 0
    return Chunking(strategy=strategy, tokens=tokens, overlap=overlap, parent_tokens=3 * tokens)


def cut(text: str, chunking: Chunking, by: Ruler, kind: Kind = "markdown") -> list[Chunk]:
    return chunk(text, kind, chunking, by)


@pytest.fixture(scope="module")
def rulers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ruler]:
    folder = tmp_path_factory.mktemp("tokenizers")
    made: dict[str, Ruler] = {name: ruler(name, folder / name) for name in KINDS}
    return {**made, "words": WordRuler(4096), "letters": Letters(added=3)}


# ------------------------------------------------------------------------------------------------ any text


def left_out(text: str, chunks: list[Chunk]) -> str:
    covered = [False] * len(text)
    for one in chunks:
        covered[one.start : one.stop] = [True] * (one.stop - one.start)
    return "".join(letter for letter, is_in in zip(text, covered, strict=True) if not is_in)


def check_chunks(text: str, chunks: list[Chunk], chunking: Chunking, by: Ruler, *, has_all: bool = True) -> None:
    assert by.count([one.text for one in chunks]) == [one.tokens for one in chunks]
    assert all(0 < one.tokens <= chunking.tokens for one in chunks)
    assert all(one.text == text[one.start : one.stop] for one in chunks)
    assert all(one.text == one.text.strip() != "" for one in chunks)
    assert [one.index for one in chunks] == list(range(len(chunks)))
    places = [(one.start, one.stop) for one in chunks]
    assert places == sorted(set(places))
    if not chunking.overlap:
        assert all(one.stop <= other.start for one, other in pairwise(chunks))
    if has_all:
        assert not any(map(len, by.offsets(left_out(text, chunks).split())))


@pytest.mark.parametrize("by", [*(name for name in KINDS if name != "bare"), "words", "letters"])
@pytest.mark.parametrize("strategy", WAYS)
def test_chunks_of_any_text_fit_and_hold_all_of_it(strategy: str, by: str, rulers: dict[str, Ruler]) -> None:
    chunking = settings(strategy)
    for seed in range(4):
        text, kind = text_of(seed, parts=16), ("markdown", "text")[seed % 2]

        made = cut(text, chunking, rulers[by], kind)

        check_chunks(text, made, chunking, rulers[by])


@pytest.mark.parametrize("strategy", WAYS)
def test_what_a_model_knows_nothing_of_is_left_out(strategy: str, rulers: dict[str, Ruler]) -> None:
    by, chunking = rulers["bare"], settings(strategy, 8)
    text = "the panda of a river\n\n語語語\n\nthe moon and the sun\n\n" * 4

    made = cut(text, chunking, by)

    check_chunks(text, made, chunking, by, has_all=False)
    assert set(left_out(text, made)) <= {"語", "\n", " "}


@pytest.mark.parametrize("strategy", WAYS)
@pytest.mark.parametrize("tokens", [4, 5, 9])
def test_small_chunks_fit_as_well(strategy: str, tokens: int, rulers: dict[str, Ruler]) -> None:
    chunking = Chunking(strategy=strategy, tokens=tokens, parent_tokens=2 * tokens)
    text = text_of(11, parts=8)

    made = cut(text, chunking, rulers["letters"])

    check_chunks(text, made, chunking, rulers["letters"])


@pytest.mark.parametrize("strategy", WAYS)
def test_the_same_text_is_cut_the_same_again(strategy: str, rulers: dict[str, Ruler]) -> None:
    text = text_of(3)

    assert cut(text, settings(strategy), rulers["words"]) == cut(text, settings(strategy), rulers["words"])


@pytest.mark.parametrize("strategy", WAYS)
def test_a_long_text_is_read_in_slices_and_loses_nothing(strategy: str) -> None:
    text = "\n\n".join(text_of(seed, parts=30) for seed in range(12)) + "語" * 50_000
    chunking = Chunking(strategy=strategy, tokens=500, parent_tokens=1500)

    made = cut(text, chunking, Letters())

    check_chunks(text, made, chunking, Letters())


@pytest.mark.parametrize("strategy", WAYS)
def test_a_word_without_end_is_cut_although_it_is_one_token(strategy: str) -> None:
    text = "a " + "x" * 250_000 + " b"

    made = cut(text, settings(strategy), WordRuler())

    check_chunks(text, made, settings(strategy), WordRuler())
    assert max(len(one.text) for one in made) <= 100_000


class Surprising(WordRuler):
    """A text alone has more tokens than it had in its document: each word that ends in a stop has three."""

    adds_up = False

    def count(self, texts: list[str]) -> list[int]:
        return [len(text.split()) + 2 * text.count(".") for text in texts]


@pytest.mark.parametrize("strategy", WAYS)
def test_what_has_more_tokens_alone_is_cut_until_it_fits(strategy: str) -> None:
    text = "one two. three. four. five six seven. eight. " * 30

    made = cut(text, settings(strategy, 16), Surprising())

    check_chunks(text, made, settings(strategy, 16), Surprising())


class Doubting:
    """Counts every chunk, also where that is not needed."""

    adds_up = False

    def __init__(self, by: Ruler) -> None:
        self.added, self.max_tokens = by.added, by.max_tokens
        self.offsets, self.count = by.offsets, by.count


@pytest.mark.parametrize("by", ["word pieces", "words"])
@pytest.mark.parametrize("strategy", WAYS)
def test_what_is_not_counted_again_would_be_the_same(strategy: str, by: str, rulers: dict[str, Ruler]) -> None:
    assert rulers[by].adds_up
    for seed in range(20, 23):
        text = text_of(seed)

        assert cut(text, settings(strategy), rulers[by]) == cut(text, settings(strategy), Doubting(rulers[by]))


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("text", ["", " \t\r\n ", "\u2003\u00a0"])
def test_a_document_of_white_space_is_skipped_as_empty(text: str) -> None:
    with pytest.raises(Skipped) as caught:
        cut(text, settings("semantic"), WordRuler())

    assert caught.value.code == "empty"


def test_a_document_of_which_the_model_knows_nothing_is_skipped_as_empty(rulers: dict[str, Ruler]) -> None:
    with pytest.raises(Skipped) as caught:
        cut("語語", settings("semantic"), rulers["bare"])

    assert caught.value.code == "empty"


@pytest.mark.parametrize("strategy", WAYS)
def test_what_is_read_as_nothing_is_left_out(strategy: str, rulers: dict[str, Ruler]) -> None:
    (made,) = cut("\u200b\n\nthe river", settings(strategy), rulers["word pieces"])[-1:]

    assert made.text.endswith("the river")
    with pytest.raises(Skipped, match="nothing that the model knows a token of"):
        cut("\u200b", settings(strategy), rulers["word pieces"])


def test_a_sentence_that_is_read_as_nothing_is_no_chunk(rulers: dict[str, Ruler]) -> None:
    made = cut("the river\n\n\u200b\n\nthe city", settings("sentence"), rulers["word pieces"])

    assert [one.text for one in made] == ["the river", "the city"]


def test_a_whole_document_is_one_chunk() -> None:
    (made,) = cut("\n# one\n\ntwo three\n", Chunking(strategy="whole", tokens=4), WordRuler())

    assert (made.text, made.tokens, made.start) == ("# one\n\ntwo three", 4, 1)


def test_a_whole_document_that_is_too_long_is_refused_and_not_cut() -> None:
    with pytest.raises(Skipped, match="the document has 5 tokens, the limit is 4; choose another chunker") as caught:
        cut("one two three four five", Chunking(strategy="whole", tokens=4), WordRuler())

    assert caught.value.code == "too_long"


def test_a_character_of_more_tokens_than_fit_is_refused(rulers: dict[str, Ruler]) -> None:
    with pytest.raises(Skipped, match="one character has 5 tokens, the limit is 4") as caught:
        cut("a 👍 b", Chunking(strategy="window", tokens=4), rulers["bytes"])

    assert caught.value.code == "too_long"


def test_a_page_of_links_is_skipped_where_it_is_asked() -> None:
    text = "\n".join(f"- [a page](page{n}.html)" for n in range(9))

    with pytest.raises(Skipped) as caught:
        cut(text, Chunking(tokens=40, skip_index=True), WordRuler())

    assert caught.value.code == "index_page"
    assert cut(text, settings("semantic"), WordRuler())


@pytest.mark.parametrize(
    ("chunking", "said"),
    [
        (Chunking(tokens=512), "chunks of 512 tokens are too large: the model takes 256; ask for that or less"),
        (Chunking(tokens=3), "special tokens and prompt are 3 of them; ask for 4 or more"),
        (Chunking(tokens=21, strategy="window", overlap=10), "an overlap of 10 tokens is not between 0 and 9, half of"),
        (Chunking(tokens=21, strategy="window", overlap=-1), "an overlap of -1 tokens is not between 0 and 9"),
        (Chunking(tokens=20, overlap=5), "chunks of the strategy 'semantic' do not overlap; ask for an overlap of 0"),
        (Chunking(tokens=20, strategy="parent", parent_tokens=19), "parents of 19 tokens are smaller than their child"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(chunking: Chunking, said: str) -> None:
    by = Letters(added=3, max_tokens=256)
    with pytest.raises(BadRequest, match=said):
        check(chunking, by)
    with pytest.raises(BadRequest, match=said):
        cut("a text", chunking, by)


def test_chunks_below_what_a_model_fills_every_text_up_to_are_refused(tmp_path: Path) -> None:
    filled = ruler("canonical", tmp_path, max_tokens=64, pad_to=64)

    check(Chunking(tokens=64), filled)
    with pytest.raises(BadRequest, match="every text has 64 or more; ask for 64 or more"):
        check(Chunking(tokens=40), filled)


def test_every_strategy_has_a_chunker() -> None:
    assert set(CHUNKERS) == set(get_args(Strategy))


# ------------------------------------------------------------------------------------------------ identity


def test_what_decides_where_texts_are_cut_has_versions() -> None:
    assert re.fullmatch(r"markdown-it-py [\d.]+, tokenizers [\d.]+, Unicode [\d.]+", cutter_versions())


def test_a_chunk_says_how_it_was_cut() -> None:
    text = "# one\n\ntwo three\n\n" + "x " * 60

    made = cut(text, settings("semantic"), WordRuler())

    assert [one.metadata for one in made] == [
        {"strategy": "window", "headings": ["one"]},
        {"strategy": "window", "headings": ["one"]},
    ]


def test_an_id_is_of_the_document_the_place_and_the_settings() -> None:
    chunking = Chunking(strategy="window", tokens=4)
    first, second = cut("one two three four five six", chunking, WordRuler())
    ids = {
        first.id_in("a", chunking),
        first.id_in("b", chunking),
        second.id_in("a", chunking),
        first.id_in("a", Chunking(strategy="window", tokens=5)),
    }

    assert len(ids) == 4
    assert first.id_in("a", chunking) == replace(first, text="other").id_in("a", chunking)
