"""8-bit products: what rounding may cost, that no row depends on another one, and where it is refused."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

import embedstack
import quality
from embedstack.catalog import find
from embedstack.errors import ConfigError
from embedstack.evals import sentences
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes import Options, open_runtime
from embedstack.runtimes.int8 import METHOD, rotate, rotation, round_weight
from embedstack.runtimes.onnx import OnnxRuntime, choose_precision
from embedstack.runtimes.processor import int8_reason
from embedstack.testing.check_runtime import check_runtime
from embedstack.types import DENSE, Batch, Floats
from support import tiny
from support.tiny import CASES, ragged, write

GOLDEN = Path(__file__).parents[1] / "golden"


def drawn(*shape: int, seed: int = 5) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def packed(items: list[np.ndarray]) -> Batch:
    ids = np.concatenate(items).astype(np.int32)
    return Batch(ids, np.zeros_like(ids), np.cumsum([0, *map(len, items)]).astype(np.int32))


def unit(rows: Floats) -> Floats:
    return rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)


def opened(folder: Path, cache: Path, threads: int = 1) -> tuple[OnnxRuntime, ModelSpec]:
    spec = find(str(folder), cache_dir=cache).spec
    return OnnxRuntime(spec, open_weights(folder), Options(precision="int8", threads=threads)), spec


# ------------------------------------------------------------------------------------------------ rounding


@pytest.mark.parametrize("width", [16, 24, 48, 384, 10, 7])
def test_turning_twice_changes_nothing(width: int) -> None:
    rows = drawn(3, width)

    assert rotate(rotate(rows)) == pytest.approx(rows, abs=1e-6)


def test_turning_shares_one_large_channel_out() -> None:
    rows = np.zeros((1, 32), np.float32)
    rows[0, 3] = 16

    assert np.abs(rotate(rows)).max() == 4


def test_a_block_divides_the_width() -> None:
    assert [len(rotation(width)) for width in (384, 24, 6, 7)] == [16, 8, 2, 1]


def test_weights_are_their_codes_times_their_scales() -> None:
    weight = drawn(20, 48)

    codes, scales = round_weight(weight)

    assert np.abs(codes * scales[:, None] - weight).max() <= 0.5001 * scales.max()


def test_an_output_without_weights_stays_zero() -> None:
    codes, scales = round_weight(np.zeros((2, 8), np.float32))

    assert not codes.any()
    assert np.isfinite(scales).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(wrong: float) -> None:
    weight = drawn(2, 8)
    weight[1, 3] = wrong

    with pytest.raises(ConfigError, match="not a number"):
        round_weight(weight)


@pytest.mark.parametrize("seed", range(3))
def test_no_pair_of_products_overflows_16_bits(seed: int) -> None:
    codes, _ = round_weight(np.sign(drawn(64, 48, seed=seed)) * drawn(64, 48, seed=seed + 9) ** 4)
    pairs = codes.astype(int).reshape(64, 24, 2)

    largest = 255 * max(np.maximum(sign * pairs, 0).sum(axis=2).max() for sign in (1, -1))

    assert 30_000 < largest <= 32_767


def test_products_are_exact_in_whole_numbers() -> None:
    """On processors without VNNI, codes that fill 8 bits on both sides would not be."""
    codes, _ = round_weight(drawn(32, 64) ** 3)
    x = np.where(drawn(9, 64, seed=6) > 0, 255, 0).astype(np.uint8)
    given = [helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", 64])]
    weight = helper.make_tensor("w", TensorProto.INT8, [64, 32], np.ascontiguousarray(codes.T).tobytes(), raw=True)
    made = [helper.make_tensor_value_info("y", TensorProto.INT32, ["rows", 32])]
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["x", "w"], ["y"])], "g", given, made, [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    assert np.array_equal(session.run(["y"], {"x": x})[0], x.astype(np.int32) @ codes.T.astype(np.int32))


# ------------------------------------------------------------------------------------------------ vectors


@pytest.mark.parametrize("case", ["bert-mean", "bert-classifier", "bge_m3_tiny"])
def test_it_keeps_the_promises_of_a_runtime(case: str, tmp_path: Path) -> None:
    folder = GOLDEN / case if case == "bge_m3_tiny" else write(CASES[case], tmp_path / case)
    spec = find(str(folder), cache_dir=tmp_path).spec

    assert check_runtime("onnx", spec, open_weights(folder), precision="int8") == []


@pytest.mark.parametrize(
    "case", ["bert-mean", "bert-cls", "bert-last", "roberta-mean", "xlm-roberta-cls", "camembert-mean"]
)
def test_rounding_costs_little(case: str, tmp_path: Path) -> None:
    """32 channels of drawn weights leave less to average over than real ones."""
    runtime, spec = opened(write(CASES[case], tmp_path / "m"), tmp_path)
    truth = open_runtime("numpy")(spec, open_weights(tmp_path / "m"), Options())
    batch = packed([ids for ids, _ in ragged(CASES[case])])

    cosines = (unit(runtime.run(batch, DENSE)["dense"]) * unit(truth.run(batch, DENSE)["dense"])).sum(axis=1)

    assert 0.995 < cosines.min() < 1 - 1e-7  # rounded, after all


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", ["bert-mean", "bert-max", "bert-cls", "bert-last", "bert-classifier", "bge_m3_tiny"])
def test_a_vector_does_not_depend_on_its_neighbours(
    case: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lengths around those at which sums are cut into pieces, as far as the model takes them.

    Where no sum follows the last rounding, the very bits are the same: a last bit before it can become a whole code.
    """
    allowed = 0 if case in ("bert-max", "bert-cls", "bert-last") else 1e-6
    monkeypatch.setattr(tiny, "POSITIONS", 140)
    folder = GOLDEN / case if case == "bge_m3_tiny" else write(CASES[case], tmp_path / "m")
    runtime, spec = opened(folder, tmp_path, threads)
    lengths = [n for n in (1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129) if n <= spec.max_tokens]
    draw = np.random.default_rng(8)
    items = [draw.integers(5, spec.architecture.vocab, n) for n in lengths for _ in range(3)]

    together = runtime.run(packed(items), frozenset(spec.outputs))
    alone = [runtime.run(packed([ids]), frozenset(spec.outputs)) for ids in items]

    for name, rows in together.items():
        apart = np.concatenate([one[name] for one in alone])
        same = unit if rows.shape[1] > 1 else lambda rows: rows / np.abs(rows).max()
        assert np.abs(same(rows) - same(apart)).max() <= allowed


