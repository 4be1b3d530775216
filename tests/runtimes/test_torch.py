"""What is PyTorch's own: precisions and devices by name, weights there once, attention without padding, full memory."""

import gc
import weakref
from collections.abc import Iterator, Sequence
from functools import wraps
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.errors import ConfigError, RuntimeFailed
from embedstack.models.ops import turning_speeds
from embedstack.models.stored import Stored
from embedstack.models.weights import Weights, open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes import Options, open_runtime
from embedstack.testing.check_ops import check_ops
from embedstack.testing.check_runtime import check_runtime
from embedstack.types import Batch
from support.runtimes import needs_torch
from support.tiny import CASES, write

pytestmark = [pytest.mark.torch, needs_torch]

LENGTHS = [3, 17, 1, 9]


def opened(tmp_path: Path, case: str = "bert-mean") -> tuple[ModelSpec, Weights]:
    folder = write(CASES[case], tmp_path / case)
    return find(str(folder), cache_dir=tmp_path).spec, open_weights(folder)


def batch(spec: ModelSpec) -> Batch:
    ids = np.random.default_rng(6).integers(5, spec.architecture.vocab, sum(LENGTHS), np.int32)
    return Batch(ids, np.zeros_like(ids), np.cumsum([0, *LENGTHS]).astype(np.int32))


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture
def switch() -> Iterator[None]:
    """The switch for float32 products, as it was."""
    import torch

    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


# ------------------------------------------------------------------------------------------------ precision, device


@pytest.mark.parametrize("case", ["bert-mean", "bert-max", "bert-classifier"])
@pytest.mark.parametrize("precision", ["float64", "bfloat16", "float16"])
def test_every_precision_keeps_the_promises(precision: str, case: str, tmp_path: Path) -> None:
    spec, weights = opened(tmp_path, case)

    assert check_runtime("torch", spec, weights, precision=precision) == []


@pytest.mark.parametrize(("precision", "least"), [("bfloat16", 0.999), ("float16", 0.99999), ("float64", 0.9999999)])
def test_a_precision_is_as_near_to_the_truth_as_it_can_be(precision: str, least: float, tmp_path: Path) -> None:
    spec, weights = opened(tmp_path)
    truth = open_runtime("numpy")(spec, weights, Options()).run(batch(spec), frozenset(spec.outputs))["dense"]

    runtime = open_runtime("torch")(spec, weights, Options(precision=precision, threads=1))
    made = runtime.run(batch(spec), frozenset(spec.outputs))["dense"]

    assert runtime.precision == precision
    assert cosines(made, truth).min() >= least


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_minilm_in_half_precision_is_within_its_fidelity(precision: str, minilm_folder: Path, tmp_path: Path) -> None:
    spec, weights = find(str(minilm_folder), cache_dir=tmp_path).spec, open_weights(minilm_folder)
    texts = batch(spec)
    exact = open_runtime("torch")(spec, weights, Options(precision="float64")).run(texts, frozenset({"dense"}))

    made = open_runtime("torch")(spec, weights, Options(precision=precision)).run(texts, frozenset({"dense"}))

    off = cosines(made["dense"], exact["dense"])
    assert off.min() >= 0.9998
    assert off.mean() >= 0.9999


