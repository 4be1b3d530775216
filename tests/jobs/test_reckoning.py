"""Ranges follow from what was measured, and say what they take for granted."""

from dataclasses import replace as dataclass_replace

import pytest
from msgspec.structs import replace

from embedstack.jobs.calibrating import Calibration
from embedstack.jobs.estimated import Estimate, Measured, Range, amount, lines, time_of
from embedstack.jobs.plan import Plan
from embedstack.jobs.reckoning import DRIFT, reckon
from embedstack.jobs.surveying import Cluster, Looked, Survey
from embedstack.jobs.weighing import Weighed
from support.tables import DIM, EXACT, IDENTITY, WISH

STEADY = Calibration((1000.0, 1000.0, 1000.0), 30_000, 30.0)
PART = Weighed(rows=100, row_bytes=100_000, bytes=100 * DIM * 4 + 50_000 + 1000, empty_bytes=1000, write_s=1, store_s=1)
PLAN = Plan(
    wish=WISH,
    identity=IDENTITY,
    exact=EXACT,
    probes=(),
    shards=10,
    docs=100,
    files=100,
    bytes=100_000,
    table="",
    table_sha256="",
)


def documents(count: int, weight: float, *, is_all: bool, uneven: int = 0) -> Survey:
    """Each of 360 tokens in 3 chunks; the ones in between have more."""
    clusters = tuple(
        Cluster(
            weight,
            1000,
            1,
            1000,
            (Looked(text_bytes=1000, tokens=360 + uneven * (n % 2), count=3, row_bytes=3000, cut_s=0.036),),
        )
        for n in range(count)
    )
    return Survey(clusters, (), is_all, True)


def measured(survey: Survey | None = None, calibration: Calibration = STEADY, open_s: float = 10.0) -> Measured:
    return Measured(
        survey=survey or documents(100, 1.0, is_all=True), calibration=calibration, parts=(PART,), open_s=open_s
    )


def made(survey: Survey | None = None, calibration: Calibration = STEADY, **asked: float | int) -> Estimate:
    return reckon(PLAN, measured(survey, calibration), **asked)  # type: ignore[arg-type]


def test_what_was_counted_is_no_range() -> None:
    assert made().tokens == Range(36_000, 36_000, 36_000)


def test_what_was_drawn_is_a_range_around_it() -> None:
    found = made(documents(20, 5.0, is_all=False, uneven=100)).tokens

    assert found.low < 41_000 == found.likely < found.high


def test_the_time_is_that_of_the_tokens_the_start_and_both_ends() -> None:
    """36 s of tokens, 10 to open, 1.5 for processes; the first shard is cut in 0.36 s, the last part written in 0.6."""
    assert made().hours.likely * 3600 == pytest.approx(36 + 10 + 1.5 + 0.36 + 0.6, rel=1e-3)


def slow_to_read(each_s: float) -> Survey:
    survey = documents(100, 1.0, is_all=True)
    return dataclass_replace(survey, files=tuple(dataclass_replace(one, read_s=each_s) for one in survey.files))


def test_what_is_read_slower_than_the_device_works_decides_the_time() -> None:
    """100 documents of 2 s and 0.036 s for cutting, and a tenth of that before the device has work."""
    hours = made(slow_to_read(2.0)).hours.times(3600)

    assert hours.likely == pytest.approx(203.6 * 1.1 + 10 + 1.5 + 0.6, rel=1e-3)
    assert hours.low > 180


@pytest.mark.parametrize(("each_s", "said"), [(2.0, "Reading decides"), (0.1, "The device decides")])
def test_it_is_said_what_decides_the_time(each_s: float, said: str) -> None:
    assert any(sentence.startswith(said) for sentence in made(slow_to_read(each_s)).assumptions)


def test_parts_that_differ_make_the_output_less_sure() -> None:
    small, large = (dataclass_replace(PART, bytes=PART.bytes + more) for more in (-30_000, 30_000))
    found = reckon(PLAN, dataclass_replace(measured(), parts=(small, large, small, large))).output_bytes

    assert found.likely == pytest.approx(made().output_bytes.likely)
    assert found.high - found.low > 3 * (made().output_bytes.high - made().output_bytes.low)