def test_its_fingerprint_names_the_method(tmp_path: Path) -> None:
    runtime, spec = opened(write(CASES["bert-mean"], tmp_path / "m"), tmp_path)

    assert runtime.calibration == METHOD
    made = {spec.fingerprint("float32"), spec.fingerprint("int8"), spec.fingerprint("int8", calibration=METHOD)}
    assert len(made) == 3


def test_a_runtime_of_floats_names_no_method(tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path).spec

    assert OnnxRuntime(spec, open_weights(folder), Options(threads=1)).calibration == ""


# ------------------------------------------------------------------------------------------------ where it is


@pytest.mark.parametrize("runtime", ["numpy", "openvino"])
def test_another_runtime_refuses_it(runtime: str, tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path).spec

    with pytest.raises(ConfigError, match="'int8'"):
        open_runtime(runtime)(spec, open_weights(folder), Options(precision="int8", threads=1))


def test_another_device_refuses_it() -> None:
    with pytest.raises(ConfigError, match=r"'int8'.*'cuda:0'"):
        choose_precision("int8", "cuda:0")


def test_it_is_never_chosen_by_itself() -> None:
    assert choose_precision("auto")[0] == "float32"


@pytest.mark.parametrize(
    ("has", "said"),
    [({"avx512_vnni", "avx2"}, "natively (avx512_vnni)"), ({"avx2"}, "no VNNI, so it gains less")],
)
def test_the_reason_says_whether_the_processor_gains(has: set[str], said: str) -> None:
    assert said in int8_reason(frozenset(has))


def test_a_damaged_weight_is_named(tmp_path: Path) -> None:
    folder, name = write(CASES["bert-mean"], tmp_path / "m"), "encoder.layer.1.output.dense.weight"
    tensors = load_file(folder / "model.safetensors")
    tensors[name][2, 3] = np.nan
    save_file(tensors, folder / "model.safetensors")

    with pytest.raises(ConfigError, match=name):
        opened(folder, tmp_path)


# ------------------------------------------------------------------------------------------------ real weights


@pytest.fixture(scope="module")
def rounded(minilm_folder: Path) -> Iterator[embedstack.Model]:
    """The default model in 8 bits."""
    with embedstack.load(runtime="onnx", precision="int8") as model:
        yield model


@pytest.mark.quality
@pytest.mark.weights
def test_real_vectors_stay_where_they_were(rounded: embedstack.Model) -> None:
    texts = sentences.mixed(96)
    with embedstack.load(runtime="onnx", precision="float32") as floats:
        cosines = (rounded.encode(texts).dense * floats.encode(texts).dense).sum(axis=1)

    assert cosines.min() >= 0.997
    assert cosines.mean() >= 0.999


@pytest.mark.quality
@pytest.mark.weights
def test_real_vectors_do_not_depend_on_their_neighbours(rounded: embedstack.Model) -> None:
    texts = sentences.mixed(24)

    alone = np.concatenate([rounded.encode(text).dense for text in texts])

    assert rounded.encode(texts).dense == pytest.approx(alone, abs=1e-6)


@pytest.mark.quality
@pytest.mark.weights
@pytest.mark.timeout(600)
def test_retrieval_is_as_good_as_in_floats(labelled_sets: Path, rounded: embedstack.Model) -> None:
    found = quality.xquad(labelled_sets, lambda texts: rounded.encode(texts).dense)

    assert found == pytest.approx(0.94333, abs=0.002)
