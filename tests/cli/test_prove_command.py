"""`embedstack models prove`, truth at `models pull`, and what `serve` makes of it at its start."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedstack import load
from embedstack.api import open_engine
from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.errors import BadRequest, ConfigError, Mismatch, Unsupported
from embedstack.proof.kept import Truth, packed, place
from embedstack.proof.truth import ensure
from embedstack.settings import Settings
from support.commands import good, process, run
from support.confusion import tiny_folder

pytestmark = pytest.mark.usefixtures("machine")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("tiny")
    return {name: str(tiny_folder(name, root)) for name in ("bert-mean", "bert-cls", "bert-classifier")}


@pytest.fixture
def model(models: dict[str, str]) -> str:
    return models["bert-mean"]


def test_a_runtime_here_is_proven_with_exit_code_0(model: str) -> None:
    said = good("models", "prove", model).stdout

    assert "held to float32 (as asked)" in said
    assert "proven: it fits the model's own recipe" in said
    assert "COSINE MIN" in said


def test_for_machines_it_is_json(model: str) -> None:
    said = json.loads(good("models", "prove", model, "--json").stdout)

    (row,) = said["outputs"]
    assert (said["proven"], said["verdict"]) == (True, "proven")
    assert row["least"] >= 0.999999
    assert (row["top"], row["alone"]) == (1.0, pytest.approx(1.0))
    assert said["diagnosis"]["verdict"] == "right"


def test_a_reranker_is_proven_by_its_logits(models: dict[str, str]) -> None:
    (row,) = json.loads(good("models", "prove", models["bert-classifier"], "--json").stdout)["outputs"]

    assert row["output"] == "score"
    assert row["order"] == 1.0
    assert row["largest"] < 1e-5


def test_a_truth_that_is_not_true_accuses_nobody(model: str, tmp_path: Path) -> None:
    spoil(model, tmp_path / "cache", lambda row: row + np.float32(0.3))

    done = process("models", "prove", model)

    assert done.returncode == Mismatch.exit_code
    assert b"the truth that was kept for 'bert-mean' is not what its weights give" in done.stderr


def spoil(model: str, cache: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Make a truth that is not true."""
    located = find(model, cache_dir=cache)
    truth = ensure(located.spec, located.folder, cache)
    rows = {output: {name: change(row) for name, row in rows.items()} for output, rows in truth.rows.items()}
    place(located.spec, cache).write_bytes(packed(Truth(truth.space, rows)))


# ------------------------------------------------------------------------------------------------ endpoints and files


def served(monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], httpx.Response]) -> None:
    """Answers instead of a network."""
    whole = httpx.AsyncClient

    def client(*given: object, **named: object) -> httpx.AsyncClient:
        return whole(*given, **{**named, "transport": httpx.MockTransport(answer)})

    monkeypatch.setattr(httpx, "AsyncClient", client)


