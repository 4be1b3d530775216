"""States of tokens: of every token, as the last layer made them; judged by transformers and by the model's own mean."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine import states
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.engine.states import check
from embedstack.errors import TooLong, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes import Options, open_runtime
from embedstack.testing.fake import hash_spec
from embedstack.types import STATES, Encode, Encoded, Image, Text, Tokens
from support.runtimes import runtimes
from support.tiny import CASES, write

TEXTS = ("the panda is a bear", "of china", "who was the queen of the king in the city?")
TOLERANCE = 1e-5  # of float32 products of this size
NAME = "bert-mean"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(CASES[NAME], tmp_path_factory.mktemp("states") / NAME)


def opened(folder: Path, runtime: str, cache: Path, name: str = "") -> Engine:
    spec = find(str(folder), cache_dir=cache).spec
    spec = replace(spec, name=name) if name else spec
    options = Options(precision="auto" if runtime == "numpy" else "float32", threads=2)
    return Engine([Loaded(spec, TextInput(folder, spec), open_runtime(runtime)(spec, open_weights(folder), options))])


@pytest.fixture(scope="module")
def engine(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = opened(folder, "numpy", tmp_path_factory.mktemp("cache"), NAME)
    yield made
    made.close()


def encoded(engine: Engine, *items: str | Tokens, **change: object) -> Encoded:
    given = tuple(item if isinstance(item, Tokens) else Text(item, "none") for item in items)
    model = engine.models()[0].name
    return asyncio.run(engine.encode(Encode(model=model, items=given, **{"outputs": STATES, **change})))  # type: ignore[arg-type]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


# ------------------------------------------------------------------------------------------------ the judges


@pytest.mark.parametrize("runtime", runtimes("reference"))
def test_their_mean_at_length_1_is_the_vector_of_a_model_that_takes_the_mean(
    runtime: str, folder: Path, tmp_path: Path
) -> None:
    engine = opened(folder, runtime, tmp_path)
    try:
        made = encoded(engine, *TEXTS).states
        vectors = encoded(engine, *TEXTS, outputs=frozenset({"dense"}), normalize=True).dense
    finally:
        engine.close()

    means = np.stack([unit(rows.astype(np.float64).mean(axis=0)) for rows in made])
    assert np.abs(means - vectors).max() <= TOLERANCE


@pytest.mark.reference
@pytest.mark.weights
@pytest.mark.slow
def test_they_are_the_last_hidden_states_of_transformers(minilm_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    import torch

    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_folder)
    model = transformers.AutoModel.from_pretrained(minilm_folder).eval()
    with torch.no_grad():
        judged = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy() for text in TEXTS]
    engine = opened(minilm_folder, "onnx", tmp_path)
    made = encoded(engine, *TEXTS).states
    engine.close()

    assert [rows.shape for rows in made] == [rows.shape for rows in judged]
    assert max(np.abs(ours - theirs).max() for ours, theirs in zip(made, judged, strict=True)) <= TOLERANCE


# ------------------------------------------------------------------------------------------------ what comes back


def test_every_token_that_the_model_reads_has_one_also_the_special_ones(engine: Engine) -> None:
    made = encoded(engine, *TEXTS)
    (ids,) = engine.find("", "embed").text.encode([Text(TEXTS[0], "none")])

    assert made.states[0].shape == (len(ids.ids), made.spec.architecture.hidden)
    assert sum(map(len, made.states)) == made.usage.tokens
    assert made.dense is None


def test_token_ids_have_the_states_of_their_text(engine: Engine) -> None:
    (ids,) = engine.find("", "embed").text.encode([Text(TEXTS[0], "none")])

    assert np.array_equal(
        encoded(engine, Tokens(tuple(ids.ids.tolist()))).states[0], encoded(engine, TEXTS[0]).states[0]
    )


def test_a_text_over_the_limit_is_cut_and_has_states_of_what_is_left(engine: Engine) -> None:
    made = encoded(engine, TEXTS[0], max_tokens=4)

    assert (len(made.states[0]), made.usage.truncated) == (4, 1)


def test_no_texts_have_no_states(engine: Engine) -> None:
    assert encoded(engine).states == ()


def test_states_that_would_fill_the_memory_are_refused_before_they_are_made(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "MAX_BYTES", encoded(engine, *TEXTS).usage.tokens * 4 * 32 - 1)

    with pytest.raises(TooLong, match="MiB of float32, the limit is"):
        encoded(engine, *TEXTS)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"outputs": STATES | {"dense"}}, "come alone, not with dense"),
        ({"dim": 32}, "leave dim out"),
        ({"normalize": True}, "leave normalize out"),
        ({"late_chunking": True}, "leave late_chunking out"),
    ],
)
def test_what_would_change_them_is_refused(engine: Engine, change: dict[str, object], match: str) -> None:
    with pytest.raises(Unsupported, match=match):
        encoded(engine, "the bear", **change)


def test_the_reference_runtime_and_pictures_have_none() -> None:
    spec = hash_spec()
    other = replace(spec, architecture=replace(spec.architecture, family="reference:bert"))

    with pytest.raises(Unsupported, match="shows no states of tokens"):
        check(Encode(model="hash", items=(Text("a"),), outputs=STATES), other)
    with pytest.raises(Unsupported, match="item 1 is an image"):
        check(Encode(model="hash", items=(Text("a"), Image(b"")), outputs=STATES), spec)


def test_a_model_of_other_outputs_has_states_too() -> None:
    spec: ModelSpec = hash_spec(outputs=("sparse",))

    check(Encode(model="hash", items=(Text("a"),), outputs=STATES), spec)
