"""Who may wait and who is told to come back."""

import math
import random

import pytest

from embedstack.engine.admission import (
    BULK,
    CEILING,
    LEAST_LEFT,
    LONG,
    MEMORY_S,
    MOST_REFUSED,
    SHORT,
    Backlog,
    Left,
    Limits,
    Taken,
    admit,
)
from embedstack.errors import DeadlineExceeded, Overloaded

SECOND = 1_000_000_000


def backlog(**waits: tuple[int, int, int]) -> Backlog:
    """Seconds of short, long and bulk work of each caller."""
    made = Backlog()
    for caller, work in waits.items():
        for claim, seconds in zip((SHORT, LONG, BULK), work, strict=True):
            if seconds:
                made.add(caller, claim, seconds * SECOND)
    return made


def enter(
    made: Backlog,
    caller: str,
    claim=SHORT,
    *,
    limit_s: float = 10,
    fair_s: float | None = None,
    running_s: float = 0,
    left_s=None,
    lanes: int = 1,
    left: float = 1.0,
    own: float | None = None,
) -> None:
    of_device = Left(left, left if own is None else own)
    limit_ns, running_ns = limit_s * SECOND, int(running_s * SECOND)
    fair_ns = limit_ns if fair_s is None else fair_s * SECOND
    admit(
        made, caller, claim, limit_ns,
        fair_ns=fair_ns, running_ns=running_ns, lanes=lanes, left_s=left_s, left=of_device,
    )  # fmt: skip


def test_an_idle_engine_lets_everyone_in() -> None:
    enter(Backlog(), "a", limit_s=0)


def test_who_would_wait_too_long_is_refused_with_the_time_to_come_back() -> None:
    with pytest.raises(
        Overloaded, match=r"would wait 13.00 s.*at most 10.00 s.*behind 12.00 s of work.*in 3.00 s"
    ) as refused:
        enter(backlog(a=(12, 0, 0)), "a", running_s=1)

    assert refused.value.retry_after_s == pytest.approx(3)


def test_another_callers_queue_closes_the_door_for_nobody_else() -> None:
    full = backlog(greedy=(10, 0, 0), modest=(1, 0, 0))

    enter(full, "modest")
    with pytest.raises(Overloaded):
        enter(full, "greedy")


def test_a_caller_is_let_in_up_to_its_fair_share() -> None:
    """Each of the two may hold half of what is allowed."""
    enter(backlog(greedy=(10, 0, 0), modest=(4, 0, 0)), "modest")
    with pytest.raises(Overloaded):
        enter(backlog(greedy=(10, 0, 0), modest=(6, 0, 0)), "modest")


def test_who_has_less_waiting_than_others_may_wait_as_behind_a_short_batch() -> None:
    made = backlog(greedy=(8, 0, 0), modest=(6, 0, 0))

    enter(made, "modest", fair_s=20)
    with pytest.raises(Overloaded):
        enter(made, "greedy", fair_s=20)


def test_who_was_refused_just_now_gets_its_share_kept_for_two_batches() -> None:
    """Else the faster of two would fill the line each time before the other comes."""
    made = backlog(fast=(6, 0, 0))
    made.refuse("slow")

    with pytest.raises(Overloaded):
        enter(made, "fast")
    made.next_batch()
    made.next_batch()
    made.next_batch()
    made.next_batch()
    enter(made, "fast")


def test_callers_with_new_names_do_not_get_in_without_end() -> None:
    made, admitted = Backlog(), 0
    for number in range(1000):
        try:
            enter(made, f"name {number}")
        except Overloaded:
            continue
        made.add(f"name {number}", SHORT, SECOND)
        admitted += 1

    assert 10 <= admitted <= CEILING * 10 + 1


def test_a_huge_request_of_one_caller_does_not_close_the_door_for_others() -> None:
    enter(backlog(night=(0, 0, 1000)), "other", BULK, limit_s=30)


def test_interactive_work_of_others_goes_before_bulk() -> None:
    made = backlog(a=(4, 4, 0))

    assert made.ahead("b", BULK) == 8 * SECOND
    assert made.ahead("b", SHORT) == 0


