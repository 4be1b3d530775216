"""Which versions of foreign functions may be replaced."""

import json

import pytest

from embedstack.worker.known import digest, is_within, unknown


def test_a_function_that_is_as_it_was_is_known() -> None:
    assert unknown({"dumps": json.dumps}, {"dumps": digest(json.dumps)}) == []


def test_one_that_changed_one_that_is_gone_and_one_without_a_source_are_not() -> None:
    found = {"changed": json.dumps, "gone": None, "built_in": len, "new": json.loads}

    assert unknown(found, {"changed": digest(json.loads), "gone": "", "built_in": ""}) == [
        "built_in", "changed", "gone", "new",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "is_tested"),
    [("1.12.0", True), ("1.12.9", True), ("1.12", True), ("1.11.9", False), ("1.13.0", False), ("unknown", False),
     ("2.12.0", False), ("1.12rc1", False)],
)  # fmt: skip
def test_a_range_of_versions_ends_before_its_end(version: str, is_tested: bool) -> None:
    assert is_within(version, (1, 12), (1, 13)) is is_tested
