"""`embedstack models export`: the file's name on stdout, the rest on stderr."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import ConfigError
from embedstack.runtimes import RUNTIMES
from embedstack.runtimes.export import read_identity
from embedstack.runtimes.exported import OnnxFile
from embedstack.types import Batch
from support.commands import good, run, wanted


@pytest.mark.usefixtures("machine")
def test_the_files_name_is_all_that_stdout_gets(embedder: str, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"

    result = good("models", "export", embedder, str(out))

    assert result.stdout == f"{out}\n"
    assert out.exists()
    assert "wrote" in result.stderr


@pytest.mark.usefixtures("machine")
def test_the_file_gives_the_librarys_vectors(embedder: str, tmp_path: Path) -> None:
    good("models", "export", embedder, str(tmp_path / "m.onnx"))
    file = OnnxFile(tmp_path / "m.onnx")
    batch = Batch(np.array([2, 9, 3], np.int32), np.zeros(3, np.int32), np.array([0, 3], np.int32))

    made = file.run(batch, frozenset({"dense"}))["dense"]

    assert made.shape == wanted(embedder, "a").shape
    assert np.linalg.norm(made) == pytest.approx(1, abs=1e-6)


@pytest.mark.usefixtures("machine")
def test_json_says_what_was_written(reranker: str, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"

    said = json.loads(good("models", "export", reranker, str(out), "--plain", "--json").stdout)

    assert said == {"files": {str(out): out.stat().st_size}, "plain": True, "identity": read_identity(out)}


@pytest.mark.usefixtures("machine")
def test_a_file_is_replaced_only_by_force(embedder: str, reranker: str, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    good("models", "export", embedder, str(out))

    refused = run("models", "export", reranker, str(out))
    good("models", "export", reranker, str(out), "--force")

    assert isinstance(refused.exception, ConfigError)
    assert read_identity(out)["model"] == "bert-classifier"


@pytest.mark.usefixtures("machine")
def test_a_missing_package_names_the_line_that_installs_it(
    embedder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNTIMES, "onnx", "embedstack_has_no_such_module:Onnx")  # type: ignore[index]

    refused = run("models", "export", embedder, str(tmp_path / "m.onnx"))

    assert "pip install 'embedstack[onnx]'" in str(refused.exception)


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.usefixtures("machine")
def test_the_pages_python_runs_over_an_exported_file(minilm_folder: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    good("models", "export", str(minilm_folder), str(tmp_path / "minilm.onnx"))
    shutil.copy(minilm_folder / "tokenizer.json", tmp_path)

    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stdout == f"(2, 384) {read_identity(tmp_path / 'minilm.onnx')['space']}\n"
