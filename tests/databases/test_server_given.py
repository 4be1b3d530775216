"""The command of the documentation and a server's address become tests of that server."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITES = (
    "databases/test_bound.py",
    "databases/test_databases.py",
    "databases/test_fusing.py",
    "databases/test_qdrant_facade_points.py",
    "databases/test_qdrant_told.py",
    "indexing/test_index_databases.py",
    "loading/test_load_deleting.py",
    "loading/test_loading.py",
)
PATIENCE_S = 100


def selected(url: str) -> set[str]:
    """The files of tests over a server of which some are selected, by the words of docs/databases.md."""
    page = (ROOT / "docs" / "databases.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith("QDRANT_URL="))
    _, python, *words = shlex.split(line)
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *words, "--collect-only", "-q", "-p", "no:cacheprovider"],
        env={**os.environ, "QDRANT_URL": url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    items = [one for one in done.stdout.splitlines() if "qdrant-server" in one]
    return {one.partition("::")[0].removeprefix("tests/") for one in items}


@pytest.mark.faults
def test_the_documented_command_asks_the_server_all_that_needs_no_fault() -> None:
    assert selected("http://nobody.invalid:6333") == set(SUITES)
