"""How a job stands: sums of what is committed, and what is expected of the rest."""

import pytest

from embedstack.jobs.standing import standing
from support.job_events import commit
from support.job_plans import PLAN, plan_with


def test_numbers_of_all_commits_are_added_up() -> None:
    records = [commit(0, rows=5, tokens=100, docs_dead=1, docs_failed=1), commit(1, rows=7, tokens=200)]

    found = standing(PLAN, records, is_finished=False)

    assert (found.shards_done, found.rows, found.tokens, found.docs_failed) == (2, 12, 300, 1)


def test_reasons_come_the_most_frequent_first() -> None:
    records = [commit(0, reasons={"empty": 1, "bad_utf8": 2}), commit(1, reasons={"empty": 3})]

    found = standing(PLAN, records, is_finished=False)

    assert list(found.reasons.items()) == [("empty", 4), ("bad_utf8", 2)]


def test_tokens_of_the_whole_are_expected_by_bytes_where_nobody_estimated() -> None:
    found = standing(plan_with(bytes=40_000, tokens=0), [commit(0, tokens=1000, input_bytes=4000)], is_finished=False)

    assert found.tokens_expected == 10_000


def test_an_estimate_is_believed() -> None:
    found = standing(plan_with(tokens=7), [commit(0, tokens=1000, input_bytes=4000)], is_finished=False)

    assert found.tokens_expected == 7


def test_machines_that_differ_are_counted() -> None:
    records = [commit(0, exact="a"), commit(1, exact="b"), commit(2, exact="a")]

    assert standing(PLAN, records, is_finished=False).machines == 2


@pytest.mark.parametrize(
    ("shards", "is_finished", "state"), [(1, False, "not_finished"), (2, False, "all_committed"), (2, True, "finished")]
)
def test_all_committed_is_not_finished_yet(shards: int, is_finished: bool, state: str) -> None:
    records = [commit(number) for number in range(shards)]

    assert standing(plan_with(shards=2), records, is_finished=is_finished).state == state


def test_nothing_is_done_where_nothing_is_committed() -> None:
    found = standing(PLAN, [], is_finished=False)

    assert (found.shards_done, found.docs_done, found.tokens_expected) == (0, 0, 0)
