"""What the load test says of a run: percentiles, fair shares, what counts as an answer, what noise may excuse."""

import itertools
import math

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from embedstack.server.batches import WINDOW_S, Batches
from load_page import page
from load_stats import (
    LONGEST,
    OVER,
    Seen,
    answered,
    endings,
    fair_shares,
    growth,
    latencies_ms,
    longest_ms,
    looks,
    percentile,
    shares,
)
from load_verdict import Criterion, criteria, has_failed, taken_by_others


def seen(key: str = "heavy", tokens: int = 10, at: float = 1.0, took_s: float = 0.01, **more: object) -> Seen:
    given = {"priority": "interactive", "fate": "answered", "status": 200, **more}
    return Seen(key=key, tokens=tokens, due=at, sent=at, ended=at + took_s, **given)


# ------------------------------------------------------------------------------------------------ statistics


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]

    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 0.99) == 7.0
    assert math.isnan(percentile([], 0.5))


def test_who_wants_less_than_an_equal_part_gets_all_and_the_others_share_the_rest() -> None:
    assert fair_shares({"heavy": 180, "light": 20}, 100) == {"light": 20, "heavy": 80}
    assert fair_shares({"a": 90, "b": 70, "c": 10}, 100) == {"a": 45, "b": 45, "c": 10}


def test_nobody_gets_more_than_it_wants() -> None:
    assert fair_shares({"a": 30, "b": 20}, 100) == {"a": 30, "b": 20}


def test_a_key_with_a_right_to_all_is_judged_by_what_became_of_its_requests() -> None:
    heavy = [seen(at=float(n), tokens=100) for n in range(30)]
    light = [
        seen("light", at=1.0),
        seen("light", at=2.0, status=429),
        seen("light", at=29.0, took_s=5.0),  # so late that it may be under way
    ]

    assert shares([*heavy, *light], 0.0, 30.0)["light"].of_fair == 0.5


def test_a_key_that_waits_behind_the_others_does_not_have_its_share() -> None:
    heavy = [seen(at=float(n), tokens=100) for n in range(60)]
    light = [seen("light", at=float(n), took_s=30.0) for n in range(60)]

    assert shares([*heavy, *light], 0.0, 60.0)["light"].of_fair == pytest.approx(30 / 50)


def test_a_key_that_wants_more_than_its_share_is_judged_by_what_it_got() -> None:
    heavy = [seen(at=float(n), tokens=100, status=200 if n % 2 else 429) for n in range(30)]

    assert shares([*heavy, seen("light")], 0.0, 30.0)["heavy"].of_fair == pytest.approx(1.0)


def test_tokens_count_where_the_reply_came_and_only_with_vectors() -> None:
    inside, before, refused = seen(at=5.0), seen(at=0.0, took_s=0.5), seen(at=5.0, status=429)
    wrong = seen(at=5.0, wrong="another text's vector")

    assert answered([inside, before, refused, wrong], 1.0, 10.0) == {"heavy": 10}


def test_the_latency_of_refusals_is_not_that_of_what_was_let_in() -> None:
    assert latencies_ms([seen(took_s=0.25), seen(took_s=0.001, status=429)], "interactive") == [250.0]


@pytest.mark.parametrize(
    ("one", "is_answered"),
    [
        (seen(), True),
        (seen(status=429), True),
        (seen(status=503), True),
        (seen(status=500), False),
        (seen(status=429, wrong="no envelope"), False),
        (seen(wrong="another text's vector"), False),
        (seen(fate="hung", status=0), False),
        (seen(fate="lost", status=0), False),
    ],
)
def test_an_answer_has_vectors_or_says_what_to_do(one: Seen, is_answered: bool) -> None:
    assert one.is_answered is is_answered


def test_endings_are_counted_by_kind() -> None:
    ended = [seen(), seen(), seen(status=429), seen("light", fate="lost", status=0, wrong="ConnectionResetError")]

    assert endings(ended) == {
        "heavy interactive": {"200": 2, "429": 1},
        "light interactive": {"lost (ConnectionResetError)": 1},
    }


