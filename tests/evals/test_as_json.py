"""A report is the same after it was JSON, and what is no report is refused with words."""

import json
from math import inf, nan

import pytest
from msgspec import structs

from embedstack.errors import BadRequest
from embedstack.evals.outcome import Interval, Report
from embedstack.evals.reports.reporting import calibration_from_json, from_json, to_json
from support.reports import NASTY, calibration, drawn, empty, named


@pytest.mark.parametrize("seed", range(20))
def test_a_report_comes_back_as_it_was(seed: int) -> None:
    report = drawn(seed, systems=1 + seed % 6, queries=1 + seed, measures=1 + seed % 4)

    assert from_json(to_json(report)) == report


@pytest.mark.parametrize("report", [empty(), named(NASTY), named("\ud7ff\U0001f600")], ids=["empty", "nasty", "far"])
def test_an_odd_report_comes_back_as_it_was(report: Report) -> None:
    assert from_json(to_json(report)) == report


def test_a_calibration_comes_back_as_it_was() -> None:
    assert calibration_from_json(to_json(calibration())) == calibration()


def with_delta(delta: Interval) -> Report:
    report = named("x")
    return structs.replace(report, comparisons=(structs.replace(report.comparisons[0], delta=delta),))


def test_an_end_that_is_not_known_is_null_and_comes_back() -> None:
    report = with_delta(Interval(1.0, -inf, inf))
    written = to_json(report)

    assert json.loads(written)["comparisons"][0]["delta"] == {"value": 1.0, "low": None, "high": None}
    assert from_json(written) == report


@pytest.mark.parametrize("ends", [(nan, 0, 1), (0, nan, 1), (0, inf, inf), (inf, 0, 1)])
def test_a_number_that_json_lacks_is_not_written(ends: tuple[float, float, float]) -> None:
    with pytest.raises(BadRequest):
        to_json(with_delta(Interval(*ends)))


def test_a_name_that_is_no_unicode_is_not_written() -> None:
    with pytest.raises(BadRequest, match=r"holds the name 'run:\\udcff', which is no Unicode"):
        to_json(structs.replace(empty(), data="run:\udcff"))


def test_it_is_json_for_all_who_read_json() -> None:
    said = json.loads(to_json(drawn(3)), parse_constant=pytest.fail)

    assert (said["kind"], said["format"], said["outcomes"][0]["system"]) == ("report", 1, "bm25")


def test_fields_of_a_later_version_are_left_alone() -> None:
    report = named("x")
    said = json.loads(to_json(report))
    said["later"] = 1
    said["outcomes"][0]["later"] = {"value": None}
    said["outcomes"][0]["identities"][0]["later"] = "y"
    said["comparisons"][0]["delta"]["later"] = 2

    assert from_json(json.dumps(said).encode()) == report


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(to_json(drawn(1))), **fields}).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON object"),
        (b"{", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"\xff\xfe", "no JSON object"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"{}", "of the kind None"),
        (to_json(calibration()), "of the kind 'calibration'"),
        (changed(format=2), "format 2, and this version reads 1"),
        (changed(format=None), "format None"),
        (changed(depth="many"), r"depth"),
        (changed(outcomes=None), r"outcomes"),
        (changed(verdict="PERHAPS"), r"verdict"),
        (changed(comparisons=[{"measure": "x"}]), r"baseline"),
    ],
)
def test_what_is_no_report_is_refused_with_the_place(data: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match="^the file 'a.json' .*" + words):
        from_json(data, "the file 'a.json'")