def test_a_short_request_does_not_stand_behind_its_callers_long_ones() -> None:
    made = backlog(a=(1, 100, 100))

    assert [made.ahead("a", claim) // SECOND for claim in (SHORT, LONG, BULK)] == [1, 101, 201]


def test_several_lanes_share_the_work() -> None:
    enter(backlog(a=(12, 0, 0)), "a", limit_s=20, lanes=2)
    with pytest.raises(Overloaded, match=r"would wait 6.00 s"):
        enter(backlog(a=(12, 0, 0)), "a", limit_s=10, lanes=2)


def test_a_turn_after_the_deadline_is_not_waited_for() -> None:
    with pytest.raises(DeadlineExceeded, match=r"in 6.00 s and the deadline is in 5.00 s"):
        enter(backlog(a=(6, 0, 0)), "a", left_s=5)
    enter(backlog(a=(6, 0, 0)), "a", left_s=7)


def test_what_comes_and_goes_leaves_nothing() -> None:
    draw, made = random.Random(0), Backlog()
    held = [(draw.choice("abc"), draw.choice([SHORT, LONG, BULK]), draw.randint(1, 10**9)) for _ in range(2000)]
    for caller, claim, work in held:
        made.add(caller, claim, work)
    draw.shuffle(held)
    for caller, claim, work in held:
        made.add(caller, claim, -work)

    assert made.total() == 0
    assert made.ahead("a", BULK) == 0
    assert made._of == {}


def test_only_so_many_refused_callers_are_remembered() -> None:
    made = Backlog()
    for number in range(10 * MOST_REFUSED):
        made.refuse(f"name {number}")

    assert len(made._refused) == MOST_REFUSED


def work_s(limits: Limits, claim=SHORT, *, full_s=0.24, running_s=0.0, is_long_before=False, lanes=1) -> float:
    return limits.work_s(claim, full_s=full_s, running_s=running_s, is_long_before=is_long_before, lanes=lanes)


def test_without_a_server_nobody_is_refused() -> None:
    assert work_s(Limits()) == work_s(Limits(), BULK) == math.inf


def test_a_full_batch_is_always_let_in_when_the_limit_is_chosen() -> None:
    """64 connections with one query of 16 tokens each never hear that the server is busy."""
    for running_s in (0.0, 0.1, 0.14, 0.24):
        allowed = work_s(Limits(max_wait_s=0.0), running_s=running_s, is_long_before=running_s > 0.13)

        assert allowed >= 0.24


def test_less_waits_behind_a_long_batch_than_behind_a_short_one() -> None:
    behind_long = work_s(Limits(max_wait_s=0.0), running_s=0.2, is_long_before=True) - 0.2
    behind_short = work_s(Limits(max_wait_s=0.0), running_s=0.1) - 0.1

    assert behind_long == pytest.approx(0.4 * 0.24)
    assert behind_short == pytest.approx(0.85 * 0.24)


def test_a_fast_device_may_be_waited_for_as_long_as_nobody_feels() -> None:
    assert work_s(Limits(max_wait_s=0.0), full_s=0.003) == pytest.approx(0.06)


def test_a_limit_that_was_set_is_kept() -> None:
    assert work_s(Limits(max_wait_s=0.1), running_s=5.0) == pytest.approx(0.1)
    assert work_s(Limits(max_wait_s=0.1), lanes=2) == pytest.approx(0.2)


def test_bulk_and_long_requests_may_wait_longer() -> None:
    assert [work_s(Limits(max_wait_s=0.0, max_bulk_wait_s=30), claim) for claim in (LONG, BULK)] == [30, 30]
    assert work_s(Limits(max_wait_s=60, max_bulk_wait_s=30), BULK) == 60


# ------------------------------------------------------------------------------------------------ what is left to bulk


def test_bulk_waits_longer_by_what_interactive_requests_take() -> None:
    enter(backlog(a=(0, 0, 4)), "a", BULK, left=0.5)
    with pytest.raises(Overloaded, match=r"would wait 12.00 s"):
        enter(backlog(a=(0, 0, 6)), "a", BULK, left=0.5)


def test_interactive_work_before_bulk_takes_no_longer_for_it() -> None:
    enter(Backlog(), "a", BULK, running_s=4, left=0.1)
    enter(backlog(b=(4, 0, 0)), "a", BULK, running_s=4, left=0.1)


def test_an_interactive_request_does_not_ask_what_is_left_to_bulk() -> None:
    enter(backlog(a=(6, 0, 0)), "a", SHORT, left=0.1)


def test_a_device_that_did_nothing_has_everything_left() -> None:
    assert Taken().left(1e9, "a") == Left(1.0, 1.0)


@pytest.mark.parametrize("lanes", [1, 4])
def test_what_is_left_is_what_interactive_batches_did_not_take(lanes: int) -> None:
    """Also where those of several lanes end at one moment."""
    taken = Taken()
    for moment in range(100):
        for _ in range(lanes):
            taken.add(float(moment), 0.6, lanes)

    assert taken.left(99.5, "a").all == pytest.approx(0.4, abs=0.05)


def test_what_was_taken_is_forgotten() -> None:
    taken = Taken()
    for moment in range(100):
        taken.add(float(moment), 1.0, 1)

    assert taken.left(99.0, "a").all == LEAST_LEFT
    assert taken.left(99.0 + 5 * MEMORY_S, "a").all > 0.99


def test_a_callers_bulk_gets_what_others_do_not_take_and_never_less_than_its_turn() -> None:
    taken = Taken()
    for moment in range(100):
        taken.add(float(moment), 0.5, 1)
        taken.add(float(moment), 0.1, 1, "small")
        taken.add(float(moment), 0.4, 1, "large")

    large, small, new = (taken.left(99.0, caller) for caller in ("large", "small", "new"))

    assert large.all == small.all == new.all == pytest.approx(0.5, abs=0.05)
    assert large.own == pytest.approx(0.4, abs=0.05)
    assert small.own == pytest.approx(0.25, abs=0.03)
    assert new.own == pytest.approx(0.17, abs=0.02)


def test_what_others_will_send_counts_as_much_as_what_they_have_sent() -> None:
    enter(backlog(a=(0, 0, 4)), "a", BULK, left=0.5, own=0.4)
    with pytest.raises(Overloaded):
        enter(backlog(a=(0, 0, 5)), "a", BULK, left=0.5, own=0.4)


def test_callers_who_took_next_to_nothing_are_forgotten() -> None:
    taken = Taken()
    for number in range(1000):
        taken.add(0.0, 1e-6, 1, f"name {number}")

    assert taken.left(0.0, "a").own == 1.0
