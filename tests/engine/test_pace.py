"""How long the next batch will take, learned from those before."""

import random

import numpy as np
import pytest

from embedstack.engine.pace import OUTLIER, Pace, solve

RUN_S, TOKEN_S, SQUARE_S = 1.4e-3, 235e-6, 2.5e-7  # measured for all-MiniLM-L6-v2 on two cores


def took(tokens: int, squares: int) -> float:
    return RUN_S + TOKEN_S * tokens + SQUARE_S * squares


def taught(seconds=took, *, batches: int = 40, seed: int = 0) -> Pace:
    """From batches of up to 40 items of up to 256 tokens."""
    draw, pace = random.Random(seed), Pace()
    for _ in range(batches):
        items, longest = draw.randint(1, 40), draw.choice([8, 16, 64, 256])
        tokens = items * longest
        pace.observe(tokens, tokens * longest, seconds(tokens, tokens * longest))
    return pace


@pytest.mark.parametrize(("tokens", "squares"), [(10, 100), (160, 1600), (1024, 65536), (326, 524288)])
def test_a_batch_is_predicted_from_those_before(tokens: int, squares: int) -> None:
    assert taught().costs.of(tokens, squares) == pytest.approx(took(tokens, squares), rel=0.05)


def test_a_few_batches_are_enough() -> None:
    assert taught(batches=4).costs.of(512, 32768) == pytest.approx(took(512, 32768), rel=0.2)


def test_noise_is_averaged() -> None:
    draw = random.Random(1)

    pace = taught(lambda tokens, squares: took(tokens, squares) * draw.uniform(0.7, 1.3), batches=200)

    assert pace.costs.of(512, 32768) == pytest.approx(took(512, 32768), rel=0.15)


def test_before_the_first_batch_a_model_is_taken_for_a_small_one() -> None:
    assert 0.1 < Pace().predicted_s(1024) < 1.0


@pytest.mark.parametrize("factor", [0.001, 100])
def test_one_batch_is_enough_for_the_scale_of_a_device(factor: float) -> None:
    pace = Pace()

    pace.observe(512, 32768, factor * took(512, 32768))

    assert pace.costs.of(512, 32768) == pytest.approx(factor * took(512, 32768), rel=0.01)
    assert pace.costs.of(1024, 65536) == pytest.approx(factor * took(1024, 65536), rel=0.2)


def test_a_slow_first_run_is_soon_forgotten() -> None:
    pace = Pace()
    pace.observe(10, 100, took(10, 100) + 0.5)
    for _ in range(5):
        pace.observe(10, 100, took(10, 100))

    assert pace.costs.of(10, 100) < 5 * took(10, 100)
    for _ in range(40):
        pace.observe(10, 100, took(10, 100))
    assert pace.costs.of(10, 100) == pytest.approx(took(10, 100), rel=0.25)


def test_one_run_that_took_a_minute_counts_as_three() -> None:
    pace, calm = taught(), taught()
    pace.observe(512, 32768, 60.0)
    calm.observe(512, 32768, OUTLIER * calm.costs.of(512, 32768))

    assert pace.costs == calm.costs
    assert pace.costs.of(512, 32768) < 2 * took(512, 32768)


def test_a_device_that_became_slower_is_noticed() -> None:
    pace = taught()
    for _ in range(60):
        pace.observe(512, 32768, 3 * took(512, 32768))

    assert pace.costs.of(512, 32768) == pytest.approx(3 * took(512, 32768), rel=0.15)


def test_no_cost_is_ever_below_nothing() -> None:
    """Batches that take the less the more they hold: every line through them falls."""
    pace = taught(lambda tokens, squares: 1 / tokens)

    costs = pace.costs
    assert min(costs.run_s, costs.square_s) >= 0
    assert costs.token_s > 0
    assert pace.predicted_s(1000) >= pace.predicted_s(10)


def test_batches_of_one_size_do_not_make_the_others_absurd() -> None:
    pace = Pace()
    for _ in range(200):
        pace.observe(10, 100, took(10, 100))

    assert 0.2 * took(1024, 65536) < pace.costs.of(1024, 65536) < 5 * took(1024, 65536)


def test_no_time_at_all_is_a_time_too() -> None:
    pace = Pace()
    pace.observe(10, 100, 0.0)

    assert pace.tokens_within(1.0) > 1000


def test_as_many_tokens_as_run_within_a_time_run_within_it() -> None:
    pace = taught()

    tokens = pace.tokens_within(0.04)

    assert 0.9 * 0.04 < pace.predicted_s(tokens) <= 0.04
    assert pace.tokens_within(0.0) == 1


def test_the_small_solver_agrees_with_numpy() -> None:
    draw = np.random.default_rng(0)
    for size in (1, 2, 3):
        rows = draw.normal(size=(8, size))
        matrix, right = rows.T @ rows, draw.normal(size=size)

        assert solve(matrix.tolist(), right.tolist()) == pytest.approx(np.linalg.solve(matrix, right).tolist())


def test_a_system_without_a_solution_is_told_apart() -> None:
    assert not np.isfinite(solve([[1.0, 1.0], [1.0, 1.0]], [1.0, 2.0])).any()
