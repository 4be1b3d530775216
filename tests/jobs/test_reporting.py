"""A report is one page that needs nothing else, shows what the commits say, and lets nobody write into it."""

import re

import pytest
from msgspec.structs import replace

from embedstack.jobs.commit import Commit
from embedstack.jobs.estimated import Estimate, Range
from embedstack.jobs.plan import Plan
from embedstack.jobs.reporting import report
from support.markup import OUTWARD, Parsed, pictures, text_of
from support.tables import EMPTY, EXACT, IDENTITY, WISH

NASTY = "<script>alert('x')</script>&\""
PLAN = Plan(
    wish=WISH,
    identity=IDENTITY,
    exact=EXACT,
    probes=(),
    shards=3,
    docs=300,
    files=300,
    bytes=3000,
    table="",
    table_sha256="",
)


def commit(number: int, **said: object) -> Commit:
    usual = {
        "shard": number, "docs": 100, "docs_out": 98, "docs_dead": 2, "docs_failed": 1, "chunks": 400, "rows": 400,
        "tokens": 40_000, "input_bytes": 1000, "part_bytes": 5000, "lengths": {"<=64": 100, "<=128": 300},
        "reasons": {"bad_utf8": 1, "empty": 1}, "began_at": 1_800_000_000.0 + 10 * number, "took_s": 10.0,
        "encode_s": 9.0, "store_s": 0.1, "exact": "e" * 64,
    }  # fmt: skip
    return replace(EMPTY, **{**usual, **said})


COMMITS = [commit(number) for number in range(3)]


def test_every_tag_is_closed() -> None:
    parsed = Parsed(report(COMMITS, PLAN))

    assert parsed.stack == []


def test_a_page_loads_and_runs_nothing() -> None:
    assert not OUTWARD.search(report(COMMITS, PLAN))


def test_a_page_forbids_what_it_does_not_need() -> None:
    assert "default-src 'none'" in report(COMMITS, PLAN)


def test_a_page_is_for_light_and_for_dark() -> None:
    assert "prefers-color-scheme: dark" in report(COMMITS, PLAN)


def test_totals_are_those_of_all_commits() -> None:
    shown = text_of(report(COMMITS, PLAN))

    assert "documents 300" in shown
    assert "tokens that the model read 120,000" in shown


def test_speed_is_over_the_time_in_which_something_ran() -> None:
    """Two shards side by side, and one an hour later."""
    commits = [commit(0), commit(1, began_at=1_800_000_000.0), commit(2, began_at=1_800_003_600.0)]

    assert "tokens/s 6.00 k" in text_of(report(commits, PLAN))


@pytest.mark.parametrize("name", ["Chunks by their tokens", "Tokens a second over time", "Dead letters by reason"])
def test_there_is_a_picture_with_a_name(name: str) -> None:
    assert f'aria-label="{name}"' in report(COMMITS, PLAN)


def test_pictures_are_well_formed() -> None:
    assert [picture.tag for picture in pictures(report(COMMITS, PLAN))] == ["svg"] * 3


def test_dead_letters_are_counted_by_reason() -> None:
    assert "bad_utf8: 3" in text_of(report(COMMITS, PLAN))


def test_a_job_without_dead_letters_says_so() -> None:
    assert "Dead letters None." in text_of(report([commit(0, reasons={})], PLAN))


def test_a_job_that_is_not_done_says_so() -> None:
    assert "Not finished: 2 of 3 shards" in text_of(report(COMMITS[:2], PLAN))


def test_a_job_of_which_nothing_is_done_has_a_report() -> None:
    assert "Not finished: 0 of 3 shards" in text_of(report([], PLAN))


def test_whose_vectors_they_are_is_shown() -> None:
    assert IDENTITY.fingerprint in report(COMMITS, PLAN)


def test_machines_that_differ_are_told() -> None:
    commits = [*COMMITS[:2], commit(2, exact="f" * 64)]

    assert "Machines differ" in report(commits, PLAN)
    assert "Machines differ" not in report(COMMITS, PLAN)


