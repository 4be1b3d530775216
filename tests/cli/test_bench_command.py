"""`embedstack bench`: the table, the JSON, and what is refused."""

import json
from pathlib import Path

import pytest

from embedstack import load
from support.commands import good, run

pytestmark = pytest.mark.usefixtures("machine")


@pytest.fixture
def texts(tmp_path: Path) -> str:
    path = tmp_path / "mine.txt"
    path.write_text("the panda is a bear\nwhat is a river ?\n")
    return str(path)


def test_bench_json_has_a_row_with_rates_latency_start_and_memory(embedder: str, texts: str) -> None:
    report = json.loads(good("bench", embedder, "--texts", texts, "--rounds", "2", "--json").stdout)

    (row,) = report["rows"]
    assert (report["texts"], report["rounds"], report["threads"]) == (2, 2, 1)
    assert row["name"] == "openvino float32"
    assert row["texts_per_s"]["least"] <= row["texts_per_s"]["median"] <= row["texts_per_s"]["most"]
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["load_s"] > 0


def test_bench_counts_tokens_as_the_model_does(embedder: str, texts: str) -> None:
    report = json.loads(good("bench", embedder, "--texts", texts, "--rounds", "1", "--json").stdout)

    with load(embedder) as model:
        made = model.encode(Path(texts).read_text().splitlines())
    assert report["tokens"] == made.usage.tokens
    assert (report["space"], report["rows"][0]["fingerprint"]) == (made.spec.space, made.fingerprint)


def test_bench_measures_runtimes_side_by_side(embedder: str, texts: str) -> None:
    both = ("--runtime", "openvino", "--runtime", "numpy", "--precision", "auto")

    lines = good("bench", embedder, "--texts", texts, "--rounds", "1", *both).stdout.splitlines()

    assert lines[0].startswith("bert-mean: 2 texts of ")
    assert lines[2].split()[:3] == ["texts/s", "range", "tokens/s"]
    assert [line.split()[:2] for line in lines[3:]] == [["openvino", "auto"], ["numpy", "auto"]]


def test_bench_measures_int8_that_is_not_proven(embedder: str, texts: str, machine: Path) -> None:
    int8 = ("--runtime", "onnx", "--precision", "int8")

    lines = good("bench", embedder, "--texts", texts, "--rounds", "1", *int8).stdout.splitlines()

    assert lines[3].split()[:2] == ["onnx", "int8"]
    assert not (machine / "cache/proven").exists()


@pytest.mark.parametrize("name", ["bert-classifier", "bert-labels"])
def test_bench_takes_models_that_score(folders: dict[str, str], name: str, texts: str) -> None:
    report = json.loads(good("bench", folders[name], "--texts", texts, "--rounds", "1", "--json").stdout)

    assert report["model"] == name
    assert report["rows"][0]["texts_per_s"]["median"] > 0


@pytest.mark.slow
def test_bench_has_texts_of_its_own(embedder: str) -> None:
    report = json.loads(good("bench", embedder, "--rounds", "1", "--json").stdout)

    assert report["texts"] == 128


def test_bench_refuses_a_runtime_that_is_not_there(embedder: str, texts: str) -> None:
    result = run("bench", embedder, "--texts", texts, "--runtime", "abacus")

    assert "runtime 'abacus' is unknown" in str(result.exception) + result.output


def test_bench_refuses_no_rounds(embedder: str) -> None:
    assert run("bench", embedder, "--rounds", "0").exit_code == 2


def test_bench_refuses_a_file_that_is_not_there(embedder: str) -> None:
    result = run("bench", embedder, "--texts", "nowhere.txt")

    assert "'nowhere.txt' is not there" in str(result.exception) + result.output
