"""Late chunking: every part is read with those around it; judged by transformers, with offsets of its tokeniser."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.engine.late import why_not
from embedstack.engine.loaded import Loaded
from embedstack.errors import RuntimeFailed, TooLong, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.runtimes import Options, open_runtime
from embedstack.types import STATES, Batch, Encode, Encoded, Image, ModelSpec, Text, Tokens
from support.runtimes import runtimes
from support.tiny import CASES, write
from support.tiny_clip import write_clip

GOLDEN = Path(__file__).parents[1] / "golden" / "late_chunking.npz"
NAMES = ("bert-mean", "xlm-roberta-cls", "bert-classifier", "bert-last")
JUDGED = NAMES[:2]
PARTS = ("the panda is a bear ", "of china. it is", " in the city of the king! ", "who was the queen?")
TOLERANCE = 1e-5  # of float32 products of this size, of vectors of length 1

Folders = dict[str, tuple[Path, ModelSpec]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("late")
    made = {name: write(CASES[name], root / name) for name in NAMES} | {"clip": write_clip(root / "clip")}
    return {name: (folder, find(str(folder), cache_dir=root / "cache").spec) for name, folder in made.items()}


def loaded(folders: Folders, name: str, runtime: str = "numpy") -> Loaded:
    folder, spec = folders[name]
    options = Options(precision="auto" if runtime == "numpy" else "float32", threads=2)
    return Loaded(spec, TextInput(folder, spec), open_runtime(runtime)(spec, open_weights(folder), options))


@pytest.fixture(scope="module")
def engine(folders: Folders) -> Iterator[Engine]:
    made = Engine([loaded(folders, name) for name in NAMES], cache_bytes=1_000_000)
    yield made
    made.close()


def late(engine: Engine, *parts: str, model: str = "bert-mean", **change: object) -> Encoded:
    items = tuple(Text(part) for part in parts)
    return asyncio.run(engine.encode(Encode(model=model, items=items, late_chunking=True, **change)))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ the judge


def judged(folder: Path, parts: tuple[str, ...]) -> np.ndarray:
    """The mean of each part's hidden states in transformers, at length 1."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    text = "".join(parts)
    read = tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
    offsets = read.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        states = model(**read).last_hidden_state[0].numpy().astype(np.float64)
    rows, end = [], 0
    for part in parts:
        start, end = end, end + len(part)
        inside = [
            n for n, (a, b) in enumerate(offsets)
            if b > a and start <= a + len(text[a:b]) - len(text[a:b].lstrip()) < end
        ]  # fmt: skip
        rows.append(states[inside].mean(axis=0))
    return np.stack([row / np.linalg.norm(row) for row in rows])


@pytest.mark.reference
@pytest.mark.parametrize("name", JUDGED)
def test_the_golden_file_is_what_the_judge_says_now(name: str, folders: Folders) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")
    said = judged(folders[name][0], PARTS)

    if os.environ.get("EMBEDSTACK_RECORD"):
        known = dict(np.load(GOLDEN)) if GOLDEN.is_file() else {}
        made = {package: version(package) for package in ("transformers", "torch")}
        origin = f"recorded: {made}; EMBEDSTACK_RECORD=1 python -m pytest tests/engine/test_late.py"
        np.savez(GOLDEN, **{**known, "origin": origin, name: said})
    assert np.abs(golden(name) - said).max() <= 1e-6


def golden(name: str) -> np.ndarray:
    with np.load(GOLDEN) as recorded:
        return recorded[name]


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize("runtime", runtimes("reference"))
def test_vectors_are_the_judges(runtime: str, name: str, folders: Folders) -> None:
    engine = Engine([loaded(folders, name, runtime)])
    try:
        made = late(engine, *PARTS, model=name)
    finally:
        engine.close()

    assert np.abs(made.dense - golden(name)).max() <= TOLERANCE


# ------------------------------------------------------------------------------------------------ what comes back


def test_a_part_is_read_with_those_around_it(engine: Engine) -> None:
    alone, other = late(engine, "the bear"), late(engine, "the bear", " and the king")

    assert not np.allclose(alone.dense[0], other.dense[0], atol=0.01)


def test_vectors_come_with_their_item_and_their_tokens(engine: Engine) -> None:
    made = late(engine, *PARTS)

    assert [span.item for span in made.spans] == [0, 1, 2, 3]
    assert made.spans[-1].stop == made.usage.tokens - 1
    assert made.usage.items == 4


