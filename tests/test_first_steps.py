"""The first commands that a reader is shown run as they stand there, in an empty folder: from nothing to a report."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from embedstack.evals.reports.reporting import from_json
from support.commands import settings_only
from support.reference import ROOT

PAGES = ("README.md", "docs/evaluation.md")
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    if "embedstack index articles" in block
]
PATIENCE_S = 100


def test_the_first_steps_are_the_same_wherever_they_are_shown() -> None:
    assert len(BLOCKS) >= 1
    assert len(set(BLOCKS)) == 1


@pytest.mark.quality  # with real weights it takes ten seconds
@pytest.mark.weights
def test_from_nothing_to_a_report(tmp_path: Path, minilm_folder: Path) -> None:
    command = f'embedstack() {{ "{sys.executable}" -m embedstack "$@"; }}\n{BLOCKS[0]}'
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S, env=settings_only(PYTHONPATH=os.pathsep.join(sys.path), BROWSER="echo opened %s"),
    )  # fmt: skip

    assert done.returncode == 0, (done.stdout, done.stderr)
    assert re.search(r"^1  0\.\d{4}  pump\.md$", done.stdout, re.MULTILINE)
    assert f"opened file://{tmp_path}/report/report.html" in done.stdout
    report = from_json((tmp_path / "report/report.json").read_bytes())
    systems = {one.system: one.measures["ndcg@10"].value for one in report.outcomes}
    assert list(systems) == ["./.embedstack#documents", "./.embedstack#documents/*", "./.embedstack#documents/bm25"]
    assert systems["./.embedstack#documents/*"] == 1
    assert all(system in (tmp_path / "report/report.html").read_text() for system in systems)