def test_memory_of_half_an_hour_is_compared_between_minutes_5_to_10_and_25_to_30() -> None:
    samples = [(60.0, 900.0), (400.0, 100.0), (590.0, 110.0), (1000.0, 800.0), (1600.0, 115.0)]

    assert growth(samples, 1800.0) == (110.0, 115.0)


@pytest.mark.parametrize("length_s", [60.0, 61.0, 89.0, 90.0, 100.0, 1800.0])
def test_looks_at_the_longest_batch_leave_nothing_of_the_window_out_and_see_nothing_before_it(length_s: float) -> None:
    ends = [0.0, *looks(length_s)]

    assert ends[1] >= WINDOW_S
    assert ends[-1] == length_s
    assert all(0 <= after - before <= WINDOW_S for before, after in itertools.pairwise(ends))


def test_the_longest_batch_of_less_than_a_minute_cannot_be_told() -> None:
    assert looks(59.0) == []
    assert longest_ms([]) is None


def test_the_longest_batch_is_that_of_all_looks() -> None:
    told = [dict(zip(LONGEST.values(), given, strict=True)) for given in ((0.05, 0.02), (0.01, 0.04))]

    assert longest_ms(told) == {"interactive": 50.0, "bulk": 40.0}
    assert longest_ms([*told, {"embedstack_ready": 1.0}]) is None


def test_the_server_shows_what_a_load_asks_it_for() -> None:
    registry = CollectorRegistry()
    Batches(registry, bulk_batch_s=0.04)
    shown = {line.rpartition(" ")[0] for line in generate_latest(registry).decode().splitlines()}

    assert {*LONGEST.values(), OVER} <= shown


# ------------------------------------------------------------------------------------------------ verdicts


def spread(**more: float) -> dict[str, float]:
    return {"count": 100, "p50": 20.0, "p90": 40.0, "p99": 60.0, "max": 80.0, **more}


def share(of_fair: float = 1.0) -> dict[str, float]:
    return {"offered": 1, "of_offered": 0.5, "answered": 1, "of_fair": of_fair}


def busy(**used: float) -> dict[str, float]:
    return {"wall_s": 60.0, "server_processors": 1.9, "generator_processors": 0.1, "idle_processors": 0.0, **used}


def made(**overload: object) -> dict:
    """A sound run."""
    used = busy()
    return {
        "machine": {"processor": "one", "threads": 2, "precision": "float32", "date": "2026-01-01", "commit": "0"},
        "processors": 2,
        "texts": "ours",
        "command": "python bench/load.py",
        "mix": "20% interactive",
        "unloaded_ms": spread(p50=5.0, p99=10.0),
        "capacity": {"tokens_per_s": 1000.0, "seconds": 20.0, "requests": 9, "callers": 6, "endings": {}, "used": used},
        "overload": {
            "seconds": 60.0,
            "tokens_per_s": 950.0,
            "offered_tokens_per_s": 2000.0,
            "interactive_ms": spread(),
            "bulk_ms": spread(),
            "longest_batch_ms": {"interactive": 30.0, "bulk": 40.0},
            "bulk_batches_over_limit": 0.0,
            "shares": {"heavy": share(), "light": share()},
            "memory": {"early_mb": 200.0, "last_mb": 201.0},
            "late_ms": {"p50": 0.1, "p99": 1.0},
            "used": used,
            "endings": {},
            **overload,
        },
        "requests": 10,
        "unanswered": 0,
        "refused": 3,
        "refused_without_retry_after": 0,
        "term": {
            "in_flight": 5, "in_flight_tokens": 50, "after": 2, "lost": 0, "unserved": 0, "raced": 0,
            "exit_code": 0, "endings": {},
        },
    }  # fmt: skip


def long(**overload: object) -> dict:
    return made(**{"seconds": 1800.0, **overload})


def row(run: dict, beginning: str) -> Criterion:
    return next(one for one in criteria(run) if one.what.startswith(beginning))


@pytest.mark.parametrize("run", [made(), long()], ids=["short", "long"])
def test_a_sound_run_reaches_all(run: dict) -> None:
    assert [one.what for one in criteria(run) if not one.reached] == []
    assert not has_failed(run)


