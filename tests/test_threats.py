"""The page of threats names what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/threats.md").read_text()
SOURCES = sorted(set(re.findall(r"`([a-z_]+(?:/[a-z0-9_]+)?\.py)`", PAGE)))
TESTS = sorted(set(re.findall(r"`((?:\.\./[a-z]+/)?test_[a-z0-9_]+\.py)`", PAGE)))


@pytest.mark.parametrize("name", [name for name in SOURCES if not name.startswith("test_")])
def test_what_stops_an_attack_is_a_file(name):
    assert (ROOT / "src/embedstack" / name).is_file()


@pytest.mark.parametrize("name", TESTS)
def test_what_holds_it_is_a_test(name):
    assert (ROOT / "tests/server" / name).is_file()


def test_every_answer_has_a_file_and_a_test():
    table = PAGE.split("## Who attacks")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines()[4:] if line.startswith("|") and "**" not in line]

    assert rows
    assert [row[0] for row in rows if not all(".py`" in cell for cell in row[2:])] == []
