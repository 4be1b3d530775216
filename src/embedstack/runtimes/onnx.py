"""ONNX Runtime: the graph is built in memory from the weights file and run by the provider of the device."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as state

from embedstack.errors import ConfigError
from embedstack.models.ops import Expression
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Precision
from embedstack.runtimes import Options
from embedstack.runtimes.failures import not_placed, not_run
from embedstack.runtimes.graphs import GraphRuntime, Make
from embedstack.runtimes.int8 import METHOD
from embedstack.runtimes.layout import Inputs, lay_out
from embedstack.runtimes.onnx_graph import Value, external
from embedstack.runtimes.onnx_int8 import Int8Ops
from embedstack.runtimes.onnx_ops import OnnxOps
from embedstack.runtimes.processor import int8_reason
from embedstack.types import Batch, Floats

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# Threads wait actively between two nodes, this long. MiniLM, 2 threads: a short query takes 3.8 ms and 43 mixed texts
# 1.02 s of processor time; without a limit 3.9 ms and 1.22 s, without active waiting 4.9 ms and 0.99 s.
SPIN_US = "50"
SILENT = 4  # only what ends the process; what goes wrong in a run is raised, too
# ONNX Runtime's own errors have no common class, and each release has others
_OWN: list[type[Exception]] = [
    kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)
]
FAILED: tuple[type[Exception], ...] = (*_OWN, RuntimeError, MemoryError)


def library() -> str:
    """Which ONNX Runtime this is, under whatever name it was installed."""
    return f"onnxruntime {ort.__version__} ({ort.get_build_info()})"


@dataclass(frozen=True, slots=True)
class Provider:
    """Where ONNX Runtime computes."""

    name: str  # as ONNX Runtime calls it
    device: str  # as we call it
    options: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""


PROCESSOR = Provider(CPU, "cpu")


def choose_provider(device: str, available: list[str] | None = None) -> Provider:
    """The provider of a device.

    Args:
        device: auto, cpu, cuda, cuda:1, or what a provider's name begins with, such as coreml, dml or rocm.
        available: the providers of this ONNX Runtime; asked if None.
    Raises:
        ConfigError: it has none of that name.
    """
    names = ort.get_available_providers() if available is None else available
    word, colon, number = device.partition(":")
    is_wrong = bool(colon) and (word in ("auto", "cpu") or not number.isdecimal())
    if word == "auto":
        word = "cuda" if CUDA in names else "cpu"
    name = next((name for name in names if name.lower() == f"{word}executionprovider"), None)
    if name is None or is_wrong:
        here = ", ".join(["auto", *(name.removesuffix("ExecutionProvider").lower() for name in names)])
        install = "; for cuda install onnxruntime-gpu in the place of onnxruntime" if word == "cuda" else ""
        raise ConfigError(f"device {device!r} is not in this ONNX Runtime {ort.__version__}, which has {here}{install}")
    match name:
        case "CPUExecutionProvider":
            return PROCESSOR
        case "CUDAExecutionProvider":  # left alone, it computes in TF32
            options = {"device_id": number or "0", "use_tf32": "0"}
            return Provider(name, f"cuda:{number or 0}", options, "CUDA is unproven")
    options = {"device_id": number} if number else {}
    return Provider(name, device, options, f"{name} is unproven")


def choose_precision(wish: str, device: str = "cpu") -> tuple[Precision, str]:
    """The precision to compute in, and why.

    Raises:
        ConfigError: not a precision of this runtime, or not on this device.
    """
    if wish in ("auto", "float32"):
        return "float32", "float32, as asked" if wish == "float32" else "float32, the precision of ONNX Runtime here"
    if wish == "int8" and device == "cpu":
        return "int8", int8_reason()
    has = "float32, and in int8 if asked" if device == "cpu" else "float32"
    raise ConfigError(
        f"precision {wish!r} is not for the onnx runtime, which on {device!r} computes in {has}; use auto or float32"
    )


def calibration(precision: Precision, provider: Provider) -> str:
    """What a fingerprint names beside the precision: how int8 rounds, or a provider whose float32 is not compared."""
    if precision == "int8":
        return METHOD
    return "" if provider.name in (CPU, CUDA) else provider.name


def session_options(threads: int) -> ort.SessionOptions:
    """Everything that decides how a session computes, said aloud."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # the graph is built fused; BASIC removes what is constant, and the higher levels gave the same speed
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_mem_pattern = False  # it plans memory anew for each shape, and keeps the plans
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_US)  # releases without it ignore it
    options.add_session_config_entry("session.force_spinning_stop", "1")  # none after a run
    options.add_session_config_entry("optimization.enable_gelu_approximation", "0")
    return options


