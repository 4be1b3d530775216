"""How fast a total rises that rises in steps."""

import pytest

from embedstack.jobs.rates import STEPS, WINDOW_S, Rate


def after_steps(count: int, every_s: float, height: float) -> Rate:
    rate = Rate(0.0, 0.0)
    for step in range(1, count + 1):
        rate.add(step * every_s, step * height)
    return rate


@pytest.mark.parametrize("every_s", [0.5, 7.0, 59.0, 300.0, 3600.0])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_however_long_a_step_takes_the_rate_is_that_of_whole_ones(every_s: float, share: float) -> None:
    rate = after_steps(10, every_s, 1000.0)

    assert rate.per_s(10 * every_s + share * every_s) == pytest.approx(1000 / every_s)


def test_before_the_first_step_is_done_there_is_none() -> None:
    assert Rate(5.0, 100.0).per_s(300.0) == 0.0


def test_a_look_between_two_steps_changes_nothing() -> None:
    rate = after_steps(3, 300.0, 1000.0)

    for now in range(900, 1200, 10):
        rate.add(float(now), 3000.0)

    assert rate.per_s(1199.0) == pytest.approx(1000 / 300)


def test_what_stands_still_for_longer_than_two_steps_slows_down() -> None:
    rate = after_steps(60, 1.0, 1000.0)

    assert rate.per_s(62.0) == pytest.approx(1000)
    assert rate.per_s(120.0) == pytest.approx(500)
    assert rate.per_s(6000.0) == pytest.approx(10)


def test_long_ago_does_not_count() -> None:
    rate = after_steps(10, 100.0, 1000.0)

    for step in range(1, 1001):
        rate.add(1000.0 + step, 10_000.0 + step * 5)

    assert rate.per_s(2000.0) == pytest.approx(5)


def test_of_long_steps_it_is_of_some_and_not_of_one() -> None:
    rate = Rate(0.0, 0.0)
    for step in range(1, 11):
        rate.add(step * 2 * WINDOW_S, step * 1000.0 + (500.0 if step % 2 else 0.0))

    assert rate.per_s(20 * WINDOW_S) == pytest.approx(1000 / (2 * WINDOW_S))
    assert STEPS % 2 == 0