@pytest.mark.parametrize(
    ("wish", "said"),
    [("int8", "not for the runtimes of PyTorch"), ("tf32", "not of the device 'cpu'"), ("float8", "is unknown")],
)
def test_a_precision_that_is_not_there_is_refused(wish: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        open_runtime("torch")(*opened(tmp_path), Options(precision=wish, device="cpu"))


@pytest.mark.parametrize("wish", ["cuda:9", "gpu", "mps:3"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(wish: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{wish!r} is not here; .* cpu; choose"):
        open_runtime("torch")(*opened(tmp_path), Options(device=wish))


@pytest.mark.parametrize(
    ("device", "native", "precision"),
    [("cuda:0", True, "bfloat16"), ("cuda:0", False, "float16"), ("mps", True, "float32"), ("cpu", True, "float32")],
)
def test_auto_is_the_fastest_that_is_good_on_the_device(device: str, native: bool, precision: str) -> None:
    import torch

    from embedstack.runtimes.accelerator import choose_precision

    assert choose_precision("auto", torch.device(device), lambda _: native)[0] == precision


def test_what_is_emulated_is_called_slow() -> None:
    import torch

    from embedstack.runtimes.accelerator import choose_precision

    _, why = choose_precision("bfloat16", torch.device("cpu"), lambda _: False)

    assert why == "bfloat16, as asked; emulated here, and slow"


@pytest.mark.parametrize(("device", "said"), [("cpu", ""), ("cuda:1", "CUDA is unproven"), ("mps", "MPS is unproven")])
def test_a_device_that_no_recorded_run_has_checked_is_called_unproven(device: str, said: str) -> None:
    import torch

    from embedstack.runtimes.accelerator import unproven

    if torch.version.hip:
        said = said.replace("CUDA", "ROCm")
    assert unproven(torch.device(device)) == said


def test_a_process_makes_float32_products_in_one_way(monkeypatch: pytest.MonkeyPatch, switch: None) -> None:
    import torch

    from embedstack.runtimes import accelerator

    monkeypatch.setattr(accelerator, "_float32_as", "tf32")

    with pytest.raises(ConfigError, match="computes float32 products in tf32 already"):
        accelerator.prepare(torch.device("cpu"), "float32", Options(threads=1))


def test_float32_switches_tf32_off(monkeypatch: pytest.MonkeyPatch, switch: None) -> None:
    import torch

    from embedstack.runtimes import accelerator

    monkeypatch.setattr(accelerator, "_float32_as", None)
    torch.set_float32_matmul_precision("medium")

    accelerator.prepare(torch.device("cpu"), "float32", Options(threads=1))

    assert torch.get_float32_matmul_precision() == "highest"


# ------------------------------------------------------------------------------------------------ sixteen bits

HALVES = {"bfloat16": 2**-8, "float16": 2**-11}  # the share of a number that rounding it once may cost


def ops_in(precision: str, lengths: Sequence[int], **tensors: np.ndarray):
    """Operations in 16 bits over items of these lengths, and what makes an array one of theirs."""
    import torch

    from embedstack.runtimes.accelerator import DTYPES
    from embedstack.runtimes.torch import Kept, TorchOps

    stored = {f"norm.{name}": Stored("float32", rows.astype(np.float32)) for name, rows in tensors.items()}
    ids = np.zeros(sum(lengths), np.int32)
    laid = Batch(ids, ids, np.cumsum([0, *lengths]).astype(np.int32))
    ops = TorchOps(Kept(Weights(stored, "drawn"), torch.device("cpu"), DTYPES[precision]), laid)
    return ops, lambda rows: torch.from_numpy(rows).to(DTYPES[precision])


@pytest.mark.parametrize("norm", ["rms_norm", "layer_norm"])
@pytest.mark.parametrize("precision", HALVES)
def test_a_norm_squares_in_more_than_16_bits(precision: str, norm: str) -> None:
    """Decoders have channels in the thousands, whose squares float16 has no number for."""
    rows = np.random.default_rng(7).normal(0, 1, (30, 64))
    rows[:, 5] = 3000
    ops, given = ops_in(precision, LENGTHS, weight=np.ones(64), bias=np.zeros(64))
    x = given(rows)

    made = getattr(ops, norm)(x, "norm", 64, 1e-6).float().numpy()

    exact = x.double().numpy()
    centred = exact - exact.mean(axis=1, keepdims=True) if norm == "layer_norm" else exact
    wanted = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)
    assert np.allclose(made, wanted, rtol=HALVES[precision], atol=1e-6)


@pytest.mark.parametrize("precision", HALVES)
def test_angles_are_exact_at_the_end_of_a_long_text(precision: str) -> None:
    ops, _ = ops_in(precision, [8000])

    cos, sin = ops.angles(10_000.0, 64, 8000)

    turns = (np.arange(8000, dtype=np.float32)[:, None] * turning_speeds(10_000.0, 64)).astype(np.float64)
    assert np.abs(cos.numpy() - np.cos(turns)).max() <= 1e-6
    assert np.abs(sin.numpy() - np.sin(turns)).max() <= 1e-6


@pytest.mark.parametrize("precision", HALVES)
def test_what_is_turned_is_rounded_once(precision: str) -> None:
    ops, given = ops_in(precision, [2000])
    x = given(np.random.default_rng(8).normal(0, 1, (2000, 2 * 16)))
    cos, sin = ops.angles(10_000.0, 16, 2000)

    made = ops.rope(x, cos, sin, 16).float().numpy()

    a, b = np.split(x.double().numpy().reshape(2000, 2, 16), 2, axis=2)
    c, s = (one.double().numpy()[:, None] for one in (cos, sin))
    wanted = np.concatenate([a * c - b * s, b * c + a * s], axis=2).reshape(2000, 32)
    assert np.allclose(made, wanted, rtol=HALVES[precision], atol=1e-6)


@pytest.mark.parametrize("precision", HALVES)
def test_the_mean_of_many_tokens_is_summed_in_more_than_16_bits(precision: str) -> None:
    ops, given = ops_in(precision, [4000, 3])
    x = given(np.random.default_rng(9).normal(20, 1, (4003, 8)))

    made = ops.pool(x, "mean").float().numpy()

    exact = x.double().numpy()
    assert np.allclose(made, [exact[:4000].mean(axis=0), exact[4000:].mean(axis=0)], rtol=1e-5)


# ------------------------------------------------------------------------------------------------ weights


def kept(weights: Weights):
    import torch

    from embedstack.runtimes.torch import Kept

    return Kept(weights, torch.device("cpu"), torch.float32)


def test_weights_are_not_copied_where_the_file_has_them_as_they_are_needed(tmp_path: Path) -> None:
    spec, weights = opened(tmp_path)
    name, shape = "embeddings.word_embeddings.weight", (spec.architecture.vocab, spec.architecture.hidden)

    made = kept(weights).take((name,), shape)

    assert made.data_ptr() == weights.take(name, shape).ctypes.data


def test_what_was_joined_is_not_kept_in_parts(tmp_path: Path) -> None:
    spec, weights = opened(tmp_path)
    hidden = spec.architecture.hidden
    names = tuple(f"encoder.layer.0.attention.self.{part}.weight" for part in ("query", "key", "value"))
    store = kept(weights)

    whole = store.take(names, (hidden, hidden))
    later = [store.take(names[1:], (hidden, hidden)), store.take(names[:1], (hidden, hidden))]

    assert whole.shape == (3 * hidden, hidden)
    assert {part.untyped_storage().data_ptr() for part in later} == {whole.untyped_storage().data_ptr()}
    assert np.array_equal(later[0][hidden:].numpy(), weights.take(names[2], (hidden, hidden)))


def test_a_large_table_is_converted_in_pieces_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from embedstack.runtimes import torch as runtime

    spec, weights = opened(tmp_path)
    monkeypatch.setattr(runtime, "COPY_ROWS", 7)
    name, shape = "embeddings.word_embeddings.weight", (spec.architecture.vocab, spec.architecture.hidden)

    import torch

    made = runtime.Kept(weights, torch.device("cpu"), torch.float64).take((name,), shape)

    assert np.array_equal(made.numpy(), weights.take(name, shape))


# ------------------------------------------------------------------------------------------------ attention


def attend_item_by_item(q, k, v, begins_q, begins_k, longest_q: int, longest_k: int, *, window_size=(-1, -1)):
    """What the kernel for variable lengths says it does, one item after the other."""
    import torch

    left, right = window_size
    spans = zip(pairwise(begins_q.tolist()), pairwise(begins_k.tolist()), strict=True)
    rows = []
    for (a, b), (c, d) in spans:
        assert b - a <= longest_q
        assert d - c <= longest_k
        item = (x.transpose(0, 1) for x in (q[a:b], k[c:d], v[c:d]))
        apart = torch.arange(d - c) - (torch.arange(b - a) + (d - c) - (b - a))[:, None]  # the last ones are level
        seen = ((apart >= -left) | (left < 0)) & ((apart <= right) | (right < 0))
        rows.append(torch.nn.functional.scaled_dot_product_attention(*item, attn_mask=seen).transpose(0, 1))
    return torch.cat(rows)


def attend_as_2_10_did(q, k, v, begins_q, begins_k, longest_q: int, longest_k: int, is_causal: bool = False):
    window = (-1, 0) if is_causal else (-1, -1)
    return attend_item_by_item(q, k, v, begins_q, begins_k, longest_q, longest_k, window_size=window)


@pytest.mark.parametrize("kernel", [attend_item_by_item, attend_as_2_10_did])
def test_the_kernel_for_variable_lengths_is_told_where_items_begin_and_who_sees_whom(
    kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU is needed: a twin stands in for the kernel, and every operation is compared with numpy's."""
    from embedstack.runtimes import torch as runtime

    asked = []
    monkeypatch.setattr(runtime, "takes_varlen", lambda q: True)
    monkeypatch.setattr(runtime, "varlen_attn", wraps(kernel)(lambda *a, **k: asked.append(k) or kernel(*a, **k)))

    assert check_ops("torch") == []
    rules = {tuple(words.items()) for words in asked}
    assert (
        rules
        == {
            attend_item_by_item: {(), *((("window_size", seen),) for seen in ((-1, 0), (2, 2), (2, 0), (7, 7)))},
            attend_as_2_10_did: {(), (("is_causal", True),)},
        }[kernel]
    )


@pytest.mark.parametrize(("causal", "window"), [(False, 0), (True, 0), (False, 4), (True, 4)])
def test_the_kernel_takes_what_it_is_given(causal: bool, window: int) -> None:
    """Shapes alone, on the meta device, through PyTorch's own signature."""
    import torch

    from embedstack.runtimes.varlen import words_for

    varlen = pytest.importorskip("torch.nn.attention.varlen", reason="PyTorch is not installed in a recent version")
    words = words_for(varlen.varlen_attn, causal, window)
    if words is None:
        pytest.skip("this version of the kernel has no windows")
    rows = torch.empty((30, 3 * 64), dtype=torch.bfloat16, device="meta")
    q, k, v = (part.unflatten(1, (4, -1)) for part in rows.split(64, dim=1))
    begins = torch.empty(5, dtype=torch.int32, device="meta")

    made = varlen.varlen_attn(q, k, v, begins, begins, 17, 17, **words)

    assert made.flatten(1).shape == (30, 64)


def test_the_processor_pads() -> None:
    import torch

    from embedstack.runtimes.torch import takes_varlen

    assert not takes_varlen(torch.zeros((3, 4, 8), dtype=torch.bfloat16))


@pytest.mark.gpu
@pytest.mark.parametrize(
    "how",
    [{}, {"one_query": True}, {"causal": True}, {"causal": True, "one_query": True}, {"window": 3},
     {"causal": True, "window": 3}],
    ids=str,
)  # fmt: skip
def test_on_a_gpu_both_forms_of_attention_agree(how: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is here")
    from embedstack.runtimes import torch as runtime

    where = {"device": "cuda", "dtype": torch.bfloat16}
    tokens = sum(LENGTHS)
    ids = np.zeros(tokens, np.int32)
    laid = Batch(ids, ids, np.cumsum([0, *LENGTHS]).astype(np.int32))
    ops = runtime.TorchOps(runtime.Kept(Weights({}, "none"), torch.device("cuda"), torch.bfloat16), laid)
    q, k, v = (torch.randn((tokens, 64), **where) for _ in range(3))
    q = q[: len(LENGTHS)] if "one_query" in how else q

    assert runtime.takes_varlen(q.unflatten(1, (2, -1)))
    packed = ops.attention(q, k, v, 2, **how)
    monkeypatch.setattr(runtime, "takes_varlen", lambda q: False)
    padded = ops.attention(q, k, v, 2, **how)

    assert (packed.float() - padded.float()).abs().max().item() <= 2e-2


# ------------------------------------------------------------------------------------------------ memory


def test_a_batch_that_does_not_fit_fails_and_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine halves it while it still has the error in hand, so that must not keep tensors alive."""
    import torch

    from embedstack.runtimes.torch import TorchOps

    spec, weights = opened(tmp_path)
    runtime = open_runtime("torch")(spec, weights, Options(threads=1))
    seen = []

    def too_large(self, x):
        seen.append(weakref.ref(x))
        return torch.empty(1 << 60)

    monkeypatch.setattr(TorchOps, "gelu", too_large)

    with pytest.raises(RuntimeFailed, match=r"could not run a batch of 30 tokens: .*; lower batch_tokens") as failure:
        runtime.run(batch(spec), frozenset(spec.outputs))
    gc.collect()

    assert failure.value.__cause__ is not None
    assert seen[0]() is None


def test_a_model_that_does_not_fit_is_said_so_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from embedstack.runtimes.torch import TorchOps

    monkeypatch.setattr(TorchOps, "gelu", lambda self, x: torch.empty(1 << 60))

    with pytest.raises(ConfigError, match=r"could not put the model on the device 'cpu': .*; take another device"):
        open_runtime("torch")(*opened(tmp_path), Options(device="cpu", threads=1))
