"""Our error function is the C library's."""

import math

import numpy as np

from embedstack.runtimes.erf import MIDDLE_ENDS, NEAR_ENDS, ONE_BEGINS, erf


def test_it_equals_the_c_library_to_the_last_places() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20_001), np.random.default_rng(1).normal(0, 1, 20_000)])

    assert np.abs(erf(x) - [math.erf(value) for value in x]).max() <= 4e-16


def test_the_ends_of_its_parts_and_what_lies_beyond_are_exact() -> None:
    x = np.array([0.0, NEAR_ENDS, MIDDLE_ENDS, ONE_BEGINS, math.inf, 1e-300])
    both = np.concatenate([x, -x])

    assert np.abs(erf(both) - [math.erf(value) for value in both]).max() <= 2e-16


def test_not_a_number_stays_that_and_the_shape_stays() -> None:
    made = erf(np.array([[math.nan, 0.5]]))

    assert made.shape == (1, 2)
    assert math.isnan(made[0, 0])