def test_the_start_is_told_apart() -> None:
    assert made().start_s == 11.5


def test_a_device_may_drift() -> None:
    hours = made().hours

    assert hours.low < hours.likely / (1 + DRIFT) * 1.01
    assert hours.high > hours.likely * (1 + DRIFT) * 0.99


def test_rounds_that_differ_make_the_time_less_sure() -> None:
    unsteady = made(calibration=Calibration((700.0, 1000.0, 1300.0), 30_000, 30.0)).hours

    assert unsteady.high > 1.2 * made().hours.high


def test_dollars_are_hours_by_their_price() -> None:
    found = made(price_per_hour=0.4)

    assert found.dollars is not None
    assert found.dollars.high == pytest.approx(found.hours.high * 0.4)


def test_without_a_price_there_are_no_dollars() -> None:
    assert made().dollars is None


def test_another_input_has_all_in_proportion() -> None:
    found = made(for_bytes=20_000_000)

    assert (found.docs, found.tokens.likely, found.chunks.likely) == (20_000, 7_200_000, 60_000)


def test_another_input_is_less_sure_than_the_one_that_was_counted() -> None:
    survey = documents(100, 1.0, is_all=True, uneven=200)

    assert made(survey, for_bytes=200_000).tokens.low < made(survey, for_bytes=200_000).tokens.likely


def test_the_output_is_vectors_and_what_else_was_as_small_as_in_the_part() -> None:
    """300 chunks of 32 bytes, 300 kB of rows that shrink to half, 10 files of 1 kB before their rows."""
    assert made().output_bytes.likely == pytest.approx(300 * 32 + 150_000 + 10 * 1000)


def test_late_chunking_reads_the_tokens_of_its_windows() -> None:
    plan = replace(PLAN, wish=replace(WISH, late_chunking=True))
    overlapping = Calibration(STEADY.rates, STEADY.tokens, STEADY.took_s, read_share=1.25)
    found = reckon(plan, measured(calibration=overlapping))

    assert (found.tokens.likely, found.tokens_per_s) == (45_000, 1250)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "Every document was looked at"),
        ({"for_bytes": 200_000_000_000}, "200 GB of input are like the 100 kB"),
        ({"price_per_hour": 0.4}, "$0.4 an hour"),
        ({}, "within 10% of the 1.00 k tokens/s"),
        ({}, "Vectors are"),
        ({}, "One process does all of it"),
    ],
)
def test_what_is_taken_for_granted_is_said(asked: dict[str, float], said: str) -> None:
    assert any(said in sentence for sentence in made(**asked).assumptions)


def test_dead_letters_that_were_seen_are_said() -> None:
    clusters = (Cluster(1.0, 100, 1, 100, (Looked("bad_utf8"),)), *documents(3, 1.0, is_all=True).files)
    survey = Survey(clusters, (), True, True)

    assert any("1 bad_utf8" in sentence for sentence in made(survey).assumptions)


def test_a_start_that_was_not_measured_is_said() -> None:
    found = reckon(PLAN, measured(open_s=0.0))

    assert any("time to open" in sentence for sentence in found.assumptions)


def test_an_endpoint_is_called_one() -> None:
    found = reckon(
        PLAN, Measured(survey=documents(9, 1, is_all=True), calibration=STEADY, parts=(PART,), is_endpoint=True)
    )

    assert any(sentence.startswith("The endpoint stays") for sentence in found.assumptions)


# ------------------------------------------------------------------------------------------------ for people


def test_every_number_has_a_line_with_its_range() -> None:
    shown = list(lines(made(price_per_hour=1.0)))

    assert [line.split()[0] for line in shown[2:7]] == ["tokens", "chunks", "output", "time", "dollars"]


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (12_345, "12.3 k"), (2e8, "200 M"), (5e10, "50.0 G")],
)
def test_numbers_have_three_digits(number: float, shown: str) -> None:
    assert amount(number) == shown


@pytest.mark.parametrize(("hours", "shown"), [(2.5, "2.5 h"), (0.05, "3.0 min"), (0.002, "7 s"), (1500, "1,500.0 h")])
def test_times_are_in_the_unit_that_suits_them(hours: float, shown: str) -> None:
    assert time_of(hours) == shown