def test_no_name_becomes_markup() -> None:
    plan = replace(
        PLAN,
        identity=replace(IDENTITY, model=NASTY, revision=NASTY),
        wish=replace(WISH, inputs=(NASTY,), role=NASTY),
        exact=replace(EXACT, where=NASTY),
    )
    page = report([commit(0, reasons={NASTY: 1}, exact=NASTY)], plan)

    assert "<script" not in page
    assert "&lt;script&gt;" in page


def expected(tokens: Range, size: int = PLAN.bytes) -> Estimate:
    wide = Range(0, 1, 1e12)
    return Estimate(
        bytes=size, docs=1, tokens=tokens, chunks=wide, output_bytes=wide, hours=wide, dollars=None, tokens_per_s=1.0,
        sampled_docs=1, level=0.95, assumptions=(),
    )  # fmt: skip


@pytest.mark.parametrize(("high", "is_outside"), [(130_000, False), (110_000, True)])
def test_an_estimate_stands_beside_what_it_was(high: float, is_outside: bool) -> None:
    page = report(COMMITS, PLAN, expected(Range(100_000, 105_000, high)))

    assert ("outside" in page) is is_outside


def verdicts(commits: list[Commit]) -> list[bool]:
    """Whether tokens, chunks, output and time are held against the estimate."""
    page = report(commits, PLAN, expected(Range(1, 2, 3)))
    section = page.split("<h2>Estimate</h2>")[1].split("</table>")[0]
    return ["<td>–</td>" not in row for row in section.split("</tr>")[1:-1]]


BY_PLAN = EXACT.digest


def test_one_process_on_the_machine_of_the_plan_is_held_against_the_estimate() -> None:
    assert verdicts([commit(n, exact=BY_PLAN) for n in range(3)]) == [True] * 4


def test_vectors_that_were_there_are_no_verdict_on_tokens_and_time() -> None:
    assert verdicts([commit(0, exact=BY_PLAN, reused=5)]) == [False, True, True, False]


def test_another_machine_is_no_verdict_on_the_time() -> None:
    assert verdicts([commit(0, exact=BY_PLAN), commit(1, exact="f" * 16)]) == [True, True, True, False]


def test_more_shards_at_once_than_one_process_has_are_no_verdict_on_the_time() -> None:
    assert verdicts([commit(n, exact=BY_PLAN, began_at=1e9) for n in range(5)]) == [True, True, True, False]


def test_a_start_is_counted_where_the_estimate_counts_it() -> None:
    """30 s of work."""
    estimate = replace(expected(Range(1, 2, 3)), start_s=90.0)

    assert "2.0 min" in text_of(report(COMMITS, PLAN, estimate))


def test_an_estimate_for_another_input_is_not_held_against_this_one() -> None:
    assert "Estimate" not in text_of(report(COMMITS, PLAN, expected(Range(1, 2, 3), size=10**12)))


# ------------------------------------------------------------------------------------------------ pictures


def test_a_steady_pace_is_drawn_as_one() -> None:
    """Of three shards in hand one is encoded at a time; each waits for those before it."""
    commits = [
        commit(n, began_at=1e9 + 10 * n, took_s=30.0, made=(1e9 + 10 * n + 10, 1e9 + 10 * n + 20)) for n in range(20)
    ]
    page = report(commits, PLAN)
    path = re.search(r'class="area" d="([^"]*)"', page)
    assert path is not None
    heights = [float(point.split(",")[1]) for point in path[1].split() if "," in point]

    assert "4.00 k tokens/s" in page
    assert set(heights[9:-9]) == {24.0}  # without the first that is read and the last that is stored


def test_columns_say_few_digits_and_their_words_all_of_them() -> None:
    page = report([commit(0, lengths={"<=64": 123_456_789})], PLAN)

    assert ">123 M</text>" in page
    assert "<title>≤ 64: 123,456,789</title>" in page


def test_a_long_name_is_cut_before_its_bar_and_whole_in_its_words() -> None:
    page = report([commit(0, reasons={"a_code_that_is_rather_long": 3})], PLAN)

    assert ">a_code_that_is_rath…<" in page
    assert "<title>a_code_that_is_rather_long: 3</title>" in page
