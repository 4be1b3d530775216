"""Tokens are counted as the model reads them, for every kind of tokeniser."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from tokenizers import AddedToken, Tokenizer

from embedstack.catalog import find
from embedstack.errors import BadRequest, TooLong
from embedstack.inputs.measure import TextRuler, grouped
from embedstack.inputs.text import NothingKnown, TextInput
from embedstack.types import Text
from support.cutting import KINDS, WORDS, ruler, text_input, text_of
from support.every import one_of_each_kind

TEXTS = [
    *(text_of(seed, parts=4).strip() or "a" for seed in range(12)),
    *filter(str.strip, WORDS),
    "the panda is a bear.",
]
FAMILIES = {name: one for name, one in one_of_each_kind().items() if one.kind == "dense"}


def reads(text: TextInput, one: str, role: str = "document") -> int:
    """Tokens of a text, as a request has them; 0 where it is refused for having none."""
    try:
        return text.encode([Text(one, role)], truncate="refuse")[0].cost
    except NothingKnown:
        return 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_count_is_what_the_model_reads(kind: str, tmp_path: Path) -> None:
    text, spec = text_input(kind, tmp_path)

    counted = TextRuler(text, spec).count(TEXTS)

    assert counted == [reads(text, one) for one in TEXTS]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_count_is_what_a_model_of_each_family_reads(name: str, tmp_path: Path) -> None:
    folder = FAMILIES[name].write(tmp_path / name)
    spec = find(str(folder), cache_dir=tmp_path / "cache").spec
    text = TextInput(folder, spec)
    short = ["the panda is a bear", "a river", "water and light.", "Z"]

    assert TextRuler(text, spec).count(short) == [reads(text, one) for one in short]


@pytest.mark.parametrize("role", ["document", "query", "none"])
def test_the_prompt_of_the_role_counts(role: str, tmp_path: Path) -> None:
    text, spec = text_input("a prompt", tmp_path)
    made = TextRuler(text, spec, role)

    assert made.count(["the river"]) == [reads(text, "the river", role)]
    assert made.added == made.count(["the river"])[0] - len(made.offsets(["the river"])[0])


def test_an_unknown_role_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="role 'passage' is unknown"):
        ruler("word pieces", tmp_path, role="passage")


def test_special_tokens_are_those_that_are_added(tmp_path: Path) -> None:
    added = {kind: ruler(kind, tmp_path / kind).added for kind in ("word pieces", "bytes", "bare")}

    assert added == {"word pieces": 2, "bytes": 1, "bare": 0}


@pytest.mark.parametrize("truncating", [{}, {"median_chars": 2}])
def test_a_text_over_the_models_limit_counts_as_over(truncating: dict[str, int], tmp_path: Path) -> None:
    text, spec = text_input("word pieces", tmp_path, max_tokens=10, **truncating)
    long = "the panda is a bear of the river and the city"

    with pytest.raises(TooLong):
        text.encode([Text(long)], truncate="refuse")
    assert TextRuler(text, spec).count(["a", long])[1] > 10


def test_a_text_of_which_the_model_knows_nothing_counts_as_none(tmp_path: Path) -> None:
    assert ruler("bare", tmp_path).count(["panda", "語", "bear 語"]) == [1, 0, 1]


def test_a_text_that_is_filled_up_counts_as_full(tmp_path: Path) -> None:
    made = ruler("canonical", tmp_path, max_tokens=64, pad_to=64)

    assert made.count(["panda"]) == [64]
    assert made.added == 1


# ------------------------------------------------------------------------------------------------ places


@pytest.mark.parametrize("kind", KINDS)
def test_offsets_are_the_characters_of_the_text(kind: str, tmp_path: Path) -> None:
    made = ruler(kind, tmp_path)

    for text, spans in zip(TEXTS, made.offsets(TEXTS), strict=True):
        assert ((spans[:, 0] >= 0) & (spans[:, 0] <= spans[:, 1]) & (spans[:, 1] <= len(text))).all()


@pytest.mark.parametrize("kind", ["word pieces", "canonical", "lower case"])
def test_an_offset_is_where_its_word_stands(kind: str, tmp_path: Path) -> None:
    text = "İ the, PANDA  is: a bear"

    (spans,) = ruler(kind, tmp_path).offsets([text])
    read = "".join(text[start:stop] for start, stop in dict.fromkeys(map(tuple, spans.tolist())))

    assert [letter for letter in read if letter.isalpha()] == [letter for letter in text if letter.isalpha()]


def test_the_pieces_of_one_character_begin_at_it(tmp_path: Path) -> None:
    (spans,) = ruler("bytes", tmp_path).offsets(["a👍b"])

    assert spans[:, 0].tolist() == [0, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_of_any_length_may_be_measured(kind: str, tmp_path: Path) -> None:
    made = ruler(kind, tmp_path, max_tokens=16)

    empty, long = made.offsets(["", "the river " * 500])

    assert (len(empty), len(long) >= 500) == (0, True)


def test_a_lone_surrogate_is_refused(tmp_path: Path) -> None:
    made = ruler("word pieces", tmp_path)

    for ask in (made.offsets, made.count):
        with pytest.raises(BadRequest, match="text 1 holds a lone surrogate at character 2"):
            ask(["a", "a \ud800"])


def test_texts_are_read_so_many_characters_at_a_time() -> None:
    texts = ["a" * 30, "b" * 30, "c" * 90, "d" * 10, "e" * 20]

    groups = list(grouped(texts, 60))

    assert groups == [texts[:2], texts[2:3], texts[3:]]


def test_a_count_does_not_depend_on_what_is_counted_with_it(tmp_path: Path) -> None:
    made = ruler("unigram", tmp_path)

    assert made.count(TEXTS) == [made.count([one])[0] for one in TEXTS]


def test_the_limit_is_the_models(tmp_path: Path) -> None:
    assert ruler("word pieces", tmp_path, max_tokens=77).max_tokens == 77


# ------------------------------------------------------------------------------------------------ what adds up


def test_only_a_tokeniser_that_parts_words_first_adds_up(tmp_path: Path) -> None:
    assert [kind for kind in KINDS if ruler(kind, tmp_path / kind).adds_up] == ["word pieces"]


@pytest.mark.parametrize(
    "change",
    [
        {"lowercase": True},
        {"canonical": True},
        {"dropped_ids": (1,)},
        {"pad_to": 8},
        {"stop_id": 3},
        {"median_chars": 5},
        {"needs_prompt": True, "prompts": {"document": "the "}},
        {"prompts": {"document": "the:"}},
    ],
)
def test_a_model_that_reads_otherwise_does_not_add_up(change: dict[str, object], tmp_path: Path) -> None:
    assert not ruler("word pieces", tmp_path, **change).adds_up


@pytest.mark.parametrize("beside", ["lstrip", "rstrip", "single_word"])
def test_an_added_token_that_looks_at_what_stands_beside_it_does_not_add_up(beside: str, tmp_path: Path) -> None:
    text, spec = text_input("word pieces", tmp_path)
    file = tmp_path / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.add_special_tokens([AddedToken("[MASK]", **{beside: True})])
    tokenizer.save(str(file))

    assert text.adds_up
    assert not TextInput(tmp_path, spec).adds_up


def check_that_it_adds_up(made: TextRuler, texts: Sequence[str]) -> None:
    """Any run between two spaces."""
    draw = Random(3)
    for text in texts:
        spaces = [at for at, letter in enumerate(text) if letter in " \n\r\t"]
        ends = sorted(draw.choices([-1, *spaces, len(text)], k=2) for _ in range(20))
        runs = [(min(one) + 1, max(one)) for one in ends]
        runs = [(start, stop) for start, stop in runs if text[start:stop].strip()]
        (spans,) = made.offsets([text])
        within = [int(((spans[:, 0] >= start) & (spans[:, 0] < stop)).sum()) for start, stop in runs]

        assert [tokens + made.added for tokens in within] == made.count([text[start:stop] for start, stop in runs])


@pytest.mark.parametrize("change", [{}, {"prompts": {"document": "the river: "}}])
def test_what_stands_between_spaces_has_its_tokens_alone_as_well(change: dict[str, object], tmp_path: Path) -> None:
    made = ruler("word pieces", tmp_path, **change)

    assert made.adds_up
    check_that_it_adds_up(made, [text_of(seed, 12) + " [SEP]a [CLS] b[MASK]" for seed in range(10)])


@pytest.mark.slow
@pytest.mark.weights
def test_the_default_model_adds_up(minilm_folder: Path, tmp_path: Path) -> None:
    spec = find(str(minilm_folder), cache_dir=tmp_path).spec
    made = TextRuler(TextInput(minilm_folder, spec), spec)

    assert made.adds_up
    check_that_it_adds_up(made, [text_of(seed, 6) for seed in range(40)])
