"""What each recipe gave for some rows, and the verdict."""

from dataclasses import replace

import numpy as np
import pytest

from embedstack.identifying.fitting import Noise, Tried, duel, enough_of, noise_of
from embedstack.identifying.judging import Finding, judged
from embedstack.identifying.numbers import Stored
from embedstack.identifying.recipe import Reading, Recipe
from embedstack.identifying.wording import Wording
from embedstack.testing.fake import hash_spec

SPEC = replace(hash_spec(), prompts={"document": "passage: ", "query": "query: "})
READING = Reading(wording=Wording("text"), prompt="passage: ", max_tokens=SPEC.max_tokens)
OWN = Recipe(spec=SPEC, reading=READING, pooling=SPEC.pooling, dim=SPEC.dim)
CLS = replace(OWN, pooling="cls")
SHORT = replace(OWN, reading=replace(READING, max_tokens=128))
EXACT, FAR = 1e-12, 0.3
NOISE = noise_of(Stored("float32", 1e-16), "bfloat16")


def tried(recipe: Recipe, *off: float) -> Tried:
    given = np.array(off)
    return Tried(recipe, given, given, np.full(len(off), 3.0), np.full(len(off), 0.5))


def judge(*given: Tried, noise: Noise = NOISE, lengths: float = 1.0) -> Finding:
    return judged(given, np.full(len(given[0].off), lengths), noise, keeps_length=True)


def test_the_only_one_that_fits_is_named() -> None:
    made = judge(tried(OWN, *[EXACT] * 8), tried(CLS, *[FAR] * 8))

    assert (made.verdict, made.best.recipe, made.best.fits, made.computed) == ("named", OWN, 8, "float32")
    assert (made.evidence.runner_up, made.evidence.rows) == (CLS, 8)
    assert made.evidence.times == pytest.approx(FAR / 1e-6)


def test_one_row_that_only_one_recipe_fits_tells_two_apart() -> None:
    made = judge(tried(OWN, *[EXACT] * 8), tried(SHORT, *[EXACT] * 7, FAR))

    assert (made.verdict, made.best.recipe, made.evidence.rows) == ("named", OWN, 1)


def test_two_that_fit_all_rows_alike_tie_and_the_models_own_comes_first() -> None:
    made = judge(tried(SHORT, *[EXACT] * 8), tried(OWN, *[2 * EXACT] * 8))

    assert (made.verdict, made.best.recipe, [one.recipe for one in made.tied]) == ("tie", OWN, [SHORT])


def test_a_difference_that_rounding_hides_is_a_tie() -> None:
    noise = noise_of(Stored("int8", 1e-3), "float32")

    made = judge(tried(OWN, *[1e-3] * 8), tried(CLS, *[1.1e-3] * 8), noise=noise)

    assert made.verdict == "tie"


def test_none_fits_if_all_are_far() -> None:
    made = judge(tried(OWN, *[FAR] * 8), tried(CLS, *[0.5] * 8))

    assert (made.verdict, made.best, [one.recipe for one in made.nearest]) == ("none", None, [OWN])


def test_rows_that_nothing_fits_are_counted() -> None:
    made = judge(tried(OWN, *[EXACT] * 6, FAR, FAR), tried(CLS, *[FAR] * 8))

    assert (made.verdict, made.unfit) == ("named", (6, 7))


def test_a_row_many_times_as_far_off_as_the_others_does_not_fit_though_the_precision_would_allow_it() -> None:
    made = judge(tried(OWN, *[EXACT] * 7, 1e-4))

    assert made.unfit == (7,)


def test_rows_of_a_coarser_precision_all_fit() -> None:
    made = judge(tried(OWN, 2e-5, 4e-5, 6e-5, 8e-5, 1e-4))

    assert (made.best.fits, made.computed) == (5, "float16")


def test_a_quarter_of_the_rows_is_enough_and_fewer_are_not() -> None:
    assert [judge(tried(OWN, *[EXACT] * n, *[FAR] * (20 - n))).verdict for n in (5, 4)] == ["named", "none"]


@pytest.mark.parametrize(("rows", "enough"), [(1, 1), (2, 2), (5, 2), (8, 2), (9, 3), (64, 16)])
def test_of_few_rows_two_must_fit(rows: int, enough: int) -> None:
    assert enough_of(rows) == enough


def test_rows_that_only_another_recipe_made_are_a_mix() -> None:
    made = judge(tried(OWN, *[EXACT] * 6, FAR, FAR), tried(CLS, *[FAR] * 6, EXACT, EXACT))

    assert (made.verdict, made.second.recipe, made.second.fits, made.unfit) == ("mixed", CLS, 2, ())


def test_what_was_asked_for_some_rows_is_no_match_but_may_be_the_next_best() -> None:
    made = judge(tried(OWN, *[EXACT] * 8), tried(CLS, 0.1, 0.1, *[np.nan] * 6))

    assert (made.evidence.runner_up, made.evidence.rows) == (CLS, 2)


@pytest.mark.parametrize(
    ("stored", "said"),
    [(1.0, "normalised"), (3.0, "not normalised"), (0.5, "normalised before the cut"), (2.0, "neither")],
)
def test_lengths_tell_how_vectors_were_normalised(stored: float, said: str) -> None:
    assert judge(tried(OWN, *[EXACT] * 8), lengths=stored).lengths == said


def test_lengths_say_nothing_where_the_model_makes_them_1() -> None:
    one = replace(tried(OWN, *[EXACT] * 8), lengths=np.ones(8))

    assert judge(one).lengths == "either"


def test_without_any_recipe_there_is_none() -> None:
    assert judged([], np.ones(3), NOISE, keeps_length=True).verdict == "none"


def test_a_row_that_neither_made_tells_nothing() -> None:
    told = duel(tried(OWN, 0.1), tried(CLS, 0.9), NOISE)

    assert not told.for_first.any()
    assert not told.for_second.any()