def test_a_mean_model_whose_text_is_one_part_differs_from_its_vector_by_the_special_tokens_alone(
    engine: Engine, folders: Folders
) -> None:
    folder, spec = folders["bert-mean"]
    ids = TextInput(folder, spec).encode([Text("the bear")])[0].ids
    batch = Batch(ids, np.zeros_like(ids), np.array([0, len(ids)], np.int32))
    states = open_runtime("numpy")(spec, open_weights(folder)).run(batch, STATES)["states"]

    made = late(engine, "the bear", normalize=False).dense[0]

    assert np.allclose(made, states[1:-1].mean(axis=0), atol=1e-6)


def test_late_chunks_have_another_fingerprint_than_ordinary_vectors_and_the_same_space(engine: Engine) -> None:
    made = late(engine, *PARTS)
    plain = asyncio.run(engine.encode(Encode(model="bert-mean", items=(Text("sun"),))))

    assert made.fingerprint != plain.fingerprint
    assert made.fingerprint == made.spec.fingerprint("float64", late_chunking=True)
    assert made.spec.space == plain.spec.space


def test_a_text_over_the_limit_is_read_in_windows_and_nothing_is_dropped(engine: Engine) -> None:
    made = late(engine, *PARTS * 3)

    assert made.dense.shape == (12, made.spec.dim)
    assert made.usage.dropped == 0
    assert made.usage.tokens > made.spans[-1].stop > made.spec.max_tokens


def test_a_text_over_the_limit_is_refused_where_that_is_asked_for(engine: Engine) -> None:
    with pytest.raises(TooLong, match="tokens together, the limit is"):
        late(engine, *PARTS * 3, truncate="refuse")


def test_states_of_a_long_text_do_not_push_vectors_out_of_the_cache(engine: Engine) -> None:
    before = engine.load().cache_entries
    late(engine, *PARTS)

    assert engine.load().cache_entries == before


def test_no_parts_are_no_work(engine: Engine) -> None:
    made = late(engine)

    assert (made.dense.shape, made.spans) == ((0, made.spec.dim), ())


# ------------------------------------------------------------------------------------------------ refusals


def test_a_model_whose_tokens_mean_something_else_says_why(folders: Folders) -> None:
    specs = {name: spec for name, (_, spec) in folders.items()}

    assert why_not(specs["bert-mean"]) == why_not(specs["xlm-roberta-cls"]) == ""
    assert "last token" in why_not(specs["bert-last"])
    assert "images" in why_not(specs["clip"])
    assert "no dense vectors" in why_not(specs["bert-classifier"])
    flat = replace(specs["bert-mean"], architecture=replace(specs["bert-mean"].architecture, layers=0))
    assert "do not see each other" in why_not(flat)


def test_a_decoder_refuses_it_by_name(engine: Engine) -> None:
    with pytest.raises(Unsupported, match="late chunking is not available for 'bert-last'"):
        late(engine, "sun", model="bert-last")


@pytest.mark.parametrize(
    ("items", "message"),
    [((Text("sun"), Tokens((7,))), "item 1 is no text"), ((Image(b""),), "item 0 is no text")],
)
def test_only_texts_can_be_parts(engine: Engine, items: tuple[Text | Tokens | Image, ...], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        asyncio.run(engine.encode(Encode(model="bert-mean", items=items, late_chunking=True)))


def test_nobody_can_ask_for_states(engine: Engine) -> None:
    with pytest.raises(Unsupported, match="has no states output"):
        asyncio.run(engine.encode(Encode(model="bert-mean", items=(Text("sun"),), outputs=STATES)))


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_the_second_graph_is_compiled_once_and_closes_with_the_model(runtime: str, folders: Folders) -> None:
    folder, spec = folders["bert-mean"]
    made = open_runtime(runtime)(spec, open_weights(folder), Options(precision="float32", threads=1))
    ids = np.array([7, 8], np.int32)
    batch = Batch(ids, np.zeros_like(ids), np.array([0, 2], np.int32))
    graphs = [made.run(batch, STATES) and made._graphs for _ in range(2)]  # type: ignore[attr-defined]

    assert graphs[0] is graphs[1]
    made.close()
    with pytest.raises(RuntimeFailed, match="closed"):
        made.run(batch, STATES)
