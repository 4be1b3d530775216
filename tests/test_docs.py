"""What the pages say is what there is."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from embedstack import errors
from embedstack.models import FAMILIES
from support.reference import PROVEN, ROOT, pages
from support.shown import calls, resolve

PACKAGE = ROOT / "src/embedstack"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
ROOMS = {"top": PACKAGE, **{path.parent.name: path.parent for path in sorted(PACKAGE.glob("*/__init__.py"))}}
ROOT_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
DOCS = [*ROOT_PAGES, *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = [path for path in DOCS if path.name != "reference.md"]  # which is made of the commands


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_a_made_page_is_up_to_date(path: Path) -> None:
    assert path.read_text() == pages()[path], "run: python tests/support/reference.py"


def file_map() -> dict[str, list[str]]:
    """Each room of docs/structure.md -> the files and folders that its row names, as often as it does."""
    page = (ROOT / "docs/structure.md").read_text().partition("## The files")[2]
    rows = re.findall(r"^\| `?(\w+)/?`? \| (.*) \|$", page, re.MULTILINE)
    return {room: re.findall(r"`(\w+(?:\.py|/))`", files) for room, files in rows if room != "room"}


def in_room(room: str) -> list[str]:
    """The files of Python, and the folders of other files."""
    parts = [path for path in ROOMS[room].iterdir() if path.name not in ("__init__.py", "__pycache__")]
    folders = [f"{path.name}/" for path in parts if path.is_dir() and room != "top"]
    return [path.name for path in parts if path.suffix == ".py"] + folders


def test_every_room_has_a_row_in_the_file_map() -> None:
    assert sorted(file_map()) == sorted(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_the_row_of_a_room_names_each_of_its_files_once(room: str) -> None:
    assert sorted(file_map()[room]) == sorted(in_room(room))


def test_every_room_is_in_the_readme() -> None:
    rooms = {path.parent.name for path in SOURCES} - {"embedstack"}

    assert [room for room in rooms if f"`{room}/`" not in (ROOT / "README.md").read_text()] == []


def test_the_table_of_families_is_that_of_the_code() -> None:
    page = (ROOT / "docs/models.md").read_text()
    table = page[page.index(PROVEN[0]) : page.index(PROVEN[1])]
    named = [name for row in table.splitlines()[3:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])]

    assert sorted(named) == sorted(FAMILIES)


def test_no_file_is_over_500_lines() -> None:
    assert [path.name for path in SOURCES if len(path.read_text().splitlines()) > 500] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_a_command_that_is_shown_is_one_with_all_its_flags(path: Path) -> None:
    wrong = {}
    for words in calls(path.read_text()):
        try:
            resolve(words)
        except click.UsageError as error:
            wrong[" ".join(words)] = error.format_message()

    assert wrong == {}


def test_calls_are_found_in_shells_and_in_sentences() -> None:
    block = 'A=b embedstack x --y \\\n  z && .venv/bin/embedstack q # c\ncp "$(embedstack models path m)/t" .'
    page = f"```bash\n{block}\n```\nAsk `embedstack\ndoctor`, or `embed`.\n```python\nembedstack.load()\n```\n"

    assert calls(page) == [["x", "--y", "z"], ["q"], ["models", "path", "m"], ["doctor"]]


@pytest.mark.parametrize(
    "words",
    ["nonsense", "models nonsense", "models prove m --nonsense", "models path m n", "models prove --url", "--nonsense"],
)
def test_a_command_that_is_none_would_be_seen(words: str) -> None:
    with pytest.raises(click.UsageError):
        resolve(words.split())


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
