"""What the storm of faults says of a run: what counts as lost, late, wrong or answered twice, and how hard it is."""

import numpy as np
import pytest

from chaos_count import (
    LATE_S,
    Seen,
    Traces,
    criteria,
    doubled,
    executions,
    has_failed,
    jobs,
    late,
    least_cosine,
    lost,
    summary,
)
from chaos_page import page
from chaos_plan import MOST_TEXTS, asks, first_text, number_of, storm
from chaos_stage import Watch
from embedstack.emulator.clock import ManualClock
from embedstack.emulator.faults import CLIENT_ROUTES, WORKER_ROUTES, Faults
from embedstack.emulator.job import Submission
from embedstack.emulator.platform import Platform

ROWS = np.eye(3, dtype=np.float32)[:2]


def seen(number: int = 0, fate: str = "proven", took_s: float = 1.0, deadline_s: float = 30.0, **more: object) -> Seen:
    return Seen(number, fate, took_s, deadline_s, **more)


def run_of(*every: Seen, ended: dict[str, int] | None = None, **more: object) -> dict:
    """A run that is good but for what is said."""
    taken = {f"job {number}": number for number in range(len(every))}
    once = dict.fromkeys(taken, 1)
    traces = Traces(taken, once, once | (ended or {}))
    beside = {
        "kills": [3],
        "seconds": 1.0,
        "at_once": 32,
        "workers_started": 3,
        "faults": {"fired": 5, "calls": 100, "by_route": {"runsync": 100}},
        "machine": {"processor": "p", "threads": 2, "date": "d", "commit": "c"},
        "command": "python bench/chaos.py",
    }
    return summary(every, traces, count=len(every), patient_s=30.0) | beside | more


# ------------------------------------------------------------------------------------------------ counting


def test_a_submission_that_the_platform_took_and_nobody_heard_of_is_lost() -> None:
    ended = [seen(0), seen(1, "error"), seen(2, "cancelled"), seen(3, "hung"), seen(4, "bug")]

    assert lost(ended, accepted=[0, 1, 2, 3, 4, 5]) == [4, 5]


def test_an_exception_without_a_name_before_anything_was_taken_is_not_lost() -> None:
    assert lost([seen(0, "bug")], accepted=[]) == []


def test_a_submission_that_ends_twice_is_doubled() -> None:
    assert doubled([seen(0), seen(1), seen(0, "error")]) == [0]


def test_late_is_what_a_busy_machine_does_not_explain() -> None:
    on_time, slow = seen(0, took_s=30.0 + LATE_S), seen(1, took_s=30.1 + LATE_S)

    assert late([on_time, slow]) == [1]


def test_the_jobs_of_a_submission_and_their_hand_outs_are_added_up() -> None:
    traces = Traces({"a": 0, "b": 0, "c": 1}, {"a": 2, "b": 1}, {})

    assert executions([seen(0), seen(1)], traces) == {"0": 1, "3": 1}
    assert jobs([seen(0), seen(1), seen(2)], traces) == {"0": 1, "1": 1, "2": 1}


@pytest.mark.parametrize(
    ("given", "least"),
    [
        (ROWS, 1.0),
        (2 * ROWS, 1.0),
        (ROWS[::-1], 0.0),
        (ROWS[:1], -1.0),
        (np.full_like(ROWS, np.nan), -1.0),
        (np.zeros_like(ROWS), 0.0),
    ],
    ids=["equal", "longer", "swapped", "too few", "no numbers", "zeros"],
)
def test_a_vector_is_compared_with_the_one_in_its_place(given: np.ndarray, least: float) -> None:
    assert least_cosine(given, ROWS) == pytest.approx(least)


# ------------------------------------------------------------------------------------------------ judging


def test_a_run_in_which_all_ended_well_has_not_failed() -> None:
    assert [one.what for one in criteria(run_of(*map(seen, range(20)))) if one.has_failed] == []


