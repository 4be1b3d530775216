"""Single queries, by a clock that the systems move."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest

from embedstack.errors import BadRequest, Overloaded
from embedstack.evals.systems.system import Asked, System
from embedstack.evals.timing import P99_SAMPLES, WARM_ROUNDS, few_note, timed, turn
from support.ranked import Clock, Listed

QUERIES = [Asked(f"q{number}", "") for number in range(7)]
Log = list[tuple[str, str]]


def listed(clock: Clock, log: Log, *names: str, takes_s: Sequence[float] = (0.001,)) -> list[System]:
    return [Listed(name, {}, clock=clock, log=log, takes_s=takes_s) for name in names]


def rounds(log: Log, systems: int) -> list[Log]:
    """The counted ones."""
    counted = log[WARM_ROUNDS * systems :]
    return [counted[at : at + systems] for at in range(0, len(counted), systems)]


# ------------------------------------------------------------------------------------------------ the order


def test_two_systems_come_in_the_order_abba_and_then_baab() -> None:
    clock, log = Clock(), []

    timed(listed(clock, log, "a", "b"), QUERIES, samples=4, limit=1, clock=clock)

    assert "".join(name for turns in rounds(log, 2) for name, _ in turns) == "abbabaab"


@pytest.mark.parametrize("systems", [1, 2, 3, 4, 5])
def test_each_system_has_each_place_equally_often(systems: int) -> None:
    places = Counter(
        (place, system) for round_ in range(2 * systems) for place, system in enumerate(turn(systems, round_))
    )

    assert places == {(place, system): 2 for place in range(systems) for system in range(systems)}


@pytest.mark.parametrize("systems", [2, 3, 5])
def test_each_second_round_is_the_one_before_it_reversed(systems: int) -> None:
    assert all(turn(systems, odd) == turn(systems, odd - 1)[::-1] for odd in range(1, 40, 2))


@pytest.mark.parametrize("systems", [2, 3, 4])
def test_what_rises_steadily_falls_on_all_alike(systems: int) -> None:
    """The n-th call takes n: after each second round all have taken the same."""
    taken = [0] * systems
    for call, system in enumerate(system for round_ in range(2) for system in turn(systems, round_)):
        taken[system] += call

    assert len(set(taken)) == 1


def test_all_systems_see_the_same_query_in_a_round() -> None:
    clock, log = Clock(), []

    timed(listed(clock, log, "a", "b", "c"), QUERIES, samples=30, limit=1, clock=clock)

    assert all(len({query for _, query in turns}) == 1 for turns in rounds(log, 3))


def test_all_queries_come_before_one_comes_again() -> None:
    clock, log = Clock(), []

    timed(listed(clock, log, "a"), QUERIES, samples=21, limit=1, clock=clock)

    asked = [query for ((_, query),) in rounds(log, 1)]
    passes = [asked[at : at + 7] for at in (0, 7, 14)]
    assert all(sorted(one) == sorted(query.id for query in QUERIES) for one in passes)
    assert all(one != other for one, other in pairwise(passes))


def test_the_same_seed_gives_the_same_order_and_another_one_another() -> None:
    logs: list[Log] = [[], [], []]
    for log, seed in zip(logs, (1, 1, 2), strict=True):
        clock = Clock()
        timed(listed(clock, log, "a", "b"), QUERIES, samples=9, limit=1, clock=clock, seed=seed)

    assert logs[0] == logs[1] != logs[2]


# ------------------------------------------------------------------------------------------------ the figures


def test_warm_up_is_not_counted() -> None:
    clock, log = Clock(), []
    slow_start = [9.0] * WARM_ROUNDS + [0.002] * 50

    latency = timed(listed(clock, log, "a", takes_s=slow_start), QUERIES, samples=50, limit=1, clock=clock)["a"]

    assert (latency.samples, latency.p99_ms.value) == (50, pytest.approx(2))


def test_percentiles_are_those_of_the_samples_of_each_system() -> None:
    clock = Clock()
    systems = [
        Listed("even", {}, clock=clock),
        Listed("rising", {}, clock=clock, takes_s=[0.0] * WARM_ROUNDS + [n / 1000 for n in range(1, 1001)]),
    ]

    made = timed(systems, QUERIES, samples=1000, limit=1, clock=clock)

    assert (made["even"].p50_ms.value, made["even"].p99_ms.value) == pytest.approx((1, 1))
    assert (made["rising"].p50_ms.value, made["rising"].p99_ms.value) == pytest.approx((500, 990))


def test_interval_of_p99_of_a_thousand_samples_goes_from_the_eighteenth_largest_to_the_fourth() -> None:
    clock = Clock()
    takes_s = [0.0] * WARM_ROUNDS + [n / 1000 for n in range(1, 1001)]

    p99_ms = timed([Listed("a", {}, clock=clock, takes_s=takes_s)], QUERIES, samples=1000, limit=1, clock=clock)[
        "a"
    ].p99_ms

    assert (p99_ms.low, p99_ms.high) == pytest.approx((983, 997))


def test_stages_are_medians_of_what_the_system_says() -> None:
    clock = Clock()
    takes_s = [0.0] * WARM_ROUNDS + [0.010, 0.020, 0.090]
    system = Listed("a", {}, clock=clock, takes_s=takes_s, stages={"embed": 0.75, "search": 0.25})

    latency = timed([system], QUERIES, samples=3, limit=1, clock=clock)["a"]

    assert latency.stages_ms == pytest.approx({"embed": 15, "search": 5})


def test_each_round_that_counts_is_told() -> None:
    clock, told = Clock(), []

    timed(listed(clock, [], "a", "b"), QUERIES, samples=3, limit=1, clock=clock, progress=lambda *one: told.append(one))

    assert told == [("single queries", done, 3) for done in (1, 2, 3)]


def test_fewer_than_a_thousand_samples_have_a_note() -> None:
    assert "999 samples" in few_note(P99_SAMPLES - 1)
    assert few_note(P99_SAMPLES) == ""


# ------------------------------------------------------------------------------------------------ what fails


def test_system_that_fails_midway_is_named_and_its_error_keeps_what_it_carries() -> None:
    clock = Clock()
    busy = Listed("busy", {}, clock=clock, fails_at=20, fails_with=Overloaded("no slot is free", retry_after_s=7))

    with pytest.raises(Overloaded, match=r"^system 'busy': no slot is free$") as caught:
        timed([Listed("calm", {}, clock=clock), busy], QUERIES, samples=50, limit=1, clock=clock)

    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(("systems", "queries", "samples"), [(0, 7, 1), (1, 0, 1), (1, 7, 0)])
def test_nothing_to_time_is_refused(systems: int, queries: int, samples: int) -> None:
    with pytest.raises(BadRequest, match="cannot be timed"):
        timed(listed(Clock(), [], *"ab"[:systems]), QUERIES[:queries], samples=samples, limit=1)
