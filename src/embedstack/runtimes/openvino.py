"""The processor's runtime: the graph is built in memory from the weights file and compiled by OpenVINO."""

import sys
from collections.abc import Mapping, Sequence
from queue import SimpleQueue

import numpy as np

from embedstack.errors import ConfigError
from embedstack.models.ops import Expression
from embedstack.models.weights import Weights
from embedstack.runtimes import Options
from embedstack.runtimes.failures import not_placed, not_run
from embedstack.runtimes.graphs import GraphOps, GraphRuntime, Make
from embedstack.runtimes.layout import Inputs, lay_out
from embedstack.runtimes.processor import choose_precision, require_processor
from embedstack.types import Batch, Floats, ModelSpec, Pooling, Precision

# `import openvino` (2026.4.1, tools/ovc/__init__.py) sends an event to Google Analytics unless its telemetry package is
# absent. So it is made to look absent; this can go when importing sends nothing.
_hidden = sys.modules.get("openvino_telemetry")
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino as ov  # noqa: E402
from openvino import opset15 as op  # noqa: E402

del sys.modules["openvino_telemetry"]
if _hidden is not None:
    sys.modules["openvino_telemetry"] = _hidden

HINTS: Mapping[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoOps(GraphOps[ov.Output]):
    """Operations that add nodes to OpenVINO's graph."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.inputs: dict[str, ov.op.Parameter] = {}

    def weight(self, name: str, *shape: int) -> ov.Output:
        return _shared(self.weights.take(name, shape))

    def ids(self) -> ov.Output:
        return self._input("ids", [-1], ov.Type.i32)

    def segments(self) -> ov.Output:
        return self._input("segments", [-1], ov.Type.i32)

    def positions(self, offset: int) -> ov.Output:
        places = self._input("places", [-1], ov.Type.i32)
        if not offset:
            return places
        self.pad = offset - 1
        return op.add(places, op.constant(np.int32(offset)))

    def number(self, value: float) -> ov.Output:
        return op.constant(np.float32(value))

    def matmul(self, x: ov.Output, weight: ov.Output) -> ov.Output:
        return op.matmul(x, weight, False, True)

    def rows(self, table: ov.Output, index: ov.Output) -> ov.Output:
        return op.gather(table, index, op.constant(np.int32(0)))

    def mean(self, x: ov.Output) -> ov.Output:
        return op.reduce_mean(x, op.constant([-1], ov.Type.i32), keep_dims=True)

    def sqrt(self, x: ov.Output) -> ov.Output:
        return op.sqrt(x)

    def erf(self, x: ov.Output) -> ov.Output:
        return op.erf(x)

    def tanh(self, x: ov.Output) -> ov.Output:
        return op.tanh(x)

    def relu(self, x: ov.Output) -> ov.Output:
        return op.relu(x)

    def attention(self, q: ov.Output, k: ov.Output, v: ov.Output, heads: int, *, one_query: bool = False) -> ov.Output:
        """Spread to (items, heads, length, size) around the attention alone, so that no other product sees padding."""
        mask = self._input("mask", [-1, 1, 1, -1], ov.Type.f32)
        width = k.get_partial_shape()[1].get_length()
        # the one query of an item is a place of its own: (items, heads, 1, size)
        q = op.reshape(q, [-1, heads, 1, width // heads], False) if one_query else self._spread(q, heads, width)
        k, v = (self._spread(x, heads, width) for x in (k, v))
        mixed = op.scaled_dot_product_attention(q, k, v, mask)
        rows = op.reshape(op.transpose(mixed, [0, 2, 1, 3]), [-1, width], False)
        return rows if one_query else self.rows(rows, self._input("slots", [-1], ov.Type.i32))

    def pool(self, x: ov.Output, how: Pooling) -> ov.Output:
        match how:
            case "cls":
                return self.rows(x, self._input("firsts", [-1], ov.Type.i32))
            case "last":
                return self.rows(x, self._input("lasts", [-1], ov.Type.i32))
            case "mean":
                return op.embedding_bag_offsets(
                    x,
                    self._input("every", [-1], ov.Type.i32),
                    self._input("firsts", [-1], ov.Type.i32),
                    reduction="mean",
                )
            case "max":
                # an absent place repeats the item's first token, which changes no maximum
                spread = op.gather(x, self._input("grid", [-1, -1], ov.Type.i32), op.constant(np.int32(0)))
                return op.reduce_max(spread, op.constant([1], ov.Type.i32), keep_dims=False)

    def hidden(self, width: int) -> ov.Output:
        return self._input("hidden", [-1, width], ov.Type.f32)

    # ------------------------------------------------------------------ fused forms

    def linears(self, x: ov.Output, ats: Sequence[str], wide: int, out: int) -> list[ov.Output]:
        """One product for all, split afterwards."""
        weights = np.concatenate([self.weights.take(f"{at}.weight", (out, wide)) for at in ats])
        biases = np.concatenate([self.weights.take(f"{at}.bias", (out,)) for at in ats])
        fused = op.add(op.matmul(x, _shared(weights), False, True), op.constant(biases))
        return list(op.split(fused, op.constant(np.int32(1)), len(ats)).outputs())

    def layer_norm(self, x: ov.Output, at: str, width: int, eps: float) -> ov.Output:
        unit = op.mvn(x, op.constant([-1], ov.Type.i32), True, eps, "inside_sqrt")
        return op.add(op.multiply(unit, self.weight(f"{at}.weight", width)), self.weight(f"{at}.bias", width))

    def gelu(self, x: ov.Output) -> ov.Output:
        return op.gelu(x, "erf")

    def gelu_tanh(self, x: ov.Output) -> ov.Output:
        return op.gelu(x, "tanh")

    def silu(self, x: ov.Output) -> ov.Output:
        return op.swish(x)

    # ------------------------------------------------------------------

    def _input(self, name: str, shape: list[int], kind: ov.Type) -> ov.Output:
        if name not in self.inputs:
            self.inputs[name] = op.parameter(shape, kind, name)
        return self.inputs[name].output(0)

    def _spread(self, x: ov.Output, heads: int, width: int) -> ov.Output:
        grid = self._input("grid", [-1, -1], ov.Type.i32)
        items = op.gather(x, grid, op.constant(np.int32(0)))  # (items, length, width)
        split = op.reshape(items, [0, 0, heads, width // heads], True)
        return op.transpose(split, [0, 2, 1, 3])


def _shared(values: Floats) -> ov.Output:
    """A constant over the memory map itself; OpenVINO asks for a writable array, though it only reads."""
    values.flags.writeable = True
    return op.constant(values, shared_memory=True)


class Graph:
    """A compiled graph and one request object per lane."""

    def __init__(self, ops: OpenVinoOps, made: Mapping[str, ov.Output], hint: str, threads: int, lanes: int) -> None:
        self._inputs = list(ops.inputs)
        self.pad = ops.pad
        self._outputs = list(made)
        model = ov.Model(list(made.values()), list(ops.inputs.values()))
        # every hint is explicit: left alone, OpenVINO picks bfloat16 by itself where the processor has it
        config = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": lanes, "INFERENCE_NUM_THREADS": threads}
        try:
            compiled = ov.Core().compile_model(model, "CPU", config)
            requests = [compiled.create_infer_request() for _ in range(lanes)]
        except (RuntimeError, MemoryError) as error:
            raise not_placed("cpu", error) from error
        taken = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if taken != hint:
            raise ConfigError(f"OpenVINO computes in {taken} here, not in {hint}; choose another precision")
        self._free: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for request in requests:
            self._free.put(request)

    def run(self, inputs: Inputs) -> dict[str, Floats]:
        """Copies of the outputs; waits for a free lane."""
        request = self._free.get()
        try:
            for place, name in enumerate(self._inputs):
                request.set_input_tensor(place, ov.Tensor(inputs[name], shared_memory=True))
            request.infer()
            return {name: request.get_output_tensor(place).data.copy() for place, name in enumerate(self._outputs)}
        except (RuntimeError, MemoryError) as error:
            raise not_run(f"the processor could not run a batch of {inputs['places'].size} tokens", error) from error
        finally:
            self._free.put(request)


class OpenVinoRuntime(GraphRuntime):
    """A model compiled for this processor."""

    device = "cpu"
    calibration = ""

    def __init__(self, spec: ModelSpec, weights: Weights, options: Options) -> None:
        require_processor("openvino", options.device)
        self.precision, why = choose_precision(options.precision)
        threads, self.lanes = options.thread_count, options.lanes
        self.reason = f"{why}; threads: {threads}, lanes: {self.lanes}"

        def compiled(make: Make) -> Graph:
            ops = OpenVinoOps(weights)
            return Graph(ops, make(ops), HINTS[self.precision], threads, self.lanes)

        super().__init__(spec, weights, compiled)

    @staticmethod
    def evaluate(expression: Expression, weights: Weights, batch: Batch) -> Floats:
        """See OpenRuntime."""
        ops = OpenVinoOps(weights)
        graph = Graph(ops, {"made": expression(ops)}, HINTS["float32"], threads=1, lanes=1)
        return graph.run(lay_out(batch, graph.pad))["made"]
