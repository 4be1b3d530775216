"""How far a job is: from what its processes say, before and after a resume."""

import dataclasses
from collections.abc import Set

import msgspec
import pytest

from embedstack.jobs.events import Ended
from embedstack.jobs.progress import LINE_S, Bar, Done, Seen, Tally, line
from embedstack.jobs.rates import WINDOW_S
from support.job_events import did, progress, started
from support.job_plans import plan_with


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


NOTHING_BEFORE = Done()


def tally(clock: Clock, before: Done = NOTHING_BEFORE, **plan: int) -> Tally:
    return Tally(plan_with(**plan), before, clock=clock)


def test_nothing_is_known_before_the_first_word(clock: Clock) -> None:
    seen = tally(clock).now()

    assert (seen.share, seen.eta_s, seen.tokens_per_s) == (0.0, None, 0.0)


def test_tokens_of_the_whole_are_told_by_the_bytes_of_the_shards_that_are_done(clock: Clock) -> None:
    counted = tally(clock)
    counted.told(0, started())

    counted.told(0, did(0, tokens=1000, input_bytes=4000))

    assert counted.now().tokens == 10_000


def test_tokens_that_the_plan_expects_are_believed(clock: Clock) -> None:
    counted = tally(clock, tokens=8000)

    counted.told(0, did(0, tokens=1000, input_bytes=4000))

    assert counted.now().tokens == 8000


def test_time_left_is_that_of_the_tokens_left_at_the_rate_of_now(clock: Clock) -> None:
    counted = tally(clock, tokens=10_000)
    counted.told(0, started())

    clock.now += 10
    counted.told(0, progress(2000))

    assert counted.now().eta_s == pytest.approx(8000 / 200)


def test_after_a_resume_the_time_left_counts_only_what_is_left(clock: Clock) -> None:
    counted = tally(clock, Done(shards=5, docs=50, bytes=20_000), tokens=10_000)
    counted.told(0, started())

    clock.now += 10
    counted.told(0, progress(1000))

    assert counted.now().eta_s == pytest.approx(4000 / 100)


def test_the_rate_is_of_the_last_minute(clock: Clock) -> None:
    counted = tally(clock, tokens=10_000_000)
    counted.told(0, started())
    for step in range(100):
        clock.now += WINDOW_S / 50
        counted.told(0, progress(1000 * step))
    for step in range(60):
        clock.now += WINDOW_S / 50
        counted.told(0, progress(100_000 + 100 * step))

    assert counted.now().tokens_per_s == pytest.approx(5000 / WINDOW_S, rel=0.25)


def test_shards_of_an_endpoint_that_take_minutes_each_have_a_rate_and_a_time_that_is_left(clock: Clock) -> None:
    counted = tally(clock, tokens=1_900_000)
    counted.told(0, started())
    for shard in range(3):
        clock.now += 300
        counted.told(0, did(shard, tokens=190_000))

    clock.now += 250  # most of the next one is done

    seen = counted.now()
    assert (seen.tokens_per_s, seen.eta_s) == (pytest.approx(190_000 / 300), pytest.approx(7 * 300))
    assert seen.docs_per_s > 0


def test_what_a_dead_process_had_not_committed_is_not_counted_twice(clock: Clock) -> None:
    counted = tally(clock, tokens=10_000)
    counted.told(0, started())
    counted.told(0, did(0, tokens=1000))
    counted.told(0, progress(1900))

    counted.told(0, started())
    counted.told(0, progress(400))

    assert counted.now().tokens_done == 1400


def test_what_was_read_never_falls_also_where_a_process_died(clock: Clock) -> None:
    counted = tally(clock, tokens=10_000)
    counted.told(0, started())
    counted.told(0, progress(1900))

    counted.told(0, started())
    counted.told(0, progress(400))

    assert (counted.now().tokens_read, counted.now().tokens_here) == (2300, 400)


def test_loading_is_no_work(clock: Clock) -> None:
    counted = tally(clock, tokens=100_000)
    clock.now += WINDOW_S - 1
    counted.told(0, started())

    clock.now += 1
    counted.told(0, progress(1000, busy_s=1.0))

    assert (counted.now().tokens_per_s, counted.now().eta_s, counted.now().busy) == (1000, 99, 1.0)


def test_the_rate_after_a_death_is_that_of_who_works_now(clock: Clock) -> None:
    counted = tally(clock, tokens=100_000)
    counted.told(0, started())
    clock.now += 10
    counted.told(0, progress(40_000))

    clock.now += 5
    counted.told(0, started())
    clock.now += 5
    counted.told(0, progress(5000))

    assert counted.now().tokens_per_s == 1000


def shards_as_done(shards: Set[int]) -> Done:
    return Done(shards=len(shards), docs=10 * len(shards), bytes=4000 * len(shards))


def test_what_a_runner_found_done_at_its_start_was_done_before(clock: Clock) -> None:
    counted = tally(clock)
    counted.told(0, started(done=4, docs_done=40, bytes_done=400))
    counted.told(0, did(4))
    counted.told(0, started(done=5, docs_done=50, bytes_done=500))

    assert counted.now().shards_done == 5


