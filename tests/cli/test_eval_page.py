"""What the guide to evaluation shows runs as it stands there, one block after the other, in one folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import settings_only
from support.reference import ROOT
from support.shown import calls, resolve

PAGE = (ROOT / "docs/evaluation.md").read_text()
FIRST_STEPS = "embedstack index"  # a block that test_first_steps.py runs, in a folder of its own
SHELL = [block for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) if FIRST_STEPS not in block]
(PYTHON,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(STEP,) = re.findall(r"run: \|\n(.*?)```", PAGE, re.DOTALL)
PATIENCE_S = 120


def bash(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """As a step of GitHub's runs it: it ends where a line fails."""
    command = f'embedstack() {{ "{sys.executable}" -m embedstack "$@"; }}\n{script}'
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S, env=settings_only(PYTHONPATH=os.pathsep.join(sys.path), **variables),
    )  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, minilm_folder: Path) -> tuple[Path, list[str]]:
    """The folder in which all blocks ran, and what each of them said."""
    folder = tmp_path_factory.mktemp("guide")
    outputs = []
    for block in SHELL:
        done = bash(block, folder)
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        outputs.append(done.stdout)
    return folder, outputs


pytestmark = [pytest.mark.slow, pytest.mark.weights]


def test_the_first_block_judges_a_file_of_the_readers_own(said: tuple[Path, list[str]]) -> None:
    (first, *_) = said[1]

    assert "Evaluation of questions.csv" in first
    assert re.search(r"^all-MiniLM-L6-v2 +\d\.\d{4} \[", first, re.MULTILINE)


def test_the_comparison_says_what_the_page_shows(said: tuple[Path, list[str]]) -> None:
    shown = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)

    for block in shown:
        for line in block.strip().splitlines():
            assert line in "\n".join(said[1])


def test_rankings_are_as_good_as_the_systems_that_made_them(said: tuple[Path, list[str]]) -> None:
    def found(output: str) -> list[str]:
        return re.findall(r"(?:better|worse) by (.*);|(not told apart: .*);", output)

    compared, again = (next(out for out in said[1][at:] if "instead of" in out) for at in (1, 2))

    assert found(again)[0] == found(compared)[0]


def test_a_gate_that_cannot_say_says_so_with_its_exit_code(said: tuple[Path, list[str]]) -> None:
    (output,) = (out for out in said[1] if "PASS: " in out)

    assert output.endswith("exit code 11\n")


def test_the_collection_is_judged_beside_the_model_and_what_it_lacks_is_told(said: tuple[Path, list[str]]) -> None:
    (output,) = (out for out in said[1] if re.search("^./store#notes ", out, re.MULTILINE))

    assert "./store#notes: it has 3 points and the labelled set 10 documents: 7 or more are not there" in output


def test_the_step_of_ci_runs_and_leaves_a_summary(said: tuple[Path, list[str]], tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir()
    shutil.copy(said[0] / "questions.csv", tmp_path / "eval")

    done = bash(STEP, tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))

    verdict = (tmp_path / "summary.md").read_text()
    assert done.returncode == (10 if "FAIL" in verdict else 0), done.stderr
    assert ("::warning::" in done.stdout) == ("INCONCLUSIVE" in verdict)


def test_the_step_of_ci_fails_where_its_input_is_missing(tmp_path: Path) -> None:
    assert bash(STEP, tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md")).returncode != 0


def test_the_step_of_ci_calls_commands_that_there_are() -> None:
    (words,) = calls(f"```bash\n{STEP.replace('|| code=$?', '')}```")

    resolve(words)


def test_the_python_of_the_page_runs(said: tuple[Path, list[str]]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PYTHON], cwd=said[0], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )

    assert done.returncode == 0, done.stderr
    assert re.match(r"0\.\d+\n## ", done.stdout)
