"""Exported files: any consumer's padding, the vectors of the runtimes, and an identity that is checked."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from embedstack.catalog import find
from embedstack.errors import ConfigError, Mismatch
from embedstack.models import encoder
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes import AUTO, RUNTIMES, Options, exported, open_runtime
from embedstack.runtimes import export as exporting
from embedstack.runtimes.export import check_identity, export, identity, read_identity
from embedstack.runtimes.exported import OnnxFile
from embedstack.runtimes.numpy import NumpyOps
from embedstack.testing.check_runtime import check_runtime
from embedstack.types import Batch
from support.tiny import CASES, Case, ragged, write

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = 1e-5  # of the largest number, as for the runtimes
GRAPHS = [case for case in CASES.values() if not case.has_m3_heads]
BERT = CASES["bert-mean"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny")
    return {case.name: write(case, root / case.name) for case in GRAPHS} | {"bge-m3": GOLDEN / "bge_m3_tiny"}


@pytest.fixture
def written(folders: dict[str, Path], tmp_path: Path):
    """A function that exports a case."""

    def write_out(name: str = BERT.name, **flags: bool) -> tuple[Path, ModelSpec]:
        spec = find(str(folders[name]), cache_dir=tmp_path).spec
        out = tmp_path / f"{name}.onnx"
        export(spec, open_weights(folders[name]), out, **flags)
        return out, spec

    return write_out


def batch_of(items: list[tuple[np.ndarray, np.ndarray]]) -> Batch:
    offsets = np.cumsum([0, *(len(ids) for ids, _ in items)]).astype(np.int32)
    return Batch(np.concatenate([ids for ids, _ in items]), np.concatenate([s for _, s in items]), offsets)


def padded(items: list[tuple[np.ndarray, np.ndarray]], side: str, more: int = 3) -> dict[str, np.ndarray]:
    """What a consumer sends: padding ids are those that a text may hold as well."""
    length = max(len(ids) for ids, _ in items) + more
    fed = {name: np.ones((len(items), length), np.int64) for name in ("input_ids", "token_type_ids")}
    fed["attention_mask"] = np.zeros((len(items), length), np.int64)
    for row, (ids, segments) in enumerate(items):
        place = slice(0, len(ids)) if side == "right" else slice(length - len(ids), length)
        fed["input_ids"][row, place], fed["token_type_ids"][row, place] = ids, segments
        fed["attention_mask"][row, place] = 1
    return fed


def consume(out: Path, fed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As any program with ONNX Runtime would."""
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    inputs = {given.name: fed[given.name] for given in session.get_inputs()}
    names = [made.name for made in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def differs(made: np.ndarray, judged: np.ndarray) -> float:
    return float(np.abs(made - judged).max() / np.abs(judged).max())


# ------------------------------------------------------------------------------------------------ vectors


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("plain", [False, True], ids=["fused", "plain"])
@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_a_file_gives_what_transformers_gives_on_whichever_side_the_padding_is(
    case: Case, plain: bool, side: str, written
) -> None:
    out, _ = written(case.name, plain=plain)
    with np.load(GOLDEN / "transformers.npz") as recorded:
        judged = recorded[f"{case.name}/{'score' if case.has_classifier else 'dense'}"]

    made = consume(out, padded(ragged(case), side))

    if case.has_classifier:
        assert differs(made["logits"], judged) <= TOLERANCE
    else:
        assert differs(made["sentence_embedding"], unit(judged)) <= TOLERANCE


@pytest.mark.parametrize("side", ["left", "right"])
def test_hidden_states_stand_where_their_tokens_do_and_padding_is_zero(side: str, written, folders) -> None:
    out, spec = written()
    items, fed = ragged(BERT), padded(ragged(BERT), side)
    judged = encoder(NumpyOps(open_weights(folders[BERT.name]), batch_of(items)), spec)

    states = consume(out, fed)["last_hidden_state"]

    assert differs(states[fed["attention_mask"] == 1], judged) <= TOLERANCE
    assert not states[fed["attention_mask"] == 0].any()


def test_the_hidden_states_are_the_first_output(written) -> None:
    out, _ = written()

    assert list(consume(out, padded(ragged(BERT), "right"))) == ["last_hidden_state", "sentence_embedding"]


def test_items_of_one_length_need_no_padding(written) -> None:
    out, _ = written()
    item = ragged(BERT)[3]

    alone = consume(out, padded([item], "right", more=0))["sentence_embedding"]
    together = consume(out, padded([*ragged(BERT), item], "right"))["sentence_embedding"]

    assert np.abs(alone[0] - together[-1]).max() <= 1e-6


@pytest.mark.parametrize("name", ["bert-mean", "bert-cls", "bert-max", "bert-last", "bert-classifier"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_item_without_tokens_is_zero_and_disturbs_nobody(name: str, place: int, written) -> None:
    out, _ = written(name)
    items = ragged(CASES[name])[2:4]
    nothing = (np.empty(0, np.int32), np.empty(0, np.int32))
    with_empty = [*items[:place], nothing, *items[place:]]

    *_, whole = consume(out, padded(items, "right")).values()
    *_, made = consume(out, padded(with_empty, "right")).values()

    assert not made[place].any()
    assert np.abs(np.delete(made, place, axis=0) - whole).max() <= 1e-6


@pytest.mark.parametrize("plain", [False, True], ids=["fused", "plain"])
@pytest.mark.parametrize("name", ["bert-mean", "bert-classifier", "roberta-mean", "bge-m3"])
def test_a_file_as_a_runtime_gives_every_output(name: str, plain: bool, written, folders) -> None:
    out, spec = written(name, plain=plain)
    batch = batch_of(ragged(CASES[name]))
    truth = open_runtime("numpy")(spec, open_weights(folders[name]), AUTO)

    made = OnnxFile(out).run(batch, frozenset(spec.outputs))

    for output, judged in truth.run(batch, frozenset(spec.outputs)).items():
        assert differs(made[output], unit(judged) if output in ("dense", "multi") else judged) <= TOLERANCE


@pytest.mark.parametrize("name", ["bert-mean", "bert-classifier", "bge-m3"])
def test_a_file_keeps_the_promises_of_a_runtime(
    name: str, written, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, spec = written(name)
    monkeypatch.setattr(exported, "opened", lambda spec, weights, options: OnnxFile(out, options), raising=False)
    monkeypatch.setitem(RUNTIMES, "exported", f"{exported.__name__}:opened")  # type: ignore[index]

    assert check_runtime("exported", spec, open_weights(folders[name])) == []


def test_a_file_has_float32(written) -> None:
    out, _ = written()

    assert OnnxFile(out, Options(precision="float32")).precision == "float32"


@pytest.mark.parametrize("precision", ["bfloat16", "float64", "int8"])
def test_a_precision_that_a_file_does_not_have_is_refused(precision: str, written) -> None:
    out, _ = written()

    with pytest.raises(ConfigError, match=f"'{precision}' is not for the exported file 'bert-mean.onnx'"):
        OnnxFile(out, Options(precision=precision))


# ------------------------------------------------------------------------------------------------ operators


def operators(path: Path) -> set[tuple[str, str]]:
    def within(graph: onnx.GraphProto) -> set[tuple[str, str]]:
        inner = [within(a.g) for node in graph.node for a in node.attribute if a.HasField("g")]
        return {(node.domain, node.op_type) for node in graph.node}.union(*inner)

    return within(onnx.load(path).graph)


@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_a_plain_file_has_operators_of_the_standard_alone(case: Case, written) -> None:
    out, _ = written(case.name, plain=True)

    onnx.checker.check_model(str(out), full_check=True)
    assert {domain for domain, _ in operators(out)} == {""}
    assert [(opset.domain, opset.version) for opset in onnx.load(out).opset_import] == [("", 18)]


def test_a_file_for_onnx_runtime_has_its_attention(written) -> None:
    out, _ = written()

    assert ("com.microsoft", "MultiHeadAttention") in operators(out)


# ------------------------------------------------------------------------------------------------ identity


def test_a_file_says_whose_vectors_it_gives(written) -> None:
    out, spec = written()

    says = read_identity(out)

    assert says == {name.removeprefix("embedstack."): value for name, value in identity(spec).items()}
    assert says["space"] == spec.space
    assert says["fingerprint"] == spec.fingerprint("float32")
    assert says["pooling"] == "mean"


def test_other_programs_read_the_identity_too(written) -> None:
    out, spec = written()
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])

    assert session.get_modelmeta().custom_metadata_map["embedstack.space"] == spec.space


def test_a_file_of_another_model_is_refused_with_both_spaces(written) -> None:
    out, spec = written()
    other = dataclasses.replace(spec, name="other", pooling="cls")

    with pytest.raises(Mismatch, match=f"{spec.space}.*'other'.*{other.space}"):
        check_identity(out, other)


def test_a_file_of_the_model_itself_is_accepted(written) -> None:
    out, spec = written()

    assert check_identity(out, spec)["model"] == spec.name


def test_a_file_that_says_nothing_is_refused(written) -> None:
    out, _ = written()
    model = onnx.load(out)
    del model.metadata_props[:]
    onnx.save(model, out)

    with pytest.raises(ConfigError, match="does not say whose vectors"):
        OnnxFile(out)


@pytest.mark.parametrize("content", [b"weights", b"\xff" * 40, b'{"a": 1}', b"\x3a\xff\xff\xff\x0f"])
def test_what_is_no_onnx_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)

    with pytest.raises(ConfigError, match="is no ONNX file"):
        read_identity(tmp_path / "m.onnx")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_identity(tmp_path / "m.onnx")


def test_a_file_that_was_cut_off_is_refused(written) -> None:
    out, _ = written()
    out.write_bytes(out.read_bytes()[:5000])

    with pytest.raises(ConfigError, match="is no ONNX file"):
        OnnxFile(out)


# ------------------------------------------------------------------------------------------------ files


def test_large_weights_lie_beside_the_file(written, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = written()
    judged = consume(whole, padded(ragged(BERT), "right"))["sentence_embedding"]
    monkeypatch.setattr(exporting, "INLINE_BYTES", 0)

    out, _ = written(force=True)

    assert sorted(path.name for path in out.parent.glob("*.onnx*")) == ["bert-mean.onnx", "bert-mean.onnx.data"]
    assert out.stat().st_size < out.with_name("bert-mean.onnx.data").stat().st_size
    assert np.array_equal(consume(out, padded(ragged(BERT), "right"))["sentence_embedding"], judged)


def test_weights_beside_a_file_that_is_replaced_go_with_it(written, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as change:
        change.setattr(exporting, "INLINE_BYTES", 0)
        written()

    out, _ = written(force=True)

    assert [path.name for path in out.parent.glob("*.onnx*")] == ["bert-mean.onnx"]


def test_a_crash_leaves_no_old_file_with_new_weights(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "INLINE_BYTES", 0)
    out, _ = written()
    replace = Path.replace

    def replace_weights_alone(part: Path, to: Path) -> Path:
        if to == out:
            raise OSError("the machine went down")
        return replace(part, to)

    monkeypatch.setattr(Path, "replace", replace_weights_alone)
    with pytest.raises(ConfigError, match="went down"):
        written(force=True)

    assert [path.name for path in out.parent.glob("*.onnx*")] == ["bert-mean.onnx.data"]


def test_the_same_model_gives_the_same_bytes(written) -> None:
    out, _ = written()
    first = out.read_bytes()

    assert written(force=True)[0].read_bytes() == first


def test_a_file_that_is_there_is_not_replaced(written) -> None:
    out, _ = written()
    first = out.read_bytes()

    with pytest.raises(ConfigError, match="is there already"):
        written(plain=True)

    assert out.read_bytes() == first


@pytest.mark.parametrize("place", ["none/m.onnx", "."])
def test_a_place_that_is_none_is_refused(place: str, folders, tmp_path: Path) -> None:
    spec = find(str(folders[BERT.name]), cache_dir=tmp_path).spec

    with pytest.raises(ConfigError, match="no place for a file"):
        export(spec, open_weights(folders[BERT.name]), tmp_path / place)


def test_a_file_that_cannot_be_written_leaves_nothing(folders, tmp_path: Path) -> None:
    spec = find(str(folders[BERT.name]), cache_dir=tmp_path).spec
    (tmp_path / "out/.m.onnx.part").mkdir(parents=True)

    with pytest.raises(ConfigError, match=r"m\.onnx' cannot be written: Is a directory"):
        export(spec, open_weights(folders[BERT.name]), tmp_path / "out/m.onnx")

    assert not (tmp_path / "out/m.onnx").exists()