@pytest.mark.parametrize(
    ("tokens_per_s", "verdict"), [(900.0, "yes"), (850.0, "no, within the margin"), (700.0, "**no**")]
)
def test_goodput_of_a_short_run_has_a_limit_and_a_margin(tokens_per_s: float, verdict: str) -> None:
    assert row(made(tokens_per_s=tokens_per_s), "goodput").verdict == verdict


@pytest.mark.parametrize(
    ("reached", "missed"),
    [
        ({"tokens_per_s": 900.0}, {"tokens_per_s": 899.0}),
        ({"interactive_ms": spread(p99=70.0)}, {"interactive_ms": spread(p99=70.1)}),
        ({"shares": {"light": share(0.901)}}, {"shares": {"light": share(0.899)}}),
        ({"shares": {"light": share(1.099)}}, {"shares": {"light": share(1.101)}}),
        ({"memory": {"early_mb": 200.0, "last_mb": 210.0}}, {"memory": {"early_mb": 200.0, "last_mb": 210.1}}),
        ({"late_ms": {"p50": 0.1, "p99": 10.0}}, {"late_ms": {"p50": 0.1, "p99": 10.1}}),
    ],
    ids=["goodput", "p99", "a key has too little", "a key has too much", "memory", "generator"],
)
def test_a_long_run_fails_where_a_short_one_has_a_margin(reached: dict, missed: dict) -> None:
    assert [has_failed(run) for run in (long(**reached), long(**missed), made(**missed))] == [False, True, False]


def test_the_least_length_of_a_long_run_is_ten_minutes() -> None:
    assert [has_failed(made(seconds=seconds, tokens_per_s=890.0)) for seconds in (599.0, 600.0)] == [False, True]


def test_a_long_run_is_not_excused_by_what_others_took() -> None:
    used = busy(server_processors=1.0)

    assert has_failed(long(tokens_per_s=890.0, used=used))
    assert {one.margin for one in criteria(long(used=used))} == {""}


def test_goodput_is_not_to_blame_for_what_others_took() -> None:
    robbed = made(tokens_per_s=700.0, used=busy(server_processors=1.4))

    assert row(robbed, "goodput").verdict == "no, within the margin"


def test_a_server_that_idles_under_load_is_to_blame() -> None:
    idle = made(tokens_per_s=700.0, used=busy(server_processors=1.4, idle_processors=0.5))

    assert row(idle, "goodput").verdict == "**no**"


def test_margins_are_wider_where_others_took_much_of_the_machine() -> None:
    p99 = spread(p99=200.0)
    robbed = made(interactive_ms=p99, used=busy(server_processors=1.0))

    assert taken_by_others(robbed) == pytest.approx(0.45)
    assert row(made(interactive_ms=p99), "p99").verdict == "**no**"
    assert row(robbed, "p99").verdict == "no, within the margin"


def test_the_limit_of_p99_is_made_of_the_unloaded_one_and_the_longest_batch() -> None:
    assert "= 70.0 ms" in row(made(), "p99").limit


def test_what_the_server_does_not_show_is_not_measured_and_a_long_run_cannot_do_without() -> None:
    blind = {"longest_batch_ms": None, "bulk_batches_over_limit": None}

    assert {row(made(**blind), what).verdict for what in ("p99", "bulk batches")} == {"not measured"}
    assert [has_failed(run) for run in (made(**blind), long(**blind))] == [False, True]


@pytest.mark.parametrize("change", [{"unanswered": 1}, {"refused_without_retry_after": 1}])
def test_one_request_without_an_answer_fails_the_run(change: dict[str, int]) -> None:
    assert has_failed({**made(), **change})


@pytest.mark.parametrize("change", [{"lost": 1}, {"exit_code": -15}])
def test_one_request_lost_by_a_signal_fails_the_run(change: dict[str, int]) -> None:
    run = made()

    assert has_failed({**run, "term": {**run["term"], **change}})


def test_one_bulk_batch_over_its_limit_fails_the_run() -> None:
    assert has_failed(made(bulk_batches_over_limit=1.0))


def test_the_page_shows_every_criterion() -> None:
    text = page(made())

    assert [one.what for one in criteria(made()) if one.what not in text] == []
