"""What is shown as proven is what test runs wrote, and nothing else."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from embedstack.cli import cli
from embedstack.models import FAMILIES
from embedstack.proof import families
from embedstack.proof.families import proven


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(families, "proofs_folder", lambda: tmp_path)
    return tmp_path


def kept(judge: str = "transformers 5.23.0", **weights: float) -> str:
    cases = {
        "one": {"runtimes": {"numpy": 1e-7, "onnx": 2e-6}, "mutations": ["b", "a"]},
        "two": {"runtimes": {"onnx": 3e-6}, "mutations": ["a"]},
    }
    return json.dumps({"judge": judge, "cases": cases, "weights": weights})


def test_a_family_that_nobody_judged_is_not_proven(written: Path) -> None:
    assert {row.level for row in proven()} == {"none"}


def test_the_largest_difference_of_all_cases_is_shown(written: Path) -> None:
    (written / "bert.json").write_text(kept())

    (row,) = (row for row in proven() if row.family == "bert")

    assert (row.level, row.runtimes, row.mutations) == ("graph", {"numpy": 1e-7, "onnx": 3e-6}, ("a", "b"))


def test_a_runtime_that_is_too_far_off_proves_nothing(written: Path) -> None:
    cases = {"one": {"runtimes": {"numpy": 1e-7, "onnx": 2e-5}}, "two": {"runtimes": {"onnx": 1e-6}}}
    (written / "bert.json").write_text(json.dumps({"judge": "a judge", "cases": cases}))
    (written / "clip.json").write_text(json.dumps({"judge": "a judge", "cases": {"two": cases["two"]}}))
    (written / "gte.json").write_text(json.dumps({"judge": "a judge", "cases": {"one": {"runtimes": {"onnx": 2e-5}}}}))

    rows = {row.family: (row.level, row.cases, dict(row.runtimes)) for row in proven()}

    assert rows["bert"] == ("graph", ("one",), {"numpy": 1e-7})
    assert rows["clip"] == ("graph", ("two",), {"onnx": 1e-6})
    assert rows["gte"] == ("none", (), {})


def test_what_was_compared_is_shown_of_cases_that_hold(written: Path) -> None:
    cases = {
        "near": {"runtimes": {"onnx": 1e-7}, "heads": ["score", "dense"]},
        "far": {"runtimes": {"openvino": 1e-3}, "heads": ["sparse"]},
    }
    (written / "bert.json").write_text(json.dumps({"judge": "a judge", "cases": cases}))

    (row,) = (row for row in proven() if row.family == "bert")

    assert row.heads == ("dense", "score")


def test_those_who_judged_are_named_each_once(written: Path) -> None:
    mine = {"runtimes": {"onnx": 1e-7}}
    cases = {"a": {**mine, "judge": "c 3, b 2"}, "b": {**mine, "judge": "c 3"}, "usual": mine}
    (written / "bert.json").write_text(json.dumps({"judge": "a 1, b 2", "cases": cases}))
    (written / "clip.json").write_text(json.dumps({"judge": "a 1", "cases": {"a": cases["a"]}}))

    judges = {row.family: row.judge for row in proven()}

    assert (judges["bert"], judges["clip"]) == ("a 1, b 2, c 3", "c 3, b 2")


def test_every_family_that_ships_is_proven() -> None:
    assert {row.family for row in proven() if row.level == "none"} == set()


def test_every_head_that_ships_is_shown() -> None:
    heads = {row.family: set(row.heads) for row in proven()}

    assert all(heads.values())
    assert heads["xlm-roberta"] == {"dense", "sparse", "multi", "score"}
    assert heads["siglip"] == {"dense", "image"}
    assert heads["qwen3"] == {"dense", "score"}


def test_real_weights_are_a_level_of_their_own(written: Path) -> None:
    (written / "bert.json").write_text(kept(**{"all-MiniLM-L6-v2": 1e-6}))

    assert {row.family: row.level for row in proven()}["bert"] == "weights"


def test_the_command_lists_every_family() -> None:
    shown = CliRunner().invoke(cli, ["models", "families"])
    rows = json.loads(CliRunner().invoke(cli, ["models", "families", "--json"]).output)

    assert [row["family"] for row in rows] == list(FAMILIES)
    assert all(family in shown.output for family in FAMILIES)