def test_an_endpoint_that_pools_otherwise_is_told_so_with_exit_code_3(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with load(other_pooling(model, tmp_path), precision="float32") as wrong:

        def answer(request: httpx.Request) -> httpx.Response:
            asked = json.loads(request.content)
            return openai(wrong.encode(asked["input"] if isinstance(asked["input"], list) else [asked["input"]]).dense)

        served(monkeypatch, answer)
        result = run("models", "prove", model, "--url", "http://host/v1")

    assert isinstance(result.exception, Mismatch), result.exception
    assert result.exception.exit_code == 3
    assert "held to bfloat16 (it does not say" in result.stdout
    assert "not proven: it pools by 'cls', the model by 'mean'" in result.stdout


def other_pooling(model: str, root: Path) -> str:
    """The same weights with another pooling in the folder's files."""
    folder = Path(shutil.copytree(model, root / "cls"))
    path = folder / "1_Pooling/config.json"
    stated = json.loads(path.read_text())
    path.write_text(json.dumps({**stated, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    return str(folder)


def openai(vectors: np.ndarray) -> httpx.Response:
    """As OpenAI replies."""
    rows = [{"object": "embedding", "index": n, "embedding": row.tolist()} for n, row in enumerate(vectors)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return httpx.Response(200, json={"object": "list", "data": rows, "model": "m", "usage": usage})


def test_an_endpoint_of_another_width_is_told_both_widths(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return openai(np.full((len(json.loads(request.content)["input"]), 48), 0.1))

    served(monkeypatch, answer)
    result = run("models", "prove", model, "--url", "http://host/v1", "--dialect", "openai")

    assert isinstance(result.exception, Mismatch), result.exception
    assert "48" in str(result.exception)
    assert "32" in str(result.exception)


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_user_and_password_of_an_endpoint_are_never_printed(
    flags: tuple[str, ...], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with load(model, precision="float32") as right:

        def answer(request: httpx.Request) -> httpx.Response:
            return openai(right.encode(json.loads(request.content)["input"]).dense * np.float32(2))

        served(monkeypatch, answer)
        result = run("models", "prove", model, "--url", "http://somebody:hush-hush@host/v1", *flags)

    assert isinstance(result.exception, Mismatch), result.exception
    said = f"{result.output} {result.exception}"
    assert "http://***@host/v1" in said
    assert "somebody" not in said
    assert "hush-hush" not in said


def test_no_vector_comes_from_the_cache(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_VECTOR_CACHE_MB", "10")
    given = []

    def opening(settings: Settings, names: list[str]) -> Engine:
        given.append(settings)
        return open_engine(settings, names)

    monkeypatch.setattr("embedstack.cli.prove.open_engine", opening)
    good("models", "prove", model)

    assert [settings.vector_cache_mb for settings in given] == [0]


def test_an_exported_file_is_proven(model: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    out = str(tmp_path / "m.onnx")
    good("models", "export", model, out)

    assert "proven: it fits" in good("models", "prove", model, "--file", out).stdout


def test_a_file_of_another_model_is_refused(models: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    out = str(tmp_path / "m.onnx")
    good("models", "export", models["bert-cls"], out)

    result = run("models", "prove", models["bert-mean"], "--file", out)

    assert isinstance(result.exception, Mismatch)
    assert "export it again" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (("--url", "http://a", "--file", "b"), BadRequest, "--url would change nothing for --file"),
        (("--file", "b", "--precision", "int8", "--runtime", "onnx"), BadRequest, "--precision, --runtime would"),
        (("--url", "http://a", "--runtime", "onnx"), BadRequest, "--runtime would change nothing for --url"),
        (("--url", "http://a", "--device", "cpu"), BadRequest, "--device would change nothing for --url"),
        (("--dialect", "tei"), BadRequest, "--dialect would change nothing for a runtime here"),
        (("--served-as", "m"), BadRequest, "--served-as would change nothing"),
        (("--prompts-here",), BadRequest, "--prompts-here would change nothing"),
        (("--key-env", "HOME"), BadRequest, "--key-env would change nothing"),
        (("--url", "http://a", "--key-env", "NOT_SET_ANYWHERE"), ConfigError, "'NOT_SET_ANYWHERE' is not set"),
        (("--url", ""), ConfigError, "url '' is not of the form"),
        (("--precision", "int3"), ConfigError, "precision"),
        (("--runtime", "reference"), Unsupported, "runtime 'reference' has no truth"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: tuple[str, ...], kind: type[Exception], says: str, model: str
) -> None:
    result = run("models", "prove", model, *arguments)

    assert isinstance(result.exception, kind)
    assert says in str(result.exception)


# ------------------------------------------------------------------------------------------------ int8

INT8 = ("--runtime", "onnx", "--precision", "int8")


def test_int8_that_is_proven_may_run_from_then_on(model: str, tmp_path: Path) -> None:
    before = run("embed", "panda", "--model", model, *INT8)

    good("models", "prove", model, *INT8)
    shutil.rmtree(tmp_path / "cache/truth")  # so that nothing but the note speaks for it

    assert isinstance(before.exception, ConfigError)
    assert "int8 of 'bert-mean' is not proven here" in str(before.exception)
    assert json.loads(good("embed", "panda", "--model", model, *INT8).stdout)


def test_int8_that_is_allowed_runs_unproven(model: str, tmp_path: Path) -> None:
    assert json.loads(good("embed", "panda", "--model", model, *INT8, "--allow-unproven").stdout)

    assert not (tmp_path / "cache/proven").exists()


def test_what_an_endpoint_reached_is_no_note_of_this_machine(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with load(model, precision="float32") as right:

        def answer(request: httpx.Request) -> httpx.Response:
            asked = json.loads(request.content)
            return openai(right.encode(asked["input"] if isinstance(asked["input"], list) else [asked["input"]]).dense)

        served(monkeypatch, answer)
        good("models", "prove", model, "--url", "http://host/v1", "--precision", "int8")

    assert not (tmp_path / "cache/proven").exists()


# ------------------------------------------------------------------------------------------------ pull and serve


def test_pull_makes_truth_once(model: str, tmp_path: Path) -> None:
    good("models", "pull", model)

    located = find(model, cache_dir=tmp_path / "cache")
    assert place(located.spec, tmp_path / "cache").is_file()


def test_pull_without_truth_makes_none(model: str, tmp_path: Path) -> None:
    good("models", "pull", model, "--no-truth")

    assert not (tmp_path / "cache/truth").exists()


def test_pull_of_broken_weights_names_the_tensor(tmp_path: Path) -> None:
    folder = tiny_folder("bert-mean", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.LayerNorm.bias"][0] = np.nan
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    result = run("models", "pull", str(folder))

    assert isinstance(result.exception, ConfigError)
    assert "'embeddings.LayerNorm.bias' holds a number that is not finite" in str(result.exception)


@pytest.mark.slow
def test_a_server_whose_vectors_are_not_its_truths_ends_and_says_why(model: str, tmp_path: Path) -> None:
    spoil(model, tmp_path / "cache", lambda row: np.roll(row, 1) * np.float32(-1))

    done = process("serve", model, "--port", "0")

    assert done.returncode == Mismatch.exit_code
    assert b"gives another vector than its truth" in done.stderr
    assert b"listening on" not in done.stderr
