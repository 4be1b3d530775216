"""What the pages say is what there is."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from embedstack import errors
from embedstack.cli import COMMANDS
from embedstack.models import FAMILIES
from support.reference import ROOT, pages

SOURCES = sorted(path for path in (ROOT / "src/embedstack").rglob("*.py") if path.name != "__init__.py")
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_a_made_page_is_up_to_date(path: Path) -> None:
    assert path.read_text() == pages()[path], "run: python tests/support/reference.py"


def test_every_file_has_a_place_in_the_file_map() -> None:
    text = (ROOT / "docs/structure.md").read_text()

    assert [path.name for path in SOURCES if f"`{path.name}`" not in text] == []


def test_every_room_is_in_the_readme() -> None:
    rooms = {path.parent.name for path in SOURCES} - {"embedstack"}

    assert [room for room in rooms if f"`{room}/`" not in (ROOT / "README.md").read_text()] == []


def test_a_file_named_in_the_map_exists() -> None:
    named = set(re.findall(r"`(\w+\.py)`", (ROOT / "docs/structure.md").read_text()))

    assert named - {path.name for path in SOURCES} == set()


def test_the_table_of_families_is_that_of_the_code() -> None:
    table = (ROOT / "docs/models.md").read_text().partition("| `model_type` |")[2].partition("\n\n")[0]
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])]

    assert sorted(named) == sorted(FAMILIES)


def test_no_file_is_over_500_lines() -> None:
    assert [path.name for path in SOURCES if len(path.read_text().splitlines()) > 500] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_command_that_is_shown_is_one(path: Path) -> None:
    shown = re.findall(r"^(?:.*&& )?(?:\.venv/bin/)?embedstack (\w+)", path.read_text(), re.MULTILINE)

    assert set(shown) <= set(COMMANDS)


@pytest.mark.weights
def test_the_readmes_python_runs() -> None:
    (block,) = [
        code
        for code in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if "import embedstack\n" in code
    ]
    code = block.split("reranker")[0]  # the reranker's weights are on the Hub alone

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(1, 384)\n")


def test_the_readmes_set_up_commands_name_what_exists() -> None:
    commands = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]

    assert ["embedstack serve" in commands[0], "-m pytest" in commands[1], len(commands)] == [True, True, 2]
    assert all(shlex.split(command) for command in commands)


def test_the_error_tree_in_the_docstring_is_the_tree() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.EmbedstackError)]
    drawn = dict(re.findall(r"(\w+) {2,}(\d{3}|–)  ", errors.__doc__ or ""))

    assert {k.__name__ for k in kinds} - {"EmbedstackError"} == set(drawn)
    assert [k.__name__ for k in kinds if drawn.get(k.__name__, "–") not in ("–", str(k.status))] == []