def test_what_others_did_meanwhile_is_done(clock: Clock) -> None:
    counted = tally(clock)
    counted.told(0, did(0))

    counted.looked({0, 8, 9}, shards_as_done)

    assert (counted.now().shards_done, counted.now().docs_done) == (3, 30)


def test_a_shard_that_was_seen_before_it_was_told_counts_once(clock: Clock) -> None:
    counted = tally(clock)
    counted.looked({0, 9}, shards_as_done)

    counted.told(0, did(0))

    assert (counted.now().shards_done, counted.now().docs_done) == (2, 20)


def test_a_commit_that_was_withdrawn_is_no_longer_done(clock: Clock) -> None:
    counted = tally(clock, Done(shards=3, docs=30, bytes=12_000))

    counted.looked({1, 2}, shards_as_done)

    assert counted.now().shards_done == 2


def test_a_shard_that_is_done_again_counts_once(clock: Clock) -> None:
    counted = tally(clock)

    counted.told(0, did(0))
    counted.told(0, did(0))

    assert counted.now().shards_done == 1


def test_processes_count_together(clock: Clock) -> None:
    counted = tally(clock, tokens=10_000)
    for seat in (0, 1):
        counted.told(seat, started())
        counted.told(seat, progress(500))

    assert (counted.now().tokens_done, counted.now().processes) == (1000, 2)


def test_busy_is_a_share_of_all_lanes(clock: Clock) -> None:
    counted = tally(clock)
    counted.told(0, started())

    clock.now += 10
    counted.told(0, progress(2000, busy_s=15.0, lanes=2))

    assert counted.now().busy == pytest.approx(0.75)


def test_padding_is_what_attention_computed_beyond_the_tokens(clock: Clock) -> None:
    counted = tally(clock)
    counted.told(0, started())

    counted.told(0, progress(900, places=1000))

    assert counted.now().padding == pytest.approx(0.1)


def test_the_dead_are_counted_by_whether_they_failed(clock: Clock) -> None:
    counted = tally(clock)

    counted.told(0, did(0, docs_dead=3, docs_failed=1))

    assert (counted.now().docs_dead, counted.now().docs_failed) == (3, 1)


def test_all_shards_done_is_all_of_it_whatever_was_expected(clock: Clock) -> None:
    counted = tally(clock, shards=1, tokens=5000)

    counted.told(0, did(0, tokens=1000))
    seen = counted.now()

    assert (seen.share, seen.tokens_done, seen.eta_s) == (1.0, 5000, 0.0)


def test_a_process_that_ended_is_not_among_those_that_work(clock: Clock) -> None:
    counted = tally(clock)
    for seat in (0, 1, 2):
        counted.told(seat, started())

    counted.told(0, Ended(done=1, lost=0))
    counted.gone(1)

    assert counted.now().processes == 1


def test_a_second_opinion_on_why_bytes_differ_is_kept_once(clock: Clock) -> None:
    counted = tally(clock)

    counted.told(0, started())
    counted.told(1, msgspec.structs.replace(started(), exact_note="another processor"))

    assert counted.exact_note == "another processor"


# ------------------------------------------------------------------------------------------------ for people


def seen(**numbers: object) -> Seen:
    zeros = {row.name: 0 for row in dataclasses.fields(Seen)}
    return Seen(**{**zeros, "eta_s": None, **numbers})


def test_the_line_says_rates_shares_and_the_time_left() -> None:
    said = line(seen(tokens_per_s=35_100.0, docs_per_s=12.34, busy=0.93, padding=0.04, docs_dead=2, eta_s=3725.0))

    assert said == "35.1k tokens/s, 12.3 documents/s, 93% busy, 4% padding, 2 dead, 1:02:05 left"


def test_the_line_leaves_out_what_nobody_knows() -> None:
    assert line(seen(tokens_per_s=5.0)) == "5 tokens/s, 0.0 documents/s, 0% busy"


def test_where_nobody_sees_a_bar_a_line_is_said_now_and_then(clock: Clock) -> None:
    said: list[str] = []
    with Bar(said.append, is_shown=False, clock=clock) as bar:
        for _ in range(4):
            clock.now += LINE_S / 2
            bar.show(seen(shards=10, shards_done=5, tokens=100, tokens_done=50))

    assert len(said) == 2
    assert said[0].startswith("50.0%, 5 of 10 shards")


def test_the_bar_counts_tokens_and_shows_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar(lambda text: None, is_shown=True) as bar:
        bar.show(seen(shards=10, tokens=2000, tokens_done=500, tokens_per_s=35.0))

    shown = capsys.readouterr().err
    assert "25%" in shown
    assert "500 of 2.00k tokens" in shown
    assert "35 tokens/s" in shown


def test_notes_stand_beside_the_bar() -> None:
    said: list[str] = []
    with Bar(said.append, is_shown=True) as bar:
        bar.note("another processor")

    assert said == ["another processor"]