@pytest.mark.parametrize(
    ("one", "which"),
    [
        (seen(19, "bug"), "lost"),
        (seen(19, "bug"), "without a name"),
        (seen(19, "hung"), "still waiting"),
        (seen(19, "wrong", cosine=0.5), "not those"),
        (seen(18), "twice"),
        (seen(18), "without an end"),
        (seen(19, took_s=33.0), "later"),
    ],
)
def test_one_submission_of_many_is_enough_to_fail(one: Seen, which: str) -> None:
    made = run_of(*map(seen, range(19)), one)

    assert has_failed(made)
    assert any(which in criterion.what for criterion in criteria(made) if criterion.has_failed)


@pytest.mark.parametrize(
    ("beside", "which"),
    [
        ({"ended": {"job 3": 0}}, "never ended there"),
        ({"ended": {"job 3": 2}}, "ended twice on the platform"),
        ({"kills": []}, "killed"),
    ],
)
def test_a_job_without_one_end_and_a_storm_without_a_kill_fail(beside: dict[str, object], which: str) -> None:
    made = run_of(*map(seen, range(20)), **beside)

    assert [which in criterion.what for criterion in criteria(made) if criterion.has_failed] == [True]


def test_an_exception_without_a_name_before_anything_was_taken_fails_too() -> None:
    every = [*map(seen, range(19)), seen(19, "bug")]
    traces = Traces({f"job {number}": number for number in range(19)}, {}, {f"job {number}": 1 for number in range(19)})
    made = summary(every, traces, count=20, patient_s=30.0) | {"kills": [1]}

    assert ["without a name" in one.what for one in criteria(made) if one.has_failed] == [True]


def test_a_watch_counts_each_end_of_a_job_once() -> None:
    clock = ManualClock()
    platform = Platform(clock)
    endpoint = platform.add_endpoint("ep")
    watch = Watch(platform, endpoint)
    kept, gone = (endpoint.book.submit(Submission(input=b"{}", ttl_s=ttl_s), clock.now()) for ttl_s in (9000.0, 10.0))
    endpoint.book.cancel(kept.id, clock.now())
    clock.advance(11)
    before = dict(watch.ended)
    clock.advance(2000)

    assert before == dict(watch.ended) == {kept.id: 1, gone.id: 1}
    assert len(endpoint.book) == 0


def test_a_run_of_errors_alone_is_no_success() -> None:
    assert has_failed(run_of(*(seen(number, "error", name="upstream") for number in range(20))))


def test_who_had_no_time_or_was_cancelled_does_not_count_against_it() -> None:
    hurried = [seen(number, "error", 0.5, 0.5, name="deadline") for number in range(10)]
    gone = [seen(number, "cancelled") for number in range(10, 20)]

    assert not has_failed(run_of(*hurried, *gone, *map(seen, range(20, 30))))


def test_the_page_has_a_row_for_each_criterion_and_the_errors_by_name() -> None:
    made = run_of(*map(seen, range(19)), seen(19, "error", name="overloaded"))
    text = page(made)

    assert all(f"| {one.what} |" in text for one in criteria(made))
    assert "overloaded: 1" in text


# ------------------------------------------------------------------------------------------------ the storm


def test_submissions_are_the_same_for_the_same_seed_and_have_a_text_of_their_own() -> None:
    made = asks(300, seed=1)

    assert made == asks(300, seed=1) != asks(300, seed=2)
    assert [number_of(one.texts) for one in made] == list(range(300))
    assert {len(one.texts) for one in made} == set(range(1, MOST_TEXTS + 1))
    assert len({first_text(one.number) for one in made}) == 300


def test_some_submissions_are_cancelled_and_some_have_no_time() -> None:
    made = asks(400)

    assert 5 <= sum(one.cancel_after_s is not None for one in made) <= 40
    assert 5 <= sum(one.deadline_s < 1 for one in made) <= 40


@pytest.mark.parametrize("route", [*CLIENT_ROUTES, *WORKER_ROUTES])
def test_the_share_of_every_route_goes_wrong(route: str) -> None:
    faults, calls = Faults(storm(0.05), seed=3), 4000
    for _ in range(calls):
        _ = faults.pick(route) or faults.pick(route, stage="after")

    expected = 0.1 if route == "ping" else 0.05  # a heartbeat may be ignored beside
    assert faults.fired / calls == pytest.approx(expected, abs=0.015)
