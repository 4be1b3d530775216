"""What ONNX Runtime needs beside the promises of every runtime: providers, shared memory, errors, silence."""

import gc
import weakref
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from embedstack.catalog import find
from embedstack.errors import ConfigError, RuntimeFailed
from embedstack.models.ops import Ops, X
from embedstack.models.stored import Stored
from embedstack.models.weights import Weights, open_weights
from embedstack.runtimes import Options
from embedstack.runtimes.onnx import (
    CPU,
    CUDA,
    PROCESSOR,
    Graph,
    OnnxRuntime,
    Provider,
    calibration,
    choose_precision,
    choose_provider,
    open_session,
    session_options,
)
from embedstack.runtimes.onnx_ops import OnnxOps
from embedstack.types import Batch
from support.tiny import CASES, write

DENSE = frozenset({"dense"})


def batch(*lengths: int, token: int = 5) -> Batch:
    ids = np.full(sum(lengths), token, np.int32)
    return Batch(ids, np.zeros_like(ids), np.cumsum([0, *lengths]).astype(np.int32))


@pytest.fixture
def tiny(tmp_path: Path) -> OnnxRuntime:
    folder = write(CASES["bert-mean"], tmp_path / "m")
    return OnnxRuntime(find(str(folder), cache_dir=tmp_path).spec, open_weights(folder), Options(threads=1))


# ------------------------------------------------------------------------------------------------ devices


@pytest.mark.parametrize(
    ("device", "available", "taken"),
    [
        ("auto", [CPU], "cpu"),
        ("auto", [CUDA, CPU], "cuda:0"),
        ("cpu", [CUDA, CPU], "cpu"),
        ("cuda:1", [CUDA], "cuda:1"),
    ],
)
def test_a_device_is_the_provider_of_its_name(device: str, available: list[str], taken: str) -> None:
    assert choose_provider(device, available).device == taken


def test_cuda_computes_in_float32_as_it_says() -> None:
    assert choose_provider("cuda:1", [CUDA, CPU]).options == {"device_id": "1", "use_tf32": "0"}


def test_another_provider_passes_and_is_called_unproven() -> None:
    assert choose_provider("coreml", ["CoreMLExecutionProvider"]).remark == "CoreMLExecutionProvider is unproven"


def test_cuda_is_called_unproven() -> None:
    assert choose_provider("cuda", [CUDA]).remark == "CUDA is unproven"


@pytest.mark.parametrize(("device", "named"), [("cpu", ""), ("cuda", ""), ("coreml", "CoreMLExecutionProvider")])
def test_the_fingerprint_names_a_provider_whose_float32_is_not_compared(device: str, named: str) -> None:
    provider = choose_provider(device, [CPU, CUDA, "CoreMLExecutionProvider"])

    assert calibration("float32", provider) == named


@pytest.mark.parametrize("device", ["cuda", "cuda:first", "cuda:", "cpu:3", "auto:1", "tpu"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(device: str) -> None:
    with pytest.raises(ConfigError, match=f"'{device}' is not in .* has auto, cpu"):
        choose_provider(device, [CPU])


def test_the_package_for_cuda_is_named() -> None:
    with pytest.raises(ConfigError, match="install onnxruntime-gpu"):
        choose_provider("cuda", [CPU])


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this ONNX Runtime is built for CUDA")
def test_a_provider_that_does_not_start_is_refused() -> None:
    """ONNX Runtime itself would take the processor, and say nothing."""
    ops = OnnxOps(Weights({}, "nothing"))
    model = ops.graph.model({"made": ops.number(1) + ops.number(2)}, [], {}).SerializeToString()

    with pytest.warns(UserWarning, match=CUDA), pytest.raises(ConfigError, match="'cuda:0' does not start"):
        open_session(model, session_options(1), Provider(CUDA, "cuda:0"))


@pytest.mark.parametrize("precision", ["bfloat16", "float64", "float16"])
def test_a_precision_that_it_does_not_have_is_refused(precision: str) -> None:
    with pytest.raises(ConfigError, match=f"'{precision}' is not for the onnx runtime"):
        choose_precision(precision)


# ------------------------------------------------------------------------------------------------ memory


def words(ops: Ops[X]) -> X:
    return ops.rows(ops.weight("words", 4, 2), ops.ids())


def test_weights_are_read_where_they_are() -> None:
    """Not copied: what changes in their memory changes in the result."""
    table = np.zeros((4, 2), np.float32)
    ops = OnnxOps(Weights({"words": Stored("float32", table.view())}, "drawn"))
    graph = Graph(ops, {"made": words(ops)}, PROCESSOR, threads=1)

    table[1] = 3

    assert graph.run({"ids": np.array([1, 2], np.int32)})["made"].tolist() == [[3, 3], [0, 0]]


def test_another_device_keeps_no_weights_here() -> None:
    """Any provider that is not ours for the processor is taken for another device."""
    table = np.zeros((4, 2), np.float32)
    ops, watched = OnnxOps(Weights({"words": Stored("float32", table)}, "drawn")), weakref.ref(table)
    graph = Graph(ops, {"made": words(ops)}, Provider(CPU, "cpu"), threads=1)

    del table, ops
    gc.collect()

    assert watched() is None
    assert graph.run({"ids": np.array([1, 2], np.int32)})["made"].tolist() == [[0, 0], [0, 0]]


# ------------------------------------------------------------------------------------------------ failures


def test_an_id_that_the_model_does_not_have_fails_the_batch_and_no_other(tiny: OnnxRuntime) -> None:
    before = tiny.run(batch(3, 2), DENSE)["dense"]

    with pytest.raises(RuntimeFailed, match="outside 0"):
        tiny.run(batch(3, token=100_000), DENSE)

    assert np.array_equal(tiny.run(batch(3, 2), DENSE)["dense"], before)


def test_memory_that_is_not_there_is_a_failure_of_the_run() -> None:
    """A table of 32 PiB."""
    ops = OnnxOps(Weights({}, "nothing"))
    ids = ops.ids()
    wide = ops.graph.add("Expand", ops.number(1), ops.graph.add("Cast", ids, to=TensorProto.INT64))
    graph = Graph(ops, {"made": wide}, PROCESSOR, threads=1)

    with pytest.raises(RuntimeFailed, match=r"could not run .*; lower batch_tokens"):
        graph.run({"ids": np.array([2**26, 2**27], np.int32)})


def test_a_graph_that_the_device_does_not_take_is_said_so() -> None:
    with pytest.raises(ConfigError, match=r"could not put the model on the device 'cpu': .*; take another device"):
        open_session(b"no graph", session_options(1), PROCESSOR)


def test_a_failure_is_raised_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """A row that the table does not have."""
    ops = OnnxOps(Weights({"words": Stored("float32", np.zeros((4, 2), np.float32))}, "drawn"))
    graph = Graph(ops, {"made": words(ops)}, PROCESSOR, threads=1)

    with pytest.raises(RuntimeFailed):
        graph.run({"ids": np.array([1, 9], np.int32)})

    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------------ what it says


def test_lanes_share_the_threads(tmp_path: Path) -> None:
    """Those that call, one for each lane, and those of the session beside them are as many as were asked for."""
    folder = write(CASES["bert-mean"], tmp_path / "m")
    spec = find(str(folder), cache_dir=tmp_path).spec

    made = OnnxRuntime(spec, open_weights(folder), Options(threads=4, lanes=2))

    (graph,) = made._graphs.values()
    of_a_run = graph._session.get_session_options().intra_op_num_threads  # the caller and those beside it
    assert made.lanes + of_a_run - 1 == 4
