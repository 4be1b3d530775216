"""What a model reads, token by token: each with its characters in the caller's text, and those to be cut marked."""

from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.catalog import find
from embedstack.errors import BadRequest, TooLong, Unsupported
from embedstack.inputs.pieces import Source
from embedstack.inputs.text import TextInput
from embedstack.modelspec import ModelSpec
from embedstack.types import Image, Item, Link, Pair, Piece, Text, Tokens
from support.tiny import CASES, write

LONG = "the panda is a bear of the river and the king is in the city of water and light"
FAMILIES = ["bert-mean", "xlm-roberta-cls", "bert-classifier", "xlm-roberta-classifier"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ModelSpec]]:
    root = tmp_path_factory.mktemp("tiny")
    made = {}
    for name in FAMILIES:
        folder = write(CASES[name], root / name)
        made[name] = (folder, find(str(folder), cache_dir=root / "cache").spec)
    return made


@pytest.fixture
def bert(models: dict[str, tuple[Path, ModelSpec]]) -> TextInput:
    return TextInput(*models["bert-mean"])


@pytest.fixture
def sentence(models: dict[str, tuple[Path, ModelSpec]]) -> TextInput:
    """A tokeniser whose words hold the space before them, with a prompt and in lower case."""
    folder, spec = models["xlm-roberta-cls"]
    return TextInput(folder, replace(spec, prompts={"query": "what: "}, lowercase=True))


def pieces(text_input: TextInput, item: Text | Pair, **limits: object) -> tuple[Piece, ...]:
    (made,) = text_input.pieces([item], **limits)
    return made


# ------------------------------------------------------------------------------------------------ places


def test_a_piece_is_the_callers_own_characters(bert: TextInput) -> None:
    made = pieces(bert, Text("Panda  bears"))

    assert [(p.text, p.start, p.stop, p.special) for p in made] == [
        ("[CLS]", None, None, True),
        ("Panda", 0, 5, False),
        ("bear", 7, 11, False),
        ("s", 11, 12, False),
        ("[SEP]", None, None, True),
    ]


@pytest.mark.parametrize("role", ["document", "query"])
@pytest.mark.parametrize("text", ["Panda 漢字 bear", "İİ PANDA İs a bear", "the king's\n river"])
def test_every_place_is_where_the_text_of_the_piece_stands(sentence: TextInput, text: str, role: str) -> None:
    made = [p for p in pieces(sentence, Text(text, role)) if p.start is not None]

    assert all(text[p.start : p.stop] == p.text for p in made)
    assert {place for p in made for place in range(p.start, p.stop)} == set(range(len(text)))


def test_characters_that_become_two_in_lower_case_move_no_place(sentence: TextInput) -> None:
    made = pieces(sentence, Text("İİİ panda"))

    assert [(p.text, p.start, p.stop) for p in made if p.text == " panda"] == [(" panda", 3, 9)]


def test_a_prompt_stands_for_no_character(sentence: TextInput) -> None:
    made = pieces(sentence, Text("panda", "query"))

    first = next(place for place, p in enumerate(made) if p.start is not None)
    assert "".join(p.text for p in made[1:first]) == "what:"
    assert (made[first].text, made[first].start, made[first].stop) == ("panda", 0, 5)  # without the prompt's space


def test_each_text_of_a_pair_has_places_of_its_own(models: dict[str, tuple[Path, ModelSpec]]) -> None:
    made = pieces(TextInput(*models["bert-classifier"]), Pair("what is", "a panda"))

    assert [(p.text, p.start, p.stop) for p in made if not p.special] == [
        ("what", 0, 4),
        ("is", 5, 7),
        ("a", 0, 1),
        ("panda", 2, 7),
    ]


def test_a_special_token_that_a_text_spells_out_is_text(bert: TextInput) -> None:
    spelt = pieces(bert, Text("sun [SEP] moon"))[2]

    assert (spelt.text, spelt.special, spelt.start, spelt.stop) == ("[SEP]", False, 4, 9)


def test_what_stands_for_no_character_has_no_place() -> None:
    assert Source("panda").piece(7, 2, 2, is_cut=False) == Piece(7, "", special=False)