class Graph:
    """A graph that ONNX Runtime is ready to run; any number of threads may."""

    def __init__(self, ops: OnnxOps, made: Mapping[str, Value], provider: Provider, threads: int) -> None:
        self._inputs = list(ops.graph.inputs)
        self._outputs = list(made)
        self.pad, self.window = ops.pad, ops.window
        weights = ops.graph.weights
        model = ops.graph.model(made, [external(name, values, "in memory", 0) for name, values in weights.items()], {})
        options = session_options(threads)
        given = {name: ort.OrtValue.ortvalue_from_numpy(values) for name, values in weights.items()}
        options.add_external_initializers(list(given), list(given.values()))
        # without this, the processor would copy the weights; it may copy codes, which it repacks, so that both copies
        # can go. Another device has copies of its own in any case
        is_shared = provider is PROCESSOR
        self._kept = {name: value for name, value in given.items() if is_shared and weights[name].dtype != np.int8}
        for name, value in self._kept.items():  # the session reads this memory as long as it lives
            options.add_initializer(name, value)
        self._session = open_session(model.SerializeToString(), options, provider)

    def run(self, inputs: Inputs) -> dict[str, Floats]:
        """The outputs by name."""
        made = run_session(self._session, self._outputs, {name: inputs[name] for name in self._inputs})
        return dict(zip(self._outputs, made, strict=True))


def run_session(session: ort.InferenceSession, wanted: list[str], inputs: Inputs) -> list[Floats]:
    """The wanted outputs.

    Raises:
        RuntimeFailed: out of memory, an id that the model does not have, or the device failed.
    """
    try:
        made: list[Floats] = session.run(wanted, inputs)
    except FAILED as error:
        largest = max(values.size for values in inputs.values())
        raise not_run(f"ONNX Runtime could not run a batch (largest input: {largest} numbers)", error) from error
    return made


def open_session(model: bytes | str, options: ort.SessionOptions, provider: Provider) -> ort.InferenceSession:
    """A session on the provider, and on no other.

    Args:
        model: a graph, or the path of one.
    Raises:
        ConfigError: the provider does not start here, cannot read the graph, or has no room for it.
    """
    ort.disable_telemetry_events()
    try:
        session = ort.InferenceSession(
            model, options, providers=[(provider.name, dict(provider.options))], enable_fallback=False
        )
    except FAILED as error:
        raise not_placed(provider.device, error) from error
    taken = session.get_providers()[0]
    if taken != provider.name:
        raise ConfigError(
            f"device {provider.device!r} does not start in this ONNX Runtime, which would use {taken}; "
            "check its driver and libraries, or set device to cpu"
        )
    return session


class OnnxRuntime(GraphRuntime):
    """A model in ONNX Runtime."""

    def __init__(self, spec: ModelSpec, weights: Weights, options: Options) -> None:
        provider = choose_provider(options.device)
        self.precision, why = choose_precision(options.precision, provider.device)
        self.calibration = calibration(self.precision, provider)
        self.device, threads, self.lanes = provider.device, options.thread_count, options.lanes
        self.reason = "; ".join(filter(None, [why, provider.remark, f"threads: {threads}, lanes: {self.lanes}"]))
        # a thread that calls `run` works too, beside those of the session
        each = max(1, threads - self.lanes + 1)

        def compiled(make: Make) -> Graph:
            ops = Int8Ops(weights) if self.precision == "int8" else OnnxOps(weights)
            return Graph(ops, make(ops), provider, each)

        super().__init__(spec, weights, compiled)

    @staticmethod
    def evaluate(expression: Expression, weights: Weights, batch: Batch) -> Floats:
        """See OpenRuntime."""
        ops = OnnxOps(weights)
        graph = Graph(ops, {"made": expression(ops)}, PROCESSOR, threads=1)
        return np.asarray(graph.run(lay_out(batch, graph.pad, graph.window))["made"], np.float32)
