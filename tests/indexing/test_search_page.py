"""What the guide to search shows runs as it stands there."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from embedstack.cli import cli
from support.reference import ROOT

PAGE = (ROOT / "docs/search.md").read_text()
FIRST = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)[0]
(PYTHON,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
DOCUMENTS = {
    "pandas.md": "---\nauthor: Lind\n---\n# Giant pandas\n\n## Rest\n\nPandas sleep on the ground between two meals.",
    "tea.md": "# Tea\n\nGreen tea is brewed for two minutes.",
}

pytestmark = [pytest.mark.slow, pytest.mark.weights, pytest.mark.usefixtures("minilm_folder")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    (tmp_path / "docs").mkdir()
    for name, text in DOCUMENTS.items():
        (tmp_path / "docs" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outputs() -> list[str]:
    """Of the commands of the first block, in order."""
    lines = [shlex.split(line, comments=True)[1:] for line in FIRST.splitlines()]
    return [CliRunner().invoke(cli, words, catch_exceptions=False).stdout for words in lines]


def test_the_first_four_commands_do_what_is_said_beside_them(folder: Path) -> None:
    made, asked, again, chosen = outputs()

    assert made.startswith("2 documents: 2 new")
    assert asked.splitlines()[0].endswith("pandas.md › Giant pandas › Rest")
    assert again.startswith("2 documents: 0 new, 0 changed, 2 unchanged")
    assert ("pandas.md" in chosen, "tea.md" in chosen) == (True, False)


def test_the_block_of_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs()
    exec(compile(PYTHON, "docs/search.md", "exec"), {})

    assert capsys.readouterr().out == "pandas.md 0.0328 ['bm25', 'dense', 'fused']\n"
