"""What the guide to databases shows in Python runs as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import embedstack
from embedstack.cli import cli
from embedstack.databases.bound import Bound, origin_of
from embedstack.databases.database import Collection, Field, Points
from embedstack.databases.opening import open_database
from support.reference import ROOT
from support.tables import job

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/databases.md").read_text(), re.DOTALL)
LOOKING, ASKING, BY_HAND, IMPORTING = BLOCKS
TEXTS = ["Pandas sleep on the ground.", "It rains.", "A lamp stands by the river.", "Bread is baked at night."]


def run(block: str, names: dict[str, object]) -> None:
    exec(compile(block, "docs/databases.md", "exec"), names)


@pytest.mark.slow
def test_a_job_is_in_a_folder_after_the_second_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path / "vectors", [{"a": ["one bird", "two birds"]}, {"b": ["a stone"]}])
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["load", "./vectors", "./store", "--collection", "docs"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    names: dict[str, object] = {}
    run(LOOKING, names)
    names["database"].close()  # type: ignore[attr-defined]

    assert capsys.readouterr().out == "3 8 'hash' (space 555555555555…) True\n"


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.usefixtures("minilm_folder")
def test_the_block_that_asks_a_question_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with embedstack.load("all-MiniLM-L6-v2") as model:
        made = model.encode(TEXTS)
    database = open_database("store")
    bound = Bound(database, "docs", {"": origin_of(made, "document")})
    bound.prepare(Collection(name="docs", fields={"": Field(dim=384)}))
    payloads = [{"doc_id": f"{number}", "text": text} for number, text in enumerate(TEXTS)]
    bound.write(Points(ids=range(len(TEXTS)), vectors={"": np.asarray(made.dense)}, payloads=payloads))
    run(ASKING, {"database": database})
    database.close()

    first, *others = capsys.readouterr().out.splitlines()
    assert first.endswith(f"0 {TEXTS[0]}")
    assert len(others) == 2


def test_the_block_that_writes_by_hand_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(BY_HAND, {"open_database": open_database})

    assert capsys.readouterr().out.splitlines() == [
        "0b7c2f0e-58a4-4c5e-9d62-6c1c7f6f0a11 0.6 Kim",
        "['cats'] 2 None",
    ]


def test_the_block_for_weaviate_is_python() -> None:
    assert compile(IMPORTING, "docs/databases.md", "exec")
