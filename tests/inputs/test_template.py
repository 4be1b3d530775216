"""A pair that a decoder reads as one text: what is cut from it, what never is, and where its tokens are from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.errors import BadRequest, TooLong
from embedstack.inputs.template import fill
from embedstack.inputs.text import TextInput
from embedstack.modelspec import Architecture, ModelSpec
from embedstack.types import Pair, Piece
from support.byte_level import byte_level

TEMPLATE = "<|im_start|>ask: {query}\nin: {document}<|im_end|>\n<think>"
SPEC = ModelSpec(
    name="ranker",
    revision="local",
    task="rerank",
    architecture=Architecture(
        family="qwen3", layers=1, hidden=8, heads=1, intermediate=8, vocab=2000, positions=1000, rope_theta=1e4
    ),
    outputs=("score",),
    dim=0,
    max_tokens=200,
    weights="",
    tokenizer="",
    pooling="last",
    special_tokens=False,
    pair_template=TEMPLATE,
)
PAIR = Pair("what is water", "the river of the city is water")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranker")
    byte_level().save(str(path / "tokenizer.json"))
    return path


@pytest.fixture(scope="module")
def text(folder: Path) -> TextInput:
    return TextInput(folder, SPEC)


def words(text: TextInput, ids: Sequence[int]) -> str:
    return text._tokenizer.decode([int(number) for number in ids], skip_special_tokens=False)


def test_a_pair_is_read_as_one_text(text: TextInput) -> None:
    (encoding,) = text.encode([PAIR])

    assert words(text, encoding.ids) == f"<|im_start|>ask: {PAIR.query}\nin: {PAIR.document}<|im_end|>\n<think>"
    assert (encoding.segments, encoding.dropped) == (None, 0)


def test_what_a_caller_writes_is_not_taken_for_the_template(text: TextInput) -> None:
    (encoding,) = text.encode([Pair("{document}", "{query}")])

    assert words(text, encoding.ids) == "<|im_start|>ask: {document}\nin: {query}<|im_end|>\n<think>"


@pytest.mark.parametrize(("truncate", "kept"), [("right", "the river of"), ("left", " city is water")])
def test_only_the_document_is_cut(text: TextInput, truncate: str, kept: str) -> None:
    whole = len(text.encode([PAIR])[0].ids)

    (encoding,) = text.encode([PAIR], whole - 4, truncate)  # type: ignore[arg-type]

    space = " " if truncate == "right" else ""
    assert words(text, encoding.ids) == f"<|im_start|>ask: what is water\nin:{space}{kept}<|im_end|>\n<think>"
    assert (len(encoding.ids), encoding.dropped) == (whole - 4, 4)


def test_a_document_has_a_limit_of_its_own(text: TextInput) -> None:
    (encoding,) = text.encode([PAIR], document_tokens=2)

    assert words(text, encoding.ids) == "<|im_start|>ask: what is water\nin: the river<|im_end|>\n<think>"
    assert encoding.dropped == 5


def test_a_document_within_its_own_limit_stays_whole(text: TextInput) -> None:
    (encoding,) = text.encode([PAIR], document_tokens=7)

    assert encoding.dropped == 0


@pytest.mark.parametrize("limits", [{"max_tokens": 17}, {"document_tokens": 6}], ids=str)
def test_a_long_pair_is_refused_if_it_must_not_be_cut(text: TextInput, limits: dict[str, int]) -> None:
    with pytest.raises(TooLong, match="document 3"):
        text.encode([PAIR], truncate="refuse", first=3, **limits)


def test_a_query_that_leaves_no_room_for_a_document_is_refused(text: TextInput) -> None:
    with pytest.raises(TooLong, match="shorten the query"):
        text.encode([Pair("the city " * 200, "a river")])


def test_a_query_alone_needs_room_too(text: TextInput) -> None:
    with pytest.raises(TooLong, match="shorten the query"):
        text.encode([Pair("the city " * 200, "")])


def test_an_empty_document_is_read(text: TextInput) -> None:
    (encoding,) = text.encode([Pair("what", "")])

    assert words(text, encoding.ids) == "<|im_start|>ask: what\nin: <|im_end|>\n<think>"


def test_the_template_needs_room_itself(text: TextInput) -> None:
    with pytest.raises(BadRequest, match="leaves no room for a pair"):
        text.encode([PAIR], 10)


def test_the_tokeniser_appends_nothing_behind_the_template(folder: Path, tmp_path: Path) -> None:
    byte_level(["<|endoftext|>"]).save(str(tmp_path / "tokenizer.json"))

    (appending,), (plain,) = TextInput(tmp_path, SPEC).encode([PAIR]), TextInput(folder, SPEC).encode([PAIR])

    assert list(appending.ids) == list(plain.ids)


def test_pieces_have_their_places_in_the_query_and_in_the_document(text: TextInput) -> None:
    (pieces,) = text.pieces([Pair("what is", "the river")])

    assert [(p.text, p.start, p.stop) for p in pieces if p.start is not None] == [
        ("what", 0, 4), (" is", 4, 7), ("the", 0, 3), (" river", 3, 9)
    ]  # fmt: skip
    assert pieces[0] == Piece(pieces[0].id, "<|im_start|>", special=False)
    assert not any(piece.is_cut for piece in pieces)


@pytest.mark.parametrize("truncate", ["right", "left"])
def test_pieces_that_would_be_cut_are_those_that_are(text: TextInput, truncate: str) -> None:
    (pieces,) = text.pieces([PAIR], 17, truncate)  # type: ignore[arg-type]
    (encoding,) = text.encode([PAIR], 17, truncate)  # type: ignore[arg-type]

    assert [piece.id for piece in pieces if not piece.is_cut] == list(encoding.ids)
    assert any(piece.is_cut for piece in pieces)


def test_a_template_is_part_of_what_makes_scores_comparable() -> None:
    assert replace(SPEC, pair_template="{query} {document}").space != SPEC.space


def test_a_token_that_begins_in_the_template_is_of_the_text_that_it_ends_in() -> None:
    pair = fill("in: {query} at: {document}.", "a", "bc")

    assert pair.document_tokens([(0, 3), (3, 5), (5, 9), (9, 11), (11, 12), (12, 13)]) == (3, 5)
