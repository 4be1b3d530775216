"""Whole folders through catalog, tokeniser, graph and engine, against what their own packages say of them."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

import embedstack
from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.model import Model
from embedstack.models.weights import Weights
from embedstack.runtimes.processor import NATIVE_BFLOAT16, flags
from embedstack.types import Classify, Encode, Pair, Text
from support import judges
from support.proofs import note, note_weights
from support.runtimes import runtimes
from support.tiny import CASES, write

GOLDEN = Path(__file__).parents[1] / "golden"


def read(name: str) -> dict[str, object]:
    return json.loads((GOLDEN / name).read_text())


def judge_of(said: dict[str, object]) -> str:
    """The packages and versions that a golden file was recorded with."""
    return str(said["origin"]).removeprefix("recorded: ").partition(";")[0]


@pytest.fixture(params=runtimes("reference"))
def m3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    monkeypatch.setenv("EMBEDSTACK_CACHE_DIR", str(tmp_path))
    precision = "auto" if request.param == "numpy" else "float32"
    with embedstack.load(str(GOLDEN / "bge_m3_tiny"), runtime=request.param, precision=precision) as model:
        yield model


def test_dense_sparse_and_multi_equal_flagembedding(m3: Model, request: pytest.FixtureRequest) -> None:
    said = read("bge_m3.json")

    made = m3.encode(said["texts"], outputs=("dense", "sparse", "multi"))

    assert np.abs(made.dense - np.array(said["dense"])).max() <= 1e-5
    for row, judged in zip(made.sparse, said["sparse"], strict=True):
        assert [str(i) for i in row.ids] == sorted(judged, key=int)
        assert row.weights == pytest.approx([judged[str(i)] for i in row.ids], rel=1e-5)
    for row, judged in zip(made.multi, said["multi"], strict=True):
        assert row.shape == np.shape(judged)
        assert np.abs(row - np.array(judged)).max() <= 1e-5
    lexical = [[judged[str(i)] for i in row.ids] for row, judged in zip(made.sparse, said["sparse"], strict=True)]
    compared = [(made.dense, said["dense"]), *zip(made.multi, said["multi"], strict=True)]
    compared += [(row.weights, judged) for row, judged in zip(made.sparse, lexical, strict=True)]
    off = max(float(np.abs(rows - np.array(judged)).max() / np.abs(judged).max()) for rows, judged in compared)
    runtime = request.node.callspec.params["m3"]
    note("xlm-roberta", "bge-m3", runtime, off, heads=("dense", "sparse", "multi"), judge=judge_of(said))


@pytest.mark.parametrize(("bias", "output"), [("sparse_linear.bias", "sparse"), ("colbert_linear.bias", "multi")])
def test_the_bias_of_a_head_counts(bias: str, output: str, m3: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    said, take = read("bge_m3.json"), Weights.take
    zeroed = lambda self, name, *shape: take(self, name, *shape) * (0 if name == bias else 1)  # noqa: E731
    monkeypatch.setattr(Weights, "take", zeroed)

    with embedstack.load(str(GOLDEN / "bge_m3_tiny"), runtime="numpy") as wrong:
        made = wrong.encode(said["texts"], outputs=output)

    rows = made.multi if output == "multi" else [row.weights for row in made.sparse]
    right = said["multi"] if output == "multi" else [[*row.values()] for row in said["sparse"]]
    sums = [abs(float(np.sum(row)) - float(np.sum(judged))) for row, judged in zip(rows, right, strict=True)]
    assert max(sums) > 0.01
    note("xlm-roberta", "bge-m3", f"mutation: no {bias}", 0.0)


def test_a_head_that_nobody_asked_for_is_not_given(m3: Model) -> None:
    made = m3.encode("panda", outputs=["sparse"])

    assert made.dense is None
    assert made.multi is None


@pytest.mark.reference
def test_the_recorded_m3_is_what_flagembedding_says_now(tmp_path: Path) -> None:
    pytest.importorskip("FlagEmbedding", reason="FlagEmbedding is not installed")

    said = judges.flagembedding_outputs(judges.make_m3(tmp_path / "m3"))

    assert np.abs(np.array(said["dense"]) - np.array(read("bge_m3.json")["dense"])).max() <= 1e-6


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.is_reranker], ids=lambda case: case.name)
def test_pairs_equal_the_cross_encoder(case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_CACHE_DIR", str(tmp_path))
    said = read("cross_encoder.json")

    with embedstack.load(str(write(case, tmp_path / case.name)), precision="float32") as model:
        made = [model.score(query, [document]).scores[0] for query, document in said["pairs"]]

    assert made == pytest.approx(said["scores"][case.name], abs=1e-5)


@pytest.mark.parametrize("name", read("labels.json")["scores"])
def test_labels_equal_the_pipeline_of_transformers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_CACHE_DIR", str(tmp_path))
    said = read("labels.json")
    kind = judges.with_problems(CASES[name.partition("/")[0]])[name]
    items = (*map(Text, said["texts"]), *(Pair(*pair) for pair in said["pairs"]))

    with embedstack.load(str(write(kind, tmp_path / "m")), precision="float32") as model:
        made = asyncio.run(model._engine.classify(Classify(model="", items=items)))

    assert made.scores == pytest.approx(np.array(said["scores"][name]), abs=1e-5)
    assert made.spec.label_names == kind.labels


@pytest.mark.reference
@pytest.mark.parametrize("name", read("labels.json")["scores"])
def test_the_recorded_labels_are_what_transformers_says_now(name: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    kind = judges.with_problems(CASES[name.partition("/")[0]])[name]

    said = judges.label_outputs(write(kind, tmp_path / "m"))

    assert np.array(said) == pytest.approx(np.array(read("labels.json")["scores"][name]), abs=1e-6)


def test_raw_scores_are_the_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_CACHE_DIR", str(tmp_path))
    case = CASES["bert-classifier"]

    with embedstack.load(str(write(case, tmp_path / case.name))) as model:
        raw = model.score("sun", ["moon"], raw_scores=True).scores
        cooked = model.score("sun", ["moon"]).scores

    assert cooked == pytest.approx(1 / (1 + np.exp(-raw)), abs=1e-6)


# ------------------------------------------------------------------------------------------------ the default model


@pytest.fixture(scope="module")
def minilm(minilm_folder: Path) -> Model:
    with embedstack.load(str(minilm_folder), precision="float32") as model:
        yield model


@pytest.mark.weights
def test_minilm_equals_sentence_transformers(minilm: Model) -> None:
    said = read("minilm.json")

    made = minilm.encode(said["texts"]).dense

    off = np.abs(made - np.array(said["vectors"])).max()
    assert off <= 2e-6
    assert (made * np.array(said["vectors"])).sum(axis=1).min() >= 0.999999
    note_weights("bert", "all-MiniLM-L6-v2", float(off / np.abs(said["vectors"]).max()))


@pytest.mark.weights
def test_minilm_gives_the_published_similarities(minilm: Model) -> None:
    """https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, quoted by the sentence-transformers README."""
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]

    made = minilm.encode(texts).dense

    assert [round(float(made[a] @ made[b]), 4) for a, b in ((0, 1), (0, 2), (1, 2))] == [0.6660, 0.1046, 0.1411]


@pytest.mark.weights
def test_minilm_gives_fastembeds_canonical_numbers(minilm: Model) -> None:
    """FastEmbed 0.9, tests/test_text_onnx_embeddings.py: first five numbers of "hello world", tolerance 1e-3."""
    made = minilm.encode("hello world").dense[0, :5]

    assert made == pytest.approx([-0.034478, 0.03102, 0.00673, 0.02611, -0.039362], abs=1e-3)


@pytest.mark.weights
def test_float32_is_within_its_fidelity_of_float64(minilm: Model, minilm_folder: Path) -> None:
    texts = read("minilm.json")["texts"]

    with embedstack.load(str(minilm_folder), runtime="numpy") as truth:
        judged = truth.encode(texts).dense

    assert (minilm.encode(texts).dense * judged).sum(axis=1).min() >= 0.999999


@pytest.mark.weights
@pytest.mark.skipif(not flags() & NATIVE_BFLOAT16, reason="no native bfloat16 on this processor")
def test_bfloat16_is_within_its_fidelity(minilm: Model, minilm_folder: Path) -> None:
    texts = read("minilm.json")["texts"]

    with embedstack.load(str(minilm_folder), precision="bfloat16") as narrow:
        made = narrow.encode(texts).dense
        alone = np.concatenate([narrow.encode(text).dense for text in texts])

    for others in (minilm.encode(texts).dense, alone):
        cosines = (made * others).sum(axis=1)
        assert cosines.min() >= 0.9998
        assert cosines.mean() >= 0.9999


FINGERPRINTS = read("fingerprints.json")


@pytest.mark.weights
def test_the_default_models_fingerprint_stands_for_these_vectors(minilm: Model) -> None:
    """With `test_minilm_equals_sentence_transformers` this pairs a fingerprint with vectors.

    A change of code that moves a vector must raise the family's version in the catalog, and with it the fingerprint;
    then the change log tells users that stored vectors must be made again.
    """
    assert minilm.encode("hello world").fingerprint == FINGERPRINTS["all-MiniLM-L6-v2"]


@pytest.mark.parametrize("name", CASES)
def test_a_small_models_fingerprint_stands_for_its_golden_vectors(name: str, tmp_path: Path) -> None:
    """The vectors are those of transformers.npz and bge_m3.json."""
    folder = GOLDEN / "bge_m3_tiny" if name == "bge-m3" else write(CASES[name], tmp_path / name)

    spec = find(str(folder), cache_dir=tmp_path).spec

    assert spec.fingerprint("float32") == FINGERPRINTS[name]


def test_engine_is_used_by_several_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_CACHE_DIR", str(tmp_path))
    case = CASES["bert-mean"]
    with embedstack.load(str(write(case, tmp_path / case.name))) as model:
        engine: Engine = model._engine
        request = Encode(model="", items=(Text("panda"),))

        first, second = asyncio.run(engine.encode(request)), asyncio.run(engine.encode(request))

        assert np.array_equal(first.dense, second.dense)
