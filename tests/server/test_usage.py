"""Totals by caller."""

from embedstack.dialects.dialect import CallerTotals
from embedstack.server.usage import MOST_CALLERS, UsageTotals
from embedstack.types import Usage


def test_what_a_caller_used_adds_up():
    totals = UsageTotals()
    totals.answered("a", Usage(items=2, tokens=10, run_s=0.5), images=1)
    totals.answered("a", Usage(items=1, tokens=3, run_s=0.25))
    totals.failed("a")

    assert totals.snapshot() == {"a": CallerTotals(requests=3, failures=1, items=3, tokens=13, images=1, seconds=0.75)}


def test_callers_are_apart():
    totals = UsageTotals()
    totals.answered("a", Usage(items=1, tokens=1))
    totals.failed("b")

    assert {name: one.failures for name, one in totals.snapshot().items()} == {"a": 0, "b": 1}


def test_who_was_not_heard_of_for_longest_is_forgotten():
    totals = UsageTotals(most=2)
    for caller in ("a", "b", "a", "c"):
        totals.failed(caller)

    assert list(totals.snapshot()) == ["a", "c"]


def test_invented_callers_take_bounded_memory():
    totals = UsageTotals()
    for number in range(MOST_CALLERS + 10):
        totals.failed(str(number))

    assert len(totals.snapshot()) == MOST_CALLERS


def test_a_snapshot_does_not_change_any_more():
    totals = UsageTotals()
    before = totals.snapshot()
    totals.failed("a")

    assert before == {}


def test_a_caller_sees_only_what_is_its_own():
    totals = UsageTotals()
    totals.failed("a")
    totals.failed("b")

    assert [list(totals.seen_by(caller)) for caller in ("a", "c")] == [["a"], []]
