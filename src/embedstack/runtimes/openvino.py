"""The processor's runtime: the graph is built in memory from the weights file and compiled by OpenVINO."""

import sys
from collections.abc import Mapping, Sequence
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import ConfigError
from embedstack.models.ops import Expression
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Pooling, Precision
from embedstack.runtimes import Options
from embedstack.runtimes.failures import not_placed, not_run
from embedstack.runtimes.graphs import GraphOps, GraphRuntime, Make
from embedstack.runtimes.layout import PEAK_ROWS, Inputs, lay_out
from embedstack.runtimes.processor import choose_precision, require_processor
from embedstack.types import Batch, Floats

# `import openvino` (2026.4.1, tools/ovc/__init__.py) sends an event to Google Analytics unless its telemetry package is
# absent. So it is made to look absent; this can go when importing sends nothing.
_hidden = sys.modules.get("openvino_telemetry")
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino as ov  # noqa: E402
from openvino import opset15 as op  # noqa: E402

del sys.modules["openvino_telemetry"]
if _hidden is not None:
    sys.modules["openvino_telemetry"] = _hidden

NEVER = np.float32(-np.inf)
# One for the whole process, as OpenVINO's documentation recommends. Each further one makes the plugin again (2026.4.1),
# which sets the thread's alternate signal stack, and at its end unmaps that and restores the one it found: where the
# first of two ends first, that one is gone already, and the next Ctrl-C ends Python with SIGSEGV.
CORE = ov.Core()
HINTS: Mapping[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoOps(GraphOps[ov.Output]):
    """Operations that add nodes to OpenVINO's graph."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.inputs: dict[str, ov.op.Parameter] = {}

    def weight(self, name: str, *shape: int, stored_as: tuple[int, ...] | None = None) -> ov.Output:
        return _shared(self.weights.take(name, shape, stored_as))

    def constant(self, values: NDArray[np.float64]) -> ov.Output:
        return op.constant(values.astype(np.float32))

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

    def patches(self, width: int) -> ov.Output:
        return self._input("patches", [-1, width], ov.Type.f32)

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

    def log1p(self, x: ov.Output) -> ov.Output:
        return op.log(op.add(x, op.constant(np.float32(1))))

    def split(self, x: ov.Output, parts: int) -> list[ov.Output]:
        return _parts(x, 1, parts)

    def reshape(self, x: ov.Output, width: int) -> ov.Output:
        return op.reshape(x, [-1, width], False)

    def repeat(self, x: ov.Output, size: int, times: int) -> ov.Output:
        width = _length(x)
        blocks = op.reshape(x, [-1, width // size, size], False)
        which = np.repeat(np.arange(width // size, dtype=np.int32), times)
        return op.reshape(op.gather(blocks, op.constant(which), op.constant(np.int32(1))), [-1, width * times], False)

    def rope(self, x: ov.Output, cos: ov.Output, sin: ov.Output, size: int) -> ov.Output:
        width, each_head = _length(x), op.constant([1], ov.Type.i32)
        a, b = _parts(op.reshape(x, [-1, width // size, size], False), 2, 2)
        cos, sin = op.unsqueeze(cos, each_head), op.unsqueeze(sin, each_head)
        turned = [op.subtract(a * cos, b * sin), op.add(b * cos, a * sin)]
        return op.reshape(op.concat(turned, 2), [-1, width], False)

    def attention(
        self, q: ov.Output, k: ov.Output, v: ov.Output, heads: int, *, one_query: bool = False, causal: bool = False,
        window: int = 0, bias: ov.Output | None = None,
    ) -> ov.Output:  # fmt: skip
        """Spread to (items, heads, length, size) around the attention alone, so that no other product sees padding."""
        width = _length(k)
        if self.takes_blocks(window, is_plain=not (one_query or causal or bias is not None)):
            return self._near(q, k, v, heads)
        # the one query of an item is a place of its own: (items, heads, 1, size)
        q = op.reshape(q, [-1, heads, 1, width // heads], False) if one_query else self._spread(q, heads, width)
        k, v = (self._spread(x, heads, width) for x in (k, v))
        if causal and not one_query and not window and bias is None:
            # padding stands behind all tokens, and what it sees is left out; asked for by causal=True instead, OpenVINO
            # holds four tables of float32 for this one of single bytes, see docs/decisions.md
            ladder = self._input("ladder", [-1], ov.Type.i32)
            keys, queries = (op.unsqueeze(ladder, op.constant([0, 1, axis], ov.Type.i32)) for axis in (2, 3))
            mixed = op.scaled_dot_product_attention(q, k, v, op.less_equal(keys, queries))
        else:
            mixed = op.scaled_dot_product_attention(q, k, v, self._seen(causal and not one_query, window, bias))
        rows = op.reshape(op.transpose(mixed, [0, 2, 1, 3]), [-1, width], False)
        return rows if one_query else self.rows(rows, self._input("slots", [-1], ov.Type.i32))

    def _near(self, q: ov.Output, k: ov.Output, v: ov.Output, heads: int) -> ov.Output:
        """In blocks: (blocks, heads, queries, size) sees (blocks, heads, keys, size)."""
        width = _length(k)
        q = self._spread(q, heads, width, "near_queries")
        k, v = (self._spread(x, heads, width, "near_keys") for x in (k, v))
        mixed = op.scaled_dot_product_attention(q, k, v, self._input("near_mask", [-1, 1, -1, -1], ov.Type.f32))
        rows = op.reshape(op.transpose(mixed, [0, 2, 1, 3]), [-1, width], False)
        return self.rows(rows, self._input("near_slots", [-1], ov.Type.i32))

    def _seen(self, causal: bool, window: int, bias: ov.Output | None) -> ov.Output:
        """What is added to the logits: (items, 1 or heads, 1 or length, length)."""
        mask = self._input("mask", [-1, 1, 1, -1], ov.Type.f32)
        if not (causal or window or bias is not None):
            return mask
        ladder = self._input("ladder", [-1], ov.Type.i32)
        keys, queries = (op.unsqueeze(ladder, op.constant([axis], ov.Type.i32)) for axis in (0, 1))
        apart = op.subtract(keys, queries)  # (length, length), j - i
        hidden = [op.greater(apart, op.constant(np.int32(0)))] if causal else []
        hidden += [op.greater(op.abs(apart), op.constant(np.int32(window)))] if window else []
        for unseen in hidden:
            mask = op.add(mask, op.select(unseen, op.constant(NEVER), op.constant(np.float32(0))))
        if bias is not None:
            reach = _length(bias, 0) // 2
            place = op.add(apart, op.constant(np.int32(reach)))
            mask = op.add(mask, op.transpose(self.rows(bias, place), [2, 0, 1]))  # (heads, length, length)
        return mask

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
                # spread to one length it would be padded, and of several such tables none gives its memory to the next
                least = op.broadcast(op.constant(NEVER), op.concat([self._items(), _shape(_length(x))], 0))
                return op.scatter_nd_update(least, op.unsqueeze(self._item(), op.constant(np.int32(1))), x, "max")

    def _items(self) -> ov.Output:
        """(1,) how many items there are."""
        return op.shape_of(self._input("firsts", [-1], ov.Type.i32))

    def _item(self) -> ov.Output:
        """(tokens,) the item of each token: its place in the flattened grid tells."""
        length = op.shape_of(self._input("ladder", [-1], ov.Type.i32), ov.Type.i32)
        return op.divide(self._input("slots", [-1], ov.Type.i32), length)

    def each(self, row: ov.Output) -> ov.Output:
        none = op.multiply(self._input("firsts", [-1], ov.Type.i32), op.constant(np.int32(0)))
        return self.rows(row, none)

    def hidden(self, width: int) -> ov.Output:
        return self._input("hidden", [-1, width], ov.Type.f32)

    # ------------------------------------------------------------------ fused forms

    def linears(self, x: ov.Output, ats: Sequence[str], wide: int, out: int, *, bias: bool = True) -> list[ov.Output]:
        """One product for all, split afterwards."""
        weights = np.concatenate([self.weights.take(f"{at}.weight", (out, wide)) for at in ats])
        fused = op.matmul(x, _shared(weights), False, True)
        if bias:
            biases = np.concatenate([self.weights.take(f"{at}.bias", (out,)) for at in ats])
            fused = op.add(fused, op.constant(biases))
        return _parts(fused, 1, len(ats))

    def peaks(self, x: ov.Output, name: str, wide: int, out: int) -> ov.Output:
        rows = self.weights.take(name, (out, wide))
        rows.flags.writeable = True  # see `_shared`: a part cannot be what the whole is not
        parts = [_shared(rows[start : start + PEAK_ROWS]) for start in range(0, out, PEAK_ROWS)]
        return op.concat([self.pool(self.matmul(x, part), "max") for part in parts], 1)

    def layer_norm(self, x: ov.Output, at: str, width: int, eps: float, *, bias: bool = True) -> ov.Output:
        unit = op.mvn(x, op.constant([-1], ov.Type.i32), True, eps, "inside_sqrt")
        scaled = op.multiply(unit, self.weight(f"{at}.weight", width))
        return op.add(scaled, self.weight(f"{at}.bias", width)) if bias else scaled

    def gelu(self, x: ov.Output) -> ov.Output:
        return op.gelu(x, "erf")

    def gelu_tanh(self, x: ov.Output) -> ov.Output:
        return op.gelu(x, "tanh")

    def silu(self, x: ov.Output) -> ov.Output:
        return op.swish(x)

    def quick_gelu(self, x: ov.Output) -> ov.Output:
        return op.swish(x, op.constant(np.float32(1.702)))

    def sigmoid(self, x: ov.Output) -> ov.Output:
        return op.sigmoid(x)

    # ------------------------------------------------------------------

    def _input(self, name: str, shape: list[int], kind: ov.Type) -> ov.Output:
        if name not in self.inputs:
            self.inputs[name] = op.parameter(shape, kind, name)
        return self.inputs[name].output(0)

    def _spread(self, x: ov.Output, heads: int, width: int, by: str = "grid") -> ov.Output:
        items = op.gather(x, self._input(by, [-1, -1], ov.Type.i32), op.constant(np.int32(0)))  # (items, length, width)
        split = op.reshape(items, [0, 0, heads, width // heads], True)
        return op.transpose(split, [0, 2, 1, 3])


def _shape(*lengths: int) -> ov.Output:
    return op.constant(np.array(lengths, np.int64))


def _length(x: "ov.Output | ov.Node", axis: int = 1) -> int:
    """Of an axis; operations give nodes, and a split gives outputs of one."""
    made = x.output(0) if isinstance(x, ov.Node) else x
    return int(made.get_partial_shape()[axis].get_length())


def _parts(x: ov.Output, axis: int, parts: int) -> list[ov.Output]:
    """Equal parts of an axis, each as a node: arithmetic takes those, and not the outputs of a split."""
    # a conversion to what it is already is removed when the graph is compiled
    return [op.convert(part, ov.Type.f32) for part in op.split(x, op.constant(np.int32(axis)), parts).outputs()]


def _shared(values: Floats) -> ov.Output:
    """A constant over the memory map itself; OpenVINO asks for a writable array, though it only reads."""
    values.flags.writeable = True
    return op.constant(values, shared_memory=True)


class Graph:
    """A compiled graph and one request object per lane."""

    def __init__(self, ops: OpenVinoOps, made: Mapping[str, ov.Output], hint: str, threads: int, lanes: int) -> None:
        self._inputs = list(ops.inputs)
        self.pad, self.window = ops.pad, ops.window
        self._outputs = list(made)
        model = ov.Model(list(made.values()), list(ops.inputs.values()))
        # every hint is explicit: left alone, OpenVINO picks bfloat16 by itself where the processor has it, and binds
        # its threads to the first processors, so that two processes of one thread each would share one
        config = {
            "INFERENCE_PRECISION_HINT": hint,
            "NUM_STREAMS": lanes,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
        }
        try:
            compiled = CORE.compile_model(model, "CPU", config)
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
        return graph.run(lay_out(batch, graph.pad, graph.window))["made"]
