"""The page of a report is whole, needs nothing else, is no larger than it must be, and shows what the report holds."""

import re
from functools import cache

import pytest
from msgspec import structs

from embedstack.evals.outcome import Comparison, Interval, Latency, Report
from embedstack.evals.reports.reporting import calibration_html, to_html
from support.markup import OUTWARD, Parsed, pictures, text_of
from support.reports import NASTY, around, calibration, drawn, empty, named

REPORTS = [drawn(seed, systems=1 + seed % 6, measures=1 + seed % 4) for seed in range(6)]
ZERO = Latency(samples=0, p50_ms=around(0, 0), p99_ms=around(0, 0), stages_ms={"embed": 0.0})
PAGES = (
    *(f"drawn {seed}" for seed in range(len(REPORTS))),
    "empty",
    "no time",
    "nasty",
    "calibration",
    "nasty calibration",
)


@cache
def page_of(name: str) -> str:
    match name:
        case "empty":
            return to_html(empty())
        case "no time":
            report = named("x")
            return to_html(structs.replace(report, outcomes=(structs.replace(report.outcomes[0], latency=ZERO),)))
        case "nasty":
            return to_html(named(NASTY))
        case "calibration":
            return calibration_html(calibration())
        case "nasty calibration":
            return calibration_html(calibration(NASTY))
        case _:
            return to_html(REPORTS[int(name.split()[1])])


@cache
def parsed(name: str) -> Parsed:
    return Parsed(page_of(name))


MOST = 400_000


@pytest.mark.parametrize("name", PAGES)
def test_every_tag_is_closed(name: str) -> None:
    assert parsed(name).stack == []


@pytest.mark.parametrize("name", [name for name in PAGES if "nasty" not in name])
def test_nothing_is_loaded_or_run(name: str) -> None:
    assert not OUTWARD.search(page_of(name))


@pytest.mark.parametrize("name", ["nasty", "nasty calibration"])
def test_no_name_becomes_markup(name: str) -> None:
    found = parsed(name)
    usual = parsed("drawn 5"), parsed("calibration")

    assert set(found.seen) <= set(usual[0].seen) | set(usual[1].seen)
    assert found.attributes <= usual[0].attributes | usual[1].attributes


@pytest.mark.parametrize("name", PAGES)
def test_a_page_forbids_what_it_does_not_need(name: str) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'" in page_of(name)


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_has_a_role_and_words(name: str) -> None:
    assert all(one.get("role") == "img" and one.get("aria-label") for one in pictures(page_of(name)))


@pytest.mark.parametrize("name", PAGES)
def test_every_table_has_a_caption_and_every_head_a_scope(name: str) -> None:
    page = page_of(name)

    assert page.count("<table>") == page.count("<table><caption>")
    assert page.count("<th ") == page.count('<th scope="')
    assert "<th>" not in page


@pytest.mark.parametrize("name", PAGES)
def test_no_page_holds_what_is_no_number(name: str) -> None:
    assert not re.search(r"\b(nan|inf|None)\b", page_of(name))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_drawn_outside_a_picture(name: str) -> None:
    places = [
        float(of.get(x) or 0) for one in pictures(page_of(name)) for of in one.iter() for x in ("x", "x1", "x2", "cx")
    ]

    assert all(0 <= place <= 720 for place in places)


@pytest.mark.parametrize("report", REPORTS)
def test_measures_and_times_are_those_of_the_report(report: Report) -> None:
    tables = {table[0][-1]: table[1:] for table in Parsed(to_html(report)).tables if table[0][0] == "system"}
    measures = tables[list(report.outcomes[0].measures)[-1]]
    times = tables.get("p99 ms", [])
    timed = [one.latency for one in report.outcomes if one.latency]

    assert [[float(cell.split()[0]) for cell in row[1:]] for row in measures] == [
        [round(found.value, 4) for found in one.measures.values()] for one in report.outcomes
    ]
    assert [float(row[-1].split()[0]) for row in times] == [round(one.p99_ms.value, 1) for one in timed]


def test_the_queries_that_lost_and_gained_most_are_named() -> None:
    report = drawn(5, systems=2, queries=60, measures=1)
    before, after = (one.queries["ndcg@10"] for one in report.outcomes)
    ordered = sorted(after[query] - before[query] for query in before)
    lost, gained = [table[1:] for table in Parsed(to_html(report)).tables if table[0][0] == "query"]

    assert [float(row[3]) for row in lost] == [round(change, 4) for change in ordered[:10]]
    assert [float(row[3]) for row in gained] == [round(change, 4) for change in ordered[:-11:-1]]
    assert all(round(after[row[0]] - before[row[0]], 4) == float(row[3]) for row in (*lost, *gained))


@pytest.mark.parametrize("report", [named("run:\udcff"), named("a\u202eb\x1b[2J")], ids=["no Unicode", "steering"])
def test_what_is_no_letter_is_replaced(report: Report) -> None:
    assert "\ufffd" in to_html(report).encode().decode()


def test_one_system_alone_has_a_page_without_differences() -> None:
    page = text_of(to_html(drawn(1, systems=1)))

    assert "bm25" in page
    assert "Differences" not in page


def test_the_verdict_is_in_words_and_not_in_colour_alone() -> None:
    assert '<p class="verdict INCONCLUSIVE">? INCONCLUSIVE: ' in to_html(named("x"))


def test_a_limit_is_drawn_where_it_was_held_against_that_difference() -> None:
    report = named("x")
    other = structs.replace(report.comparisons[0], delta=around(0.2, 0.1))
    page = to_html(structs.replace(report, comparisons=(*report.comparisons, other)))
    gate, differences = (page.split("<h2>Differences</h2>")[half] for half in (0, 1))

    assert (gate.count('class="limit"'), differences.count('class="limit"')) == (1, 1)


def compared(measure: str, changes: int) -> Comparison:
    return Comparison(
        measure=measure, baseline="a", candidate="b", delta=Interval(0, 0, 0), p_value=1, wins=0, losses=0, ties=changes
    )


def test_comparisons_that_are_not_drawn_are_counted() -> None:
    report = named("x")
    page = to_html(structs.replace(report, comparisons=report.comparisons * 30))

    assert "6 more comparisons are not drawn here; the JSON holds their queries." in page


@pytest.mark.slow
def test_many_queries_of_many_systems_are_a_small_page() -> None:
    assert len(to_html(drawn(2, systems=6, queries=1200, measures=4)).encode()) < MOST


def test_a_calibration_shows_its_threshold_and_both_groups() -> None:
    page = page_of("calibration")
    picture = pictures(page)[0]

    assert "Two texts mean the same from a cosine of 0.8000" in text_of(page)
    assert {rect.get("class") for rect in picture.iter() if rect.tag == "rect"} == {"better", "worse"}
    assert page.count('class="limit"') == 3