def test_what_loses_its_punctuation_is_lowered_as_a_whole() -> None:
    """So that the last sigma of a word becomes the one that stands there, and no place moves."""
    source = Source("İ! ΟΔΟΣ", is_canonical=True, is_lowered=True)

    assert source.read == "i̇ οδος"
    assert source.piece(7, 3, 7, is_cut=False) == Piece(7, "ΟΔΟΣ", special=False, start=3, stop=7)
    assert source.piece(7, 1, 2, is_cut=False) == Piece(7, "İ", special=False, start=0, stop=1)


# ------------------------------------------------------------------------------------------------ cuts


@pytest.mark.parametrize("truncate", ["left", "right"])
@pytest.mark.parametrize("limit", [6, 9, 12, 200])
@pytest.mark.parametrize("item", [Text(LONG), Pair("who is the king", LONG), Pair(LONG, LONG), Pair(LONG, "sun")])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_not_marked_is_what_the_model_reads(
    models: dict[str, tuple[Path, ModelSpec]], family: str, item: Text | Pair, limit: int, truncate: str
) -> None:
    text_input = TextInput(*models[family])

    made = pieces(text_input, item, max_tokens=limit, truncate=truncate)

    (read,) = text_input.encode([item], limit, truncate)
    assert [p.id for p in made if not p.is_cut] == read.ids.tolist()
    assert sum(p.is_cut for p in made) == read.dropped


def test_refuse_marks_what_is_over_the_limit_and_refuses_nothing(bert: TextInput) -> None:
    made = pieces(bert, Text("sun moon star"), max_tokens=4, truncate="refuse")

    assert [p.text for p in made if p.is_cut] == ["star"]


def test_the_models_own_limit_holds(bert: TextInput) -> None:
    assert sum(not p.is_cut for p in pieces(bert, Text("moon " * 100))) == 40


@pytest.mark.parametrize(
    ("item", "limits", "message"),
    [
        (Text(""), {}, "text 0 is empty"),
        (Text("sun", "judge"), {}, "role 'judge' is unknown"),
        (Text("sun"), {"max_tokens": 2}, "leaves no room"),
        (Text("sun"), {"truncate": "middle"}, "truncate='middle' is unknown"),
    ],
)
def test_what_no_model_reads_is_refused(bert: TextInput, item: Text, limits: dict[str, object], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        pieces(bert, item, **limits)


def test_a_text_over_the_limit_of_characters_is_refused(models: dict[str, tuple[Path, ModelSpec]]) -> None:
    with pytest.raises(TooLong, match="text 0 has 4 characters"):
        pieces(TextInput(*models["bert-mean"], max_text_chars=3), Text("moon"))


# ------------------------------------------------------------------------------------------------ ids to texts


def test_ids_become_texts_with_their_special_tokens_or_without(bert: TextInput) -> None:
    (ids,) = (tuple(p.id for p in pieces(bert, Text("Panda bear"))),)

    assert bert.decode([Tokens(ids), Tokens(ids[1:2])]) == ["panda bear", "panda"]
    assert bert.decode([Tokens(ids)], skip_special_tokens=False) == ["[CLS] panda bear [SEP]"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ((), "text 3 is an empty list"),
        ((5, -1), "text 3 has the token id -1"),
        ((5, 99_999), "text 3 has the token id 99999"),
        ((2**40,), "text 3 has the token id 1099511627776"),
    ],
)
def test_ids_that_the_tokeniser_does_not_know_are_refused_by_their_place(
    bert: TextInput, ids: tuple[int, ...], message: str
) -> None:
    with pytest.raises(BadRequest, match=message):
        bert.decode([Tokens(ids)], first=3)


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (Image(b"GIF89a"), "item 1 is an image, and 'bert-mean' takes text only"),
        (Link("https://example.org/a.png"), "item 1 is a link to an image, and 'bert-mean' takes text only"),
    ],
)
def test_a_picture_is_refused_by_its_place(bert: TextInput, item: Item, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        bert.encode([Text("sun"), item])
