"""When an endpoint is left alone, and how it comes back; the time is passed in."""

import pytest

from embedstack.client.breaker import FAILURES, LONGEST_S, OPEN_S, Breaker


def opened() -> Breaker:
    """Since second 0."""
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(0.0, breaker.began())
    return breaker


def tried(breaker: Breaker, now: float) -> Breaker:
    """One more trial has failed."""
    assert breaker.may_ask(now)
    breaker.failed(now, breaker.began())
    return breaker


def test_calls_pass_while_nothing_is_known_against_it():
    breaker = Breaker()
    breaker.began()

    assert breaker.may_ask(0.0)
    assert breaker.is_closed


def test_failures_in_a_row_open_it_and_the_last_of_them_says_so():
    breaker = Breaker()

    assert [breaker.failed(0.0) for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
    assert not breaker.may_ask(0.0)


def test_an_answer_has_the_failures_counted_anew():
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)

    assert breaker.may_ask(0.0)


@pytest.mark.parametrize("now", [0.0, OPEN_S - 0.001])
def test_nothing_passes_before_the_pause_is_over(now):
    assert not opened().may_ask(now)
    assert opened().left_s(now) == OPEN_S - now


def test_one_call_passes_when_the_pause_is_over():
    breaker = opened()

    assert breaker.may_ask(OPEN_S)
    breaker.began()
    assert not breaker.may_ask(OPEN_S)


def test_the_one_call_closes_it_with_an_answer():
    breaker = opened()
    breaker.began()
    breaker.succeeded()

    assert breaker.is_closed
    assert [breaker.failed(99.0) for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]


def test_each_failed_trial_doubles_the_pause_up_to_a_limit():
    breaker, now, pauses = opened(), OPEN_S, []
    for _ in range(8):
        tried(breaker, now)
        pauses.append(breaker.left_s(now))
        now += breaker.left_s(now)

    assert pauses[:3] == [2 * OPEN_S, 4 * OPEN_S, 8 * OPEN_S]
    assert pauses[-1] == LONGEST_S


def test_a_trial_that_says_nothing_leaves_the_next_call_to_try():
    breaker = opened()
    breaker.released(breaker.began())

    assert breaker.may_ask(OPEN_S)


def test_a_trial_is_ended_by_its_own_end_alone():
    breaker = opened()
    trial = breaker.began()

    breaker.released()
    breaker.failed(OPEN_S)

    assert not breaker.may_ask(OPEN_S)
    assert breaker.open_s == OPEN_S
    breaker.failed(OPEN_S, trial)
    assert breaker.open_s == 2 * OPEN_S


def test_calls_that_were_under_way_when_it_opened_do_not_prolong_the_pause():
    breaker = opened()

    assert not breaker.failed(OPEN_S / 2)
    assert breaker.may_ask(OPEN_S)
