"""Stored vectors and models: which recipe made them. The vectors are made by hand in numpy, without code of ours."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.catalog.locate import Located
from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.identifying.fitting import noise_of
from embedstack.identifying.identify import Identified, Wish, identify
from embedstack.identifying.judging import judged
from embedstack.identifying.opening import open_pool
from embedstack.identifying.recipe import Recipe
from embedstack.identifying.sampling import sample
from embedstack.identifying.trying import trials
from embedstack.quantize import quantized
from embedstack.settings import Settings
from support.by_hand import By, Hand, texts
from support.kept_vectors import KEEPS, Place, found, lines, rows

pytestmark = pytest.mark.slow  # each opens a model; what is marked quality is for the long checks

RECIPES = {
    "mean": By(),
    "cls": By(pooling="cls"),
    "last": By(pooling="last"),
    "max": By(pooling="max"),
    "a prompt of another model": By(prompt="query: "),
    "another such": By(prompt="search_document: "),
    "not normalised": By(is_normalised=False),
    "cut at 128": By(cut=128),
    "cut at 512": By(cut=512),
    "half of the numbers": By(dim=16),
    "capital letters kept": By(is_cased=True),
    "no special tokens": By(is_bare=True),
    "another model": By(seed=9),
}


def says(recipe: Recipe) -> dict[str, object]:
    """As `By.says`."""
    reading = recipe.reading
    return {
        "pooling": recipe.pooling, "prompt": reading.prompt, "max_tokens": reading.max_tokens, "dim": recipe.dim,
        "case": reading.case, "special_tokens": not reading.is_bare,
    }  # fmt: skip


def best(made: Identified) -> Recipe:
    assert made.finding.best is not None
    return made.finding.best.recipe


# ------------------------------------------------------------------------------------------------ which of many


@pytest.mark.quality
@pytest.mark.parametrize("kept", ["embedded", "qdrant"])
@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_is_named_of_a_collection(
    name: str, kept: str, first: Path, second: Path, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    by = RECIPES[name]
    made_by = second if by.seed == 9 else first
    place = KEEPS[kept](tmp_path, words, Hand(made_by).vectors(words, by))

    made = found(place, settings, first, second)

    assert (made.finding.verdict, best(made).spec.name) == ("named", made_by.name)
    assert says(best(made)) == by.says()
    expected = "normalised" if by.is_normalised else "not normalised"
    assert made.finding.lengths == ("not judged" if kept == "qdrant" else expected)
    assert made.finding.best.fits == made.finding.rows == len(words)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("mean", "lines"), ("cls", "parquet"), ("a prompt of another model", "lines"), ("cut at 128", "parquet")],
)
def test_the_recipe_is_named_of_files(
    name: str, kept: str, first: Path, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    by = RECIPES[name]
    place = KEEPS[kept](tmp_path, words, Hand(first).vectors(words, by))

    made = found(place, settings, first)

    assert (made.finding.verdict, says(best(made))) == ("named", by.says())


def test_the_next_best_recipe_is_said_with_how_far_off_it_is(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    evidence = found(lines(tmp_path, words, vectors), settings, first).finding.evidence

    assert evidence.runner_up.reading.max_tokens == 512
    assert 1 <= evidence.rows < len(words)
    assert evidence.best < 1e-9
    assert evidence.times == pytest.approx(evidence.next / 1e-6, rel=1e-3)


@pytest.mark.quality
@pytest.mark.parametrize(("role", "prompt"), [("query", "what is "), ("document", "a river of "), ("none", "")])
def test_a_prompt_of_the_models_own_is_a_role(
    role: str, prompt: str, prompted: Path, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    place = lines(tmp_path, words, Hand(prompted).vectors(words, By(prompt=prompt)))

    made = found(place, settings, prompted)

    assert (best(made).role, best(made).is_own) == (role, True)


@pytest.mark.quality
def test_a_prompt_that_nobody_knows_is_found_where_it_is_said(
    first: Path, hand: Hand, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    place = lines(tmp_path, words, hand.vectors(words, By(prompt="the queen: ")))

    unsaid, said = (found(place, settings, first, prompts=prompts) for prompts in ((), ("the queen: ",)))

    assert (unsaid.finding.verdict, said.finding.verdict) == ("none", "named")
    assert best(said).strays == ("prompt",)


def test_a_graph_that_computes_wrongly_is_named(
    first: Path, hand: Hand, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    place = lines(tmp_path, words, hand.vectors(words, By(first_position=1)))

    made = found(place, settings, first)

    assert (made.finding.verdict, best(made).graph, best(made).strays) == ("named", "positions from 1", ("graph",))


@pytest.mark.parametrize("is_levelled", [True, False])
def test_a_norm_before_the_cut_is_seen_of_a_model_that_has_one(
    is_levelled: bool, first: Path, hand: Hand, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    whole = hand.vectors(words, By(is_normalised=False)).astype(np.float64)
    level = (whole - whole.mean(1, keepdims=True)) / np.sqrt(whole.var(1, keepdims=True) + 1e-5)
    kept = (level if is_levelled else whole)[:, :16]
    spec = replace(find(str(first), cache_dir=settings.cache_dir).spec, cut_norm=True)
    taken = sample(open_pool(lines(tmp_path, words, kept), 1000), len(words))

    made = trials(Located(first, spec, ""), taken, [], noise_of(taken.stored, "float32"), settings)

    finding = judged(made.all, np.linalg.norm(kept, axis=1), noise_of(taken.stored, "float32"), keeps_length=True)
    assert (finding.verdict, finding.best.recipe.is_levelled, finding.best.recipe.is_own) == (
        "named", is_levelled, is_levelled,
    )  # fmt: skip
    assert finding.lengths == "not normalised"


# ------------------------------------------------------------------------------------------------ a tie


def test_short_texts_leave_the_cut_open(first: Path, hand: Hand, settings: Settings, tmp_path: Path) -> None:
    short = texts(20, most=20)

    made = found(lines(tmp_path, short, hand.vectors(short, By())), settings, first)

    tied = {one.recipe.reading.max_tokens for one in made.finding.tied}
    assert (made.finding.verdict, best(made).is_own, tied) == ("tie", True, {128, 512})


@pytest.mark.quality
def test_texts_without_capital_letters_leave_their_keeping_open(
    first: Path, hand: Hand, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    lowered = [text.lower() for text in words]

    made = found(lines(tmp_path, lowered, hand.vectors(lowered, By())), settings, first)

    assert [one.recipe.reading.case for one in made.finding.tied] == ["kept"]


@pytest.mark.quality
def test_five_texts_are_enough(first: Path, hand: Hand, words: list[str], settings: Settings, tmp_path: Path) -> None:
    few = words[:5]

    made = found(lines(tmp_path, few, hand.vectors(few, By(pooling="cls"))), settings, first)

    assert (best(made).pooling, made.finding.best.fits, made.finding.rows) == ("cls", 5, 5)


# ------------------------------------------------------------------------------------------------ none


def test_random_vectors_are_of_none(
    first: Path, second: Path, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    random = np.random.default_rng(0).normal(size=(len(words), 32)).astype(np.float32)

    made = found(lines(tmp_path, words, random), settings, first, second)

    assert (made.finding.verdict, made.finding.best, made.moved) == ("none", None, None)
    assert len(made.finding.nearest) == 2
    assert all(one.fits == 0 for one in made.finding.nearest)


@pytest.mark.quality
def test_vectors_beside_the_wrong_texts_are_of_none_and_it_is_said_whose_they_are(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    made = found(lines(tmp_path, words, np.roll(vectors, 1, axis=0)), settings, first)

    assert (made.finding.verdict, made.moved.is_own) == ("none", True)


@pytest.mark.quality
def test_weights_that_were_trained_further_are_another_model(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    moved = vectors + np.random.default_rng(0).normal(0, 0.02, vectors.shape).astype(np.float32)

    made = found(lines(tmp_path, words, moved), settings, first)

    assert made.finding.verdict == "none"
    assert 0.9 < made.finding.nearest[0].cosine < 0.9999


# ------------------------------------------------------------------------------------------------ rows that differ


def test_rows_whose_texts_were_edited_do_not_hide_the_recipe_and_are_counted(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    edited = [f"my {text}" if number % 5 == 0 else text for number, text in enumerate(words)]

    made = found(lines(tmp_path, edited, vectors), settings, first)

    assert (made.finding.verdict, best(made).is_own) == ("named", True)
    assert [made.sample.rows[place].fields["text"][:3] for place in made.finding.unfit] == ["my "] * 6


def test_two_recipes_in_one_source_are_a_mix(
    first: Path, hand: Hand, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    other = hand.vectors(words, By(pooling="cls"))
    mixed = np.where(np.arange(len(words))[:, None] % 4 == 0, other, vectors)

    finding = found(lines(tmp_path, words, mixed), settings, first).finding

    assert (finding.verdict, finding.best.recipe.pooling, finding.second.recipe.pooling) == ("mixed", "mean", "cls")
    assert (finding.best.fits, finding.second.fits, finding.unfit) == (22, 8, ())


def test_what_was_embedded_may_be_a_title_with_the_text(
    first: Path, hand: Hand, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    made_of = hand.vectors([f"The river. {text}" for text in words], By())
    given = [
        {"title": "The river", "text": text, "vector": row.tolist()} for text, row in zip(words, made_of, strict=True)
    ]

    made = found(rows(tmp_path, given), settings, first)

    assert (made.finding.verdict, best(made).reading.wording.shown) == ("named", "'title' + '. ' + 'text'")


@pytest.mark.quality
def test_what_was_embedded_may_be_under_another_key(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    given = [
        {"text": "the bird", "note": text, "vector": row.tolist()} for text, row in zip(words, vectors, strict=True)
    ]

    made = found(rows(tmp_path, given), settings, first)

    assert (made.finding.verdict, best(made).reading.wording.key) == ("named", "note")


# ------------------------------------------------------------------------------------------------ how they are kept


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_rounded_numbers_widen_what_is_allowed(
    kind: str, first: Path, hand: Hand, words: list[str], settings: Settings, tmp_path: Path
) -> None:
    kept = quantized(hand.vectors(words, By(pooling="cls")), kind)

    made = found(lines(tmp_path, words, kept), settings, first)

    assert (made.sample.stored.name, best(made).pooling) == (kind, "cls")
    assert made.finding.best.fits == len(words)
    assert made.finding.lengths == ("normalised" if kind == "float16" else "not judged")


@pytest.mark.quality
def test_vectors_normalised_before_they_were_cut_are_said_to_be(
    first: Path, hand: Hand, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    made = found(lines(tmp_path, words, vectors[:, :16]), settings, first)

    assert made.finding.lengths == "normalised before the cut"


@pytest.mark.quality
def test_8_bit_computing_is_named_only_where_it_is_allowed(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    rough = vectors + np.random.default_rng(0).normal(0, 0.005, vectors.shape).astype(np.float32)
    place = lines(tmp_path, words, rough)

    made = {held: found(place, settings, first, held=held) for held in ("bfloat16", "int8")}

    assert {held: one.finding.verdict == "none" for held, one in made.items()} == {"bfloat16": True, "int8": False}


# ------------------------------------------------------------------------------------------------ which models


def test_models_in_the_cache_are_tried_by_their_width_and_others_named(
    words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    wide = np.tile(vectors, 12)  # 384 numbers

    with pytest.raises(ConfigError, match=r"384 numbers; .*multilingual-e5-small \(384 numbers, not on this machine"):
        found(lines(tmp_path, words, wide), replace(settings, cache_dir=tmp_path / "empty"))


def test_nothing_is_fetched_for_a_width_that_no_model_has(
    words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"makes vectors of 32 numbers; name one with --model$"):
        found(lines(tmp_path, words, vectors), replace(settings, cache_dir=tmp_path / "empty"))


def test_a_model_of_shorter_vectors_is_refused(first: Path, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="64 numbers and 'first' makes 32"):
        found(lines(tmp_path, ["a"], np.ones((1, 64), np.float32)), settings, first)


def test_no_other_model_is_tried_once_one_has_made_the_vectors(
    first: Path, second: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    made = found(lines(tmp_path, words, vectors), settings, first, second)

    assert made.tried == ("first",)
    assert [(one.name, one.why) for one in made.absent] == [
        ("second", "there was no need: another model made these vectors")
    ]


@pytest.mark.quality
def test_a_copy_of_a_model_is_not_tried_again(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    copy = shutil.copytree(first, tmp_path / "copy")

    made = found(lines(tmp_path, words, vectors[::-1]), settings, first, copy)

    assert (made.tried, [one.name for one in made.absent]) == (("first",), ["copy"])


@pytest.mark.quality
def test_a_text_that_no_model_can_read_is_a_row_that_does_not_fit(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    most = max(map(len, words)) - 1

    made = found(lines(tmp_path, words, vectors), replace(settings, max_text_chars=most), first)

    assert best(made).is_own
    assert [len(made.sample.rows[place].fields["text"]) for place in made.finding.unfit] == [most + 1]


@pytest.mark.quality
def test_who_waits_is_told_of_each_model(
    first: Path, second: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    said: list[str] = []
    place: Place = lines(tmp_path, words, vectors[::-1])

    identify(place, Wish(models=(str(first), str(second))), settings, said.append)

    assert said == ["trying first (1 of 2)", "trying second (2 of 2)"]


# ------------------------------------------------------------------------------------------------ what cannot be read


@pytest.mark.quality
def test_rows_without_texts_are_counted(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    given = [
        {"vector": row.tolist(), **({"text": text} if number % 3 else {})}
        for number, (text, row) in enumerate(zip(words, vectors, strict=True))
    ]

    made = found(rows(tmp_path, given), settings, first)

    assert (made.sample.textless, made.finding.rows) == (10, 20)


def test_without_any_text_nothing_can_be_told(
    first: Path, vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(BadRequest, match="has a text beside its vector; without texts nothing can be embedded again"):
        found(rows(tmp_path, [{"vector": row.tolist()} for row in vectors]), settings, first)


def test_a_key_without_texts_is_refused_with_those_that_have(
    first: Path, words: list[str], vectors: np.ndarray, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(BadRequest, match=r"has a text under 'body'; .*'text'"):
        found(lines(tmp_path, words, vectors), settings, first, text_key="body")
