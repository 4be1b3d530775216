"""What is said of a report is what it means."""

from math import inf

import pytest
from msgspec import structs

from embedstack.evals.outcome import Check, Comparison, Interval, Report, Verdict
from embedstack.evals.reports.figures import figure, milliseconds, seconds, share, signed
from embedstack.evals.reports.wording import advice, caution, counted, endless, headline, held, in_words
from support.reports import drawn, named

SAID = Comparison(
    measure="ndcg@10", baseline="a", candidate="b", delta=Interval(0.021, 0.008, 0.034), p_value=0.002, wins=120,
    losses=80, ties=990,
)  # fmt: skip


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (Interval(0.021, 0.008, 0.034), "better by 0.0210 [0.0080, 0.0340]"),
        (Interval(-0.021, -0.034, -0.008), "worse by 0.0210 [0.0080, 0.0340]"),
        (Interval(0.001, -0.004, 0.006), "not told apart: +0.0010 [-0.0040, +0.0060]"),
        (Interval(0.02, 0.0, 0.04), "not told apart: +0.0200 [+0.0000, +0.0400]"),
    ],
)
def test_a_difference_is_told_by_its_interval(delta: Interval, words: str) -> None:
    assert in_words(structs.replace(SAID, delta=delta)).split("; ")[0] == words


@pytest.mark.parametrize(
    ("p_value", "words"),
    [(0.002, "in 0.2 % of draws"), (1.0, "in 100 % of draws"), (0.34, "in 34 % of draws"), (0.0, "none of the draws")],
)
def test_chance_is_told_in_percent(p_value: float, words: str) -> None:
    assert in_words(structs.replace(SAID, p_value=p_value)).endswith(words)


def test_systems_that_answer_alike_are_told_so() -> None:
    assert in_words(structs.replace(SAID, wins=0, losses=0)) == "the same for every query"


@pytest.mark.parametrize(("wins", "words"), [(1, "better for 1 query,"), (1200, "better for 1,200 queries,")])
def test_queries_are_counted(wins: int, words: str) -> None:
    assert counted(structs.replace(SAID, wins=wins)).startswith(words)


def check(verdict: Verdict, rule: str = "ndcg@10 above the baseline's", needed: int | None = None) -> Check:
    return Check(rule=rule, verdict=verdict, found=Interval(0.5, 0.25, 0.75), limit=0.4, needed=needed, reason="")


def judged(*checks: Check, verdict: Verdict | None) -> Report:
    return structs.replace(drawn(1), checks=checks, verdict=verdict)


@pytest.mark.parametrize(
    ("checks", "verdict", "words"),
    [
        ([check("PASS")], "PASS", "PASS: the limit is kept"),
        ([check("PASS")] * 3, "PASS", "PASS: all 3 limits are kept"),
        ([check("FAIL"), check("PASS")], "FAIL", "FAIL: 1 of 2 limits is not kept"),
        ([check("FAIL")] * 2, "FAIL", "FAIL: 2 of 2 limits are not kept"),
        ([], None, "Evaluation of xquad-en"),
    ],
)
def test_the_headline_is_the_verdict_and_how_many_limits_make_it(
    checks: list[Check], verdict: Verdict | None, words: str
) -> None:
    assert headline(judged(*checks, verdict=verdict)) == words


@pytest.mark.parametrize(
    ("rule", "needed", "words"),
    [
        ("ndcg@10 above", 1234, "You need about 1,234 judged queries, not 40, to decide this: ndcg@10 above."),
        ("p99 at most 500 ms", 900, "You need about 900 timed samples to decide this: p99 at most 500 ms."),
        ("mrr", None, "No more queries or samples would decide this: mrr. Choose a wider limit, or leave it open."),
    ],
)
def test_what_is_open_says_what_would_decide_it(rule: str, needed: int | None, words: str) -> None:
    asked = structs.replace(check("INCONCLUSIVE", rule, needed), unit="ms" if rule.endswith("ms") else "")

    assert advice(judged(asked, verdict="INCONCLUSIVE")) == [words]


def test_what_fails_names_the_limits_that_are_not_kept() -> None:
    report = judged(check("FAIL", "a"), check("PASS", "b"), check("FAIL", "c"), verdict="FAIL")

    assert advice(report) == ["Do not go on with the candidate as it is. Not kept: a; c."]


def test_a_limit_of_time_is_in_milliseconds() -> None:
    found = Interval(612.34, 580, inf)
    latency = structs.replace(check("FAIL", "p99 at most 500 ms"), found=found, limit=500.0, unit="ms")

    assert held(latency) == ("612.3 [580.0, ∞] ms", "500.0 ms")


def test_a_limit_of_a_measure_is_a_difference() -> None:
    assert held(check("PASS")) == ("+0.5000 [+0.2500, +0.7500]", "+0.4000")


def test_an_interval_without_an_end_is_explained_where_there_is_one() -> None:
    report = named("x")
    found = structs.replace(report.checks[0], found=Interval(1, 0, inf))

    assert endless(report) == []
    assert endless(structs.replace(report, checks=(found,))) == ["∞: too few samples to say how high it may be."]


def test_many_comparisons_come_with_a_caution() -> None:
    report = structs.replace(drawn(1), comparisons=(SAID,) * 40)

    assert caution(report) == ["40 comparisons: where nothing differs, about one in 20 looks as if something did."]
    assert caution(structs.replace(report, comparisons=(SAID,))) == []


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (figure(-0.00001), "0.0000"),
        (signed(-0.00001), "+0.0000"),
        (figure(inf), "∞"),
        (figure(-inf), "-∞"),
        (milliseconds(1234.56), "1,234.6"),
        (milliseconds(-0.01), "0.0"),
        (share(0.0001), "0.01 %"),
        (share(0.0996), "10 %"),
        (share(0.0994), "9.9 %"),
        (seconds(0.0), "0.00 s"),
        (seconds(9.996), "10.0 s"),
        (seconds(99.96), "100 s"),
    ],
)
def test_figures_have_as_many_digits_as_are_worth_reading(shown: str, words: str) -> None:
    assert shown == words
