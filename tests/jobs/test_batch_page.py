"""What the guide to batch jobs shows in Python runs as it stands there."""

import re
from pathlib import Path

import pytest

from support.reference import ROOT
from support.tables import job

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/batch.md").read_text(), re.DOTALL)
WITH_A_MODEL = [block for block in BLOCKS if "open_here" in block]
READING = [block for block in BLOCKS if block not in WITH_A_MODEL]


def test_the_blocks_that_read_a_table_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path / "vectors", [{"a": ["one bird", "two birds"]}, {"b": ["a stone"]}])
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in READING:
        exec(compile(block, "docs/batch.md", "exec"), names)

    shown = capsys.readouterr().out
    assert shown.startswith("hash 3 2\n")
    assert "fixed_size_list" in str(names["table"].schema)  # type: ignore[attr-defined]
    assert names["matrix"].shape == (3, 8)  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.usefixtures("minilm_folder")
def test_the_block_that_makes_a_table_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = WITH_A_MODEL
    (tmp_path / "docs").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"docs/{name}.md").write_text(f"# {name}\n\nA lamp stands by the river.\n")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, "docs/batch.md", "exec"), names)

    assert names["table"].num_rows == 2  # type: ignore[attr-defined]
