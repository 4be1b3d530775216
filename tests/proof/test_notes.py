"""What a recording run of the tests keeps beside the families, and what it forgets."""

import json
from pathlib import Path
from typing import Any

import pytest

from support import proofs
from support.proofs import note, note_weights

HERE = "tests/proof/test_notes.py"
OTHER = "tests/proof/test_families.py"
ROW = {"runtimes": {"numpy": 1e-7}, "mutations": ["a"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(proofs, "proofs_folder", lambda: tmp_path)
    monkeypatch.setattr(proofs, "RECORDS", True)
    monkeypatch.setattr(proofs, "judges", lambda: "a judge 1.0")
    monkeypatch.setattr(proofs, "_BEGUN", set())
    return tmp_path


def write(folder: Path, judge: str = "a judge 1.0", **modules: str) -> None:
    cases = {name: {**ROW, "module": module} for name, module in modules.items()}
    (folder / "bert.json").write_text(json.dumps({"judge": judge, "cases": cases, "weights": {"m": 1e-6}}))


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "bert.json").read_text())


def test_what_a_run_notes_adds_up(folder: Path) -> None:
    for what in ("numpy", "mutation: b", "mutation: a"):
        note("bert", "one", what, 1.23e-7)

    assert read(folder)["cases"] == {"one": {"module": HERE, "runtimes": {"numpy": 1.2e-7}, "mutations": ["a", "b"]}}


def test_a_run_forgets_what_its_module_noted_before(folder: Path) -> None:
    write(folder, gone=HERE, one=HERE)

    note("bert", "one", "onnx", 1e-7)

    assert read(folder)["cases"] == {"one": {"module": HERE, "runtimes": {"onnx": 1e-7}, "mutations": []}}


def test_a_run_keeps_what_other_modules_noted_unless_they_are_no_more(folder: Path) -> None:
    write(folder, kept=OTHER, gone="tests/proof/test_that_was_removed.py")

    note("bert", "one", "onnx", 1e-7)

    assert sorted(read(folder)["cases"]) == ["kept", "one"]
    assert read(folder)["weights"] == {"m": 1e-6}


def test_what_another_version_of_the_judge_said_is_forgotten(folder: Path) -> None:
    write(folder, judge="a judge 0.9", kept=OTHER)

    note("bert", "one", "onnx", 1e-7)

    assert sorted(read(folder)["cases"]) == ["one"]
    assert (read(folder)["judge"], read(folder)["weights"]) == ("a judge 1.0", {})


def test_real_weights_are_noted_beside_the_cases(folder: Path) -> None:
    write(folder, kept=OTHER)

    note_weights("bert", "all-MiniLM-L6-v2", 1.23e-6)

    assert read(folder)["weights"] == {"m": 1e-6, "all-MiniLM-L6-v2": 1.2e-6}
    assert sorted(read(folder)["cases"]) == ["kept"]


def test_what_was_compared_and_by_whom_is_noted(folder: Path) -> None:
    note("bert", "one", "numpy", 1e-7, heads=["sparse", "dense"], judge="b judge 2.0")
    note("bert", "one", "mutation: a", 0.0)

    row = read(folder)["cases"]["one"]
    assert (row["heads"], row["judge"]) == (["dense", "sparse"], "b judge 2.0")


def test_the_largest_difference_of_a_published_model_is_noted(folder: Path) -> None:
    write(folder)

    for off in (1e-6, 3e-6, 2e-6):
        note_weights("bert", "m2", off)

    assert read(folder)["weights"]["m2"] == 3e-6


def test_an_earlier_run_is_no_bound_for_a_published_model(folder: Path) -> None:
    write(folder)

    note_weights("bert", "m", 1e-8)

    assert read(folder)["weights"] == {"m": 1e-8}


def test_weights_are_noted_where_the_judge_of_the_cases_is_another(folder: Path) -> None:
    write(folder, judge="a judge 0.9", kept=OTHER)

    note_weights("bert", "m2", 1e-7)

    assert (read(folder)["judge"], sorted(read(folder)["cases"])) == ("a judge 0.9", ["kept"])
    assert read(folder)["weights"] == {"m": 1e-6, "m2": 1e-7}


def test_nothing_is_noted_where_it_is_not_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "RECORDS", False)

    note("bert", "one", "onnx", 1e-7)
    note_weights("bert", "m", 1e-7)

    assert list(folder.iterdir()) == []
