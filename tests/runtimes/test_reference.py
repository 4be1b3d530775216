"""Families that are not ours, through sentence-transformers: its numbers, under a name of their own."""

import json
from pathlib import Path

import numpy as np
import pytest

import embedstack
from embedstack.catalog import find
from embedstack.errors import ConfigError, RuntimeFailed, Unsupported
from embedstack.models.weights import open_weights, unread_weights
from embedstack.runtimes import Options, open_runtime
from embedstack.testing.check_ops import check_ops
from embedstack.types import Batch
from support import foreign, judges
from support.runtimes import needs_torch
from support.tiny import CASES, write

pytestmark = [pytest.mark.torch, needs_torch]

TEXTS = [*judges.TEXTS, "music " * 60]
EMBEDDERS = {
    "distilbert": lambda folder: foreign.embedder("distilbert", folder),
    "mpnet with Dense": lambda folder: foreign.embedder("mpnet", folder, dense=12),
    "modernbert unnormalised": lambda folder: foreign.embedder("modernbert", folder, normalize=False),
}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMBEDSTACK_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDERS)
def test_vectors_are_those_of_sentence_transformers(name: str, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = EMBEDDERS[name](tmp_path / "m")
    said = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)

    with embedstack.load(str(folder), runtime="reference") as model:
        made = model.encode(TEXTS)

    assert made.dense.shape == said.shape
    assert np.abs(made.dense - said).max() <= 1e-5 * np.abs(said).max()


@pytest.mark.slow
def test_scores_are_those_of_the_cross_encoder(tmp_path: Path) -> None:
    folder = foreign.reranker("distilbert", tmp_path / "m")
    said = judges.cross_encoder_outputs(folder)

    with embedstack.load(str(folder), runtime="reference") as model:
        made = [float(model.score(query, document).scores[0]) for query, document in judges.PAIRS]

    assert made == pytest.approx(said, abs=1e-5)


@pytest.mark.slow
def test_labels_are_those_of_transformers(tmp_path: Path) -> None:
    folder = write(CASES["bert-labels"], tmp_path / "m")
    said = judges.label_outputs(folder)[: len(judges.TEXTS)]

    with embedstack.load(str(folder), runtime="reference") as model:
        made = model.classify(judges.TEXTS)

    assert made.spec.label_names == ("calm", "glad", "sad")
    assert made.scores == pytest.approx(np.array(said), abs=1e-5)


@pytest.mark.slow
def test_the_space_is_not_that_of_our_own_graph(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")

    with embedstack.load(str(folder), runtime="reference") as theirs, embedstack.load(str(folder)) as ours:
        made, own = theirs.encode(TEXTS), ours.encode(TEXTS)

    assert theirs.spec.architecture.family == "reference:bert"
    assert made.spec.space != own.spec.space
    assert np.abs(made.dense - own.dense).max() <= 1e-5


def test_another_runtime_refuses_a_module_and_says_which_may(tmp_path: Path) -> None:
    folder = foreign.embedder("mpnet", tmp_path / "m", dense=12)

    with pytest.raises(Unsupported, match="--runtime reference"):
        embedstack.load(str(folder), runtime="openvino")


def test_another_runtime_refuses_a_reference_spec(tmp_path: Path) -> None:
    folder = foreign.embedder("mpnet", tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path, reference=True).spec

    with pytest.raises(Unsupported, match=r"reference:mpnet.*--runtime reference"):
        open_runtime("openvino")(spec, open_weights(folder), Options(threads=1))


def test_what_sentence_transformers_cannot_load_is_told_in_one_line(tmp_path: Path) -> None:
    folder = foreign.embedder("mpnet", tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "nobody-knows-it"}))

    with pytest.raises(ConfigError, match="sentence-transformers cannot load"):
        embedstack.load(str(folder), runtime="reference")


def test_loading_writes_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = foreign.embedder("mpnet", tmp_path / "m")
    capfd.readouterr()

    embedstack.load(str(folder), runtime="reference").close()

    assert capfd.readouterr() == ("", "")


def test_it_has_no_single_operations() -> None:
    with pytest.raises(Unsupported, match="whole models, not single operations"):
        check_ops("reference")


def test_it_is_closed_and_bounded_as_every_runtime(tmp_path: Path) -> None:
    folder = foreign.embedder("distilbert", tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path, reference=True).spec
    runtime = open_runtime("reference")(spec, unread_weights(folder), Options(threads=1))
    wrong = Batch(np.array([spec.architecture.vocab], np.int32), np.zeros(1, np.int32), np.array([0, 1], np.int32))

    with pytest.raises(RuntimeFailed, match="is outside 0"):
        runtime.run(wrong, frozenset(spec.outputs))
    runtime.close()
    with pytest.raises(RuntimeFailed, match="the model is closed"):
        runtime.run(wrong, frozenset(spec.outputs))


def test_an_output_that_it_does_not_give_is_refused(tmp_path: Path) -> None:
    folder = foreign.embedder("distilbert", tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path, reference=True).spec
    runtime = open_runtime("reference")(spec, unread_weights(folder), Options(threads=1))

    with pytest.raises(Unsupported, match="not sparse"):
        runtime.run(None, frozenset({"sparse"}))
