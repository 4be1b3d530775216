"""Whom a route asks next, told what became of the ones before; nothing is sent anywhere."""

import pytest

from embedstack.client.routing import Ask, Attempt, Decision, Outcome, Standing, Wait, function_of, route
from embedstack.types import Encode, Image, Pair, Score, Text

A, B, C = (Standing(name) for name in "abc")
SILENCE = None


def failed(place: int, happened: str = "broken") -> Outcome:
    return Outcome(place, settled=False, happened=happened)


def settled(place: int) -> Outcome:
    return Outcome(place, settled=True)


def walked(standings: list[Standing], *outcomes: Outcome | None, **rules: object) -> tuple[list[object], Decision]:
    """What it wanted step by step, and what it decided."""
    steps, told, wanted = route(standings, **rules), iter(outcomes), []
    try:
        step = next(steps)
        while True:
            wanted.append(step)
            step = steps.send(next(told) if isinstance(step, Wait) else None)
    except StopIteration as stop:
        return wanted, stop.value


def test_the_first_is_asked_and_its_answer_decides():
    wanted, decision = walked([A, B], settled(0))

    assert wanted == [Ask(0), Wait(None)]
    assert decision == Decision(0, ())


def test_the_next_is_asked_where_one_fails():
    wanted, decision = walked([A, B], failed(0), settled(1))

    assert wanted == [Ask(0), Wait(None), Ask(1), Wait(None)]
    assert decision == Decision(1, (Attempt("a", "broken"),))


def test_where_all_fail_every_attempt_is_told():
    _, decision = walked([A, B, C], failed(0, "x"), failed(1, "y"), failed(2, "z"))

    assert decision == Decision(None, (Attempt("a", "x"), Attempt("b", "y"), Attempt("c", "z")))


def test_who_is_barred_is_not_asked_and_is_told_of():
    wanted, decision = walked([Standing("a", "left alone"), B], failed(1))

    assert wanted == [Ask(1), Wait(None)]
    assert decision == Decision(None, (Attempt("a", "left alone"), Attempt("b", "broken")))


def test_who_is_not_healthy_is_asked_after_the_others():
    wanted, decision = walked([Standing("a", is_healthy=False), B], failed(1), settled(0))

    assert [step for step in wanted if isinstance(step, Ask)] == [Ask(1), Ask(0)]
    assert decision.place == 0


def test_without_fallback_only_the_first_is_asked():
    wanted, decision = walked([A, B], failed(0), falls_back=False)

    assert wanted == [Ask(0), Wait(None)]
    assert decision == Decision(None, (Attempt("a", "broken"),))


def test_without_fallback_the_first_is_the_first_healthy_one():
    wanted, _ = walked([Standing("a", is_healthy=False), B], settled(1), falls_back=False)

    assert wanted[0] == Ask(1)


def test_a_second_one_is_asked_where_the_first_is_silent_for_so_long():
    wanted, decision = walked([A, B], SILENCE, settled(1), hedge_after_s=0.5)

    assert wanted == [Ask(0), Wait(0.5), Ask(1), Wait(None)]
    assert decision.place == 1


def test_the_first_one_still_wins_when_it_answers_before_the_second():
    _, decision = walked([A, B], SILENCE, settled(0), hedge_after_s=0.5)

    assert decision == Decision(0, ())


def test_one_that_fails_beside_another_leaves_the_other_running():
    wanted, decision = walked([A, B], SILENCE, failed(0), settled(1), hedge_after_s=0.5)

    assert wanted == [Ask(0), Wait(0.5), Ask(1), Wait(None), Wait(None)]
    assert decision == Decision(1, (Attempt("a", "broken"),))


def test_patience_has_a_limit_only_while_somebody_is_left_to_ask():
    wanted, _ = walked([A], settled(0), hedge_after_s=0.5)

    assert wanted == [Ask(0), Wait(None)]


def test_nobody_left_to_ask_is_no_endpoint():
    wanted, decision = walked([Standing("a", "left alone")])

    assert wanted == []
    assert decision == Decision(None, (Attempt("a", "left alone"),))


# ------------------------------------------------------------------------------------------------ what it is for


@pytest.mark.parametrize(
    ("request_", "function"),
    [
        (Encode(model="", items=(Text("a", "query"),)), "query"),
        (Encode(model="", items=(Text("a"),)), "ingest"),
        (Encode(model="", items=(Text("a", "query"), Text("b"))), "ingest"),
        (Encode(model="", items=(Text("a", "query"),), late_chunking=True), "late"),
        (Encode(model="", items=(Image(b"x"),)), "ingest"),
        (Score(model="", items=(Pair("a", "b"),)), "query"),
    ],
)
def test_what_vectors_are_for_is_read_from_the_request(request_, function):
    assert function_of(request_) == function
