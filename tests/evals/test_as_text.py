"""The text of a report fits a terminal, leaves nothing out, and steers no terminal."""

import pytest
from msgspec import structs

from embedstack.evals.outcome import Report
from embedstack.evals.reports.columns import aligned, breadth, filled, plain
from embedstack.evals.reports.reporting import calibration_text, to_text
from support.reports import NASTY, calibration, drawn, empty, named

REPORTS = [drawn(seed, systems=1 + seed % 6, measures=1 + seed % 4) for seed in range(6)]
LONG = "endpoint:https://a-rather-long-name.example.com:8443/v1#intfloat/multilingual-e5-large-instruct " * 3


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("report", [*REPORTS, empty(), named(NASTY), named(LONG), named("模型" * 60)])
def test_no_line_is_wider_than_a_terminal(report: Report) -> None:
    assert max(map(breadth, to_text(report).splitlines())) <= 110


@pytest.mark.parametrize("report", REPORTS)
def test_every_measure_stands_with_its_interval(report: Report) -> None:
    shown = to_text(report)
    wanted = [
        f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"
        for one in report.outcomes
        for found in one.measures.values()
    ]

    assert [figure for figure in wanted if figure.replace("-0.0000", "0.0000") not in shown] == []


def test_columns_that_do_not_fit_come_below() -> None:
    shown = to_text(drawn(1, systems=6, measures=4))

    assert [line.split() for line in shown.splitlines() if line.startswith("system ")][:2] == [
        ["system", "ndcg@10", "mrr@10", "recall@100"],
        ["system", "judged@10"],
    ]


def test_a_long_name_goes_on_in_the_next_line() -> None:
    shown = aligned(["system", "x"], [["a" * 100, "0.5"]])

    assert shown.split() == ["system", "x", "a" * 34, "0.5", "a" * 34, "a" * 32]


def test_figures_stand_below_each_other() -> None:
    lines = aligned(["system", "x"], [["a", "0.5"], ["模型", "12.5"]]).splitlines()

    assert {breadth(line) for line in lines} == {breadth("system  12.5")}


def test_nothing_of_a_name_steers_the_terminal() -> None:
    assert to_text(named(NASTY)).replace("\n", "").isprintable()


def test_what_turns_the_direction_of_words_is_replaced() -> None:
    assert plain("a\u202eb\x1b[2Jc\n d") == "a\ufffdb\ufffd[2Jc d"


def test_a_word_that_is_longer_than_a_line_is_broken() -> None:
    assert filled("x" * 250).split() == ["x" * 108, "x" * 108, "x" * 34]


def test_the_verdict_comes_first_and_says_what_to_do() -> None:
    first, second = to_text(named("loss")).splitlines()[:2]

    assert first == "INCONCLUSIVE: of 1 limit 1 can be called neither kept nor broken"
    assert second == "You need about 5 judged queries, not 2, to decide this: loss."


def test_without_a_gate_there_is_no_verdict() -> None:
    report = structs.replace(drawn(1), checks=(), verdict=None)

    assert to_text(report).startswith("Evaluation of xquad-en\n")


def test_nothing_measured_is_said() -> None:
    assert "No system was measured." in to_text(empty())


def test_where_it_is_from_is_said() -> None:
    report = drawn(1)
    shown = to_text(report)

    assert [fact for fact in (report.digest, report.machine, report.made_at, report.version) if fact not in shown] == []


@pytest.mark.parametrize("report", [*REPORTS, empty()])
def test_no_text_holds_what_is_no_number(report: Report) -> None:
    shown = words(to_text(report)).lower()

    assert not {"nan", "inf", "none", "-inf"} & set(shown.replace("[", " ").replace(",", " ").split())


def test_a_calibration_says_its_threshold_first_and_fits() -> None:
    shown = calibration_text(calibration())

    assert shown.startswith("Two texts mean the same from a cosine of 0.8000\n")
    assert max(map(breadth, shown.splitlines())) <= 110
