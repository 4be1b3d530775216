"""Late chunking: every part is read with those around it; judged by transformers, with offsets of its tokeniser."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.engine.late import why_not
from embedstack.engine.line import Line
from embedstack.engine.loaded import Loaded
from embedstack.errors import ConfigError, DeadlineExceeded, NotReady, RuntimeFailed, TooLong, Unsupported
from embedstack.inputs import late as windows
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec, Output
from embedstack.runtimes import Options, open_runtime
from embedstack.runtimes.onnx import OnnxRuntime
from embedstack.types import STATES, Batch, Encode, Encoded, Image, Text, Tokens, Vectors
from support.parts import whose
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
    own = [place for place, (start, stop) in enumerate(offsets) if stop > start]
    tokens = tokenizer.convert_ids_to_tokens(read["input_ids"][0])
    owners = np.array(whose(parts, [tokens[place] for place in own], [offsets[place] for place in own]))
    rows = [states[own][owners == part].mean(axis=0) for part in range(len(parts))]
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


def test_states_of_a_long_text_do_not_push_vectors_out_of_the_cache(folders: Folders) -> None:
    fresh = Engine([loaded(folders, "bert-mean")], cache_bytes=1_000_000)
    late(fresh, *PARTS)
    entries = fresh.load().cache_entries
    fresh.close()

    assert entries == 0


def test_from_which_end_would_be_cut_is_nothing_to_the_fingerprint_since_nothing_is(engine: Engine) -> None:
    right, left = (late(engine, *PARTS, truncate=end) for end in ("right", "left"))

    assert left.fingerprint == right.fingerprint
    assert np.array_equal(left.dense, right.dense)


class Watched(OnnxRuntime):
    """It remembers what it was asked for, in which thread, and can be held while it makes its second graph."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.asked: list[tuple[str, int]] = []  # what for, of how many items
        self.gate, self.making = threading.Event(), threading.Semaphore(0)
        self.gate.set()
        whole = self._compiled

        def compiled(make: object) -> object:
            self.asked.append((threading.current_thread().name, 0))
            self.making.release()
            assert self.gate.wait(20)
            return whole(make)  # type: ignore[arg-type]

        self._compiled = compiled  # type: ignore[assignment]

    def run(self, batch: Batch, wanted: frozenset[Output]) -> Vectors:
        self.asked.append((",".join(wanted), len(batch)))
        return super().run(batch, wanted)


@pytest.fixture
def watched(folders: Folders) -> Iterator[tuple[Engine, Watched]]:
    folder, spec = folders["bert-mean"]
    runtime = Watched(spec, open_weights(folder), Options(precision="float32", threads=1))
    engine = Engine([Loaded(spec, TextInput(folder, spec), runtime)])
    yield engine, runtime
    runtime.gate.set()
    engine.close()


def test_windows_are_read_some_at_a_time_and_give_the_same_vectors(
    watched: tuple[Engine, Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, runtime = watched
    together = late(engine, *PARTS * 6)
    monkeypatch.setattr(windows, "HELD_BYTES", 1)
    runtime.asked.clear()
    made = late(engine, *PARTS * 6)

    assert len(runtime.asked) > 2
    assert {items for _, items in runtime.asked} == {1}
    assert np.abs(made.dense - together.dense).max() <= TOLERANCE
    assert (made.usage.tokens, made.spans) == (together.usage.tokens, together.spans)


def test_all_windows_wait_as_parts_of_one_long_request_that_is_let_in_once(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "HELD_BYTES", 1)
    engine = Engine([loaded(folders, "bert-mean")], batch_tokens=64)
    submit, seen = engine._scheduler.submit, []

    def watched(line: Line) -> None:
        submit(line)
        seen.append((line.is_long, line.is_let_in))

    monkeypatch.setattr(engine._scheduler, "submit", watched)
    late(engine, *PARTS * 6)
    engine.close()

    assert seen == [(True, False), *[(True, True)] * (len(seen) - 1)]
    assert len(seen) > 2


def test_a_text_is_over_the_limit_of_a_request_as_a_whole(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "HELD_BYTES", 1)
    engine = Engine([loaded(folders, "bert-mean")], max_request_tokens=60)
    try:
        with pytest.raises(TooLong, match="the limit is 60"):
            late(engine, *PARTS * 6)
    finally:
        engine.close()


def test_others_are_answered_while_the_second_graph_is_made(watched: tuple[Engine, Watched]) -> None:
    engine, runtime = watched
    runtime.gate.clear()

    async def both() -> tuple[Encoded, Encoded]:
        parts = Encode(model="", items=tuple(map(Text, PARTS)), late_chunking=True)
        first = asyncio.ensure_future(engine.encode(parts))
        assert await asyncio.to_thread(runtime.making.acquire, timeout=20)
        other = await engine.encode(Encode(model="", items=(Text("sun"),)))
        assert not first.done()
        runtime.gate.set()
        return await first, other

    asyncio.run(both())

    assert [what for what, _ in runtime.asked][1:] == ["dense", "states"]
    assert "lane" not in runtime.asked[0][0]


def test_who_gives_up_waiting_for_the_second_graph_is_told_and_the_next_one_has_it(
    watched: tuple[Engine, Watched],
) -> None:
    engine, runtime = watched
    runtime.gate.clear()
    with pytest.raises(DeadlineExceeded):
        late(engine, *PARTS, deadline=time.monotonic() + 0.05)
    runtime.gate.set()

    assert late(engine, *PARTS).dense.shape == (4, 32)
    assert sum(items == 0 for _, items in runtime.asked) == 1


def test_a_second_graph_that_cannot_be_made_is_tried_once_for_a_request(
    watched: tuple[Engine, Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, runtime = watched
    tried = []

    def fails(make: object) -> object:
        tried.append(make)
        raise ConfigError("no room on the device")

    monkeypatch.setattr(runtime, "_compiled", fails)
    with pytest.raises(RuntimeFailed, match=r"the second graph of 'bert-mean', .* could not be made: no room"):
        late(engine, *PARTS * 6)

    assert len(tried) == 1
    assert runtime.asked == []


def test_a_deadline_that_has_passed_ends_a_text_before_it_is_read(watched: tuple[Engine, Watched]) -> None:
    engine, runtime = watched
    with pytest.raises(DeadlineExceeded):
        late(engine, *PARTS, deadline=time.monotonic() - 1)

    assert runtime.asked == []


def test_an_engine_that_stops_takes_no_more_texts(watched: tuple[Engine, Watched]) -> None:
    engine, _ = watched
    engine.stop()

    with pytest.raises(NotReady):
        late(engine, *PARTS)


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
