"""Markdown of a report says in tables what the report holds, and no name in it is markup. Judged by markdown-it."""

from functools import cache
from html import unescape

import pytest
from markdown_it import MarkdownIt
from msgspec import structs

from embedstack.evals.outcome import Report
from embedstack.evals.reports.columns import plain
from embedstack.evals.reports.reporting import calibration_markdown, to_markdown
from support.markup import Parsed, text_of
from support.reports import NASTY, calibration, drawn, empty, named

REPORTS = [drawn(seed, systems=1 + seed % 6, measures=1 + seed % 4) for seed in range(6)]
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
ODD = [
    NASTY, "a|b", "a\nb", "`code`", "*loud* _low_ __init__", "[a](http://b)", "![a](http://b)", "[a]: http://b",
    "# title", "1. one", "- one", "+ one", "> said", "a\\", "\\|", "&lt;b&gt;", "&amp;", "<http://b>", "<!-- x",
    "~~x~~", "a | b | c", "| --- |", "---", "    x", "[x] done", "snake_case_name",
]  # fmt: skip


def rendered(markdown: str) -> Parsed:
    return Parsed(READER.render(markdown))


@cache
def page_of(name: str) -> str:
    return READER.render(to_markdown(named(name)))


@cache
def seen_in(name: str) -> set[str]:
    return set(Parsed(page_of(name)).seen)


@pytest.mark.parametrize("report", [*REPORTS, named("a|b"), named("a\nb"), named("| --- |"), named(NASTY), empty()])
def test_every_row_of_a_table_has_as_many_cells_as_its_head(report: Report) -> None:
    lines = to_markdown(report).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    found = rendered(to_markdown(report)).tables

    assert sum(len(table) + 1 for table in found) == len(rows)  # and the line below each head
    assert [{len(row) for row in table} for table in found] == [{len(table[0])} for table in found]


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_shown_as_it_is(name: str) -> None:
    shown = unescape(text_of(page_of(name)))

    assert shown.count(" ".join(plain(name).split())) >= 20


@pytest.mark.parametrize("name", ODD)
def test_no_name_is_markup(name: str) -> None:
    assert seen_in(name) == seen_in("x")


@pytest.mark.parametrize("report", REPORTS)
def test_the_table_of_systems_shows_what_the_report_holds(report: Report) -> None:
    table = next(found for found in rendered(to_markdown(report)).tables if found[0][0] == "system")
    shown = {row[0].split(" (leg")[0]: [float(cell.split()[0]) for cell in row[1:] if "[" in cell] for row in table[1:]}
    held = {
        one.system: [
            *(round(found.value, 4) for found in one.measures.values()),
            *(round(found.value, 1) for found in ((one.latency.p50_ms, one.latency.p99_ms) if one.latency else ())),
        ]
        for one in report.outcomes
    }

    assert shown == held


def test_the_verdict_comes_first() -> None:
    assert to_markdown(named("x")).startswith("## ? INCONCLUSIVE: ")


def test_without_a_gate_the_data_come_first() -> None:
    assert to_markdown(structs.replace(drawn(1), checks=(), verdict=None)).startswith("## Evaluation of xquad-en\n")


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "a|b"])
def test_a_calibration_is_a_table_of_thresholds(name: str) -> None:
    table = rendered(calibration_markdown(calibration(name))).tables[0]

    assert [row[:3] for row in table[1:]] == [
        ["best F1", "0.8000", "90"],
        ["precision at least 0.99", "–", "–"],
        ["fixed", "0.9800", "0"],
        ["fixed", "0.8000", "90"],
    ]
