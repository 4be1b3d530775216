"""A model's graph with the interface that other programs expect: ids and a mask, padded, (batch, sequence)."""

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from embedstack.errors import Unsupported
from embedstack.models import encoder, family
from embedstack.models.heads import finish
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Output
from embedstack.runtimes.onnx_graph import Value
from embedstack.runtimes.onnx_ops import NEVER, OnnxOps

SEQUENCE = "sequence"  # the axis of tokens
TINY = 1e-12  # the floor under a length, as in torch.nn.functional.normalize
# what such a graph calls the heads of a model
NAMES: Mapping[Output, str] = {
    "dense": "sentence_embedding",
    "sparse": "sparse_weights",
    "multi": "colbert_vectors",
    "score": "logits",
    "states": "last_hidden_state",
}


class PaddedOps(OnnxOps):
    """Operations whose graph finds the items by the attention mask, whichever side the padding is on."""

    def __init__(self, weights: Weights, spec: ModelSpec, *, fused: bool = True) -> None:
        super().__init__(weights, fused=fused)
        self._has_segments = spec.architecture.segments > 1
        for name in ("input_ids", "attention_mask", *(["token_type_ids"] if self._has_segments else [])):
            self._input(name)  # in the order that consumers are used to

    def takes_blocks(self, window: int, *, is_plain: bool) -> bool:
        """Nobody lays a batch out for this graph."""
        return False

    def takes_turns(self, *, is_plain: bool) -> bool:
        """Padding may stand before the tokens, where only a mask of the whole tells them apart."""
        return False

    def ids(self) -> Value:
        return self._taken("input_ids")

    def segments(self) -> Value:
        """A model of one segment has no input for it: all tokens are of segment 0."""
        if self._has_segments:
            return self._taken("token_type_ids")
        return self.once("no segments", lambda: self.ids() - self.ids())

    def positions(self, offset: int) -> Value:
        if not offset:
            return self._packed(self._counts(self._real()) - self._long(1))
        ids, pad = self._input("input_ids"), self._long(offset - 1)
        is_text = self.graph.add("Not", self.graph.add("Equal", ids, pad))
        counted = self._real() * self._cast(is_text, TensorProto.INT64)
        return self._packed(self._counts(counted) * counted + pad)

    def grid(self) -> Value:
        def made() -> Value:
            rows = self.graph.add("CumSum", self._flat(self._real()), self._long(0)) - self._long(1)
            # places before the first token hold -1, which is the last row
            return self.graph.add("Reshape", rows, self.graph.add("Shape", self._real()))

        return self.once("grid", made)

    def slots(self) -> Value:
        def made() -> Value:
            return self.graph.add("Squeeze", self.graph.add("NonZero", self._flat(self._real())), self.axes(0))

        return self.once("slots", made)

    def mask(self) -> Value:
        def made() -> Value:
            absent = self.number(1) - self._cast(self._real(), TensorProto.FLOAT)
            return self.graph.add("Unsqueeze", absent * self.number(NEVER), self.axes(1, 2))

        return self.once("mask", made)

    def ladder(self) -> Value:
        def made() -> Value:
            length = self.graph.add("Gather", self.graph.add("Shape", self._real()), self._long(1))
            count = self.graph.add("Range", self._long(0), length, self._long(1))
            return self._cast(count, TensorProto.INT32)

        return self.once("ladder", made)

    def patches(self, width: int) -> Value:
        """Not exported yet."""
        raise Unsupported("the tower of images cannot be exported yet; serve the model instead")

    def present(self) -> Value:
        return self.once("present", lambda: self._cast(self._real(), TensorProto.INT32))

    def firsts(self) -> Value:
        """An item without a token gets a row of another, which `zero_if_empty` takes away again."""

        def made() -> Value:
            ends = self.graph.add("CumSum", self._lengths(), self._long(0))
            return self.graph.add("Min", ends - self._lengths(), self.graph.add("Size", self.slots()) - self._long(1))

        return self.once("firsts", made)

    def lasts(self) -> Value:
        return self.once(
            "lasts",
            lambda: self.graph.add(
                "Max", self.graph.add("CumSum", self._lengths(), self._long(0)) - self._long(1), self._long(0)
            ),
        )

    def unpacked(self, x: Value) -> Value:
        """(tokens, width) -> (batch, sequence, width), zero where no token is."""
        real = self.graph.add("Unsqueeze", self._cast(self._real(), TensorProto.FLOAT), self.axes(2))
        return self.rows(x, self.grid()) * real

    def zero_if_empty(self, x: Value) -> Value:
        """(items, width), zero for an item without tokens."""
        some = self.graph.add("Min", self._lengths(), self._long(1))
        return x * self.graph.add("Unsqueeze", self._cast(some, TensorProto.FLOAT), self.axes(1))

    def unit(self, x: Value) -> Value:
        """Each row divided by its length (L2)."""
        length = self.graph.add("ReduceL2", x, self.axes(-1))
        return x / self.graph.add("Max", length, self.number(TINY))

    def _input(self, name: str) -> Value:
        return self.graph.input(name, TensorProto.INT64, ["batch", SEQUENCE])

    def _taken(self, name: str) -> Value:
        return self.once(name, lambda: self._packed(self._input(name)))

    def _real(self) -> Value:
        """(batch, sequence) 1 where a token is, else 0."""

        def made() -> Value:
            given = self._input("attention_mask")
            return self._cast(self._cast(given, TensorProto.BOOL), TensorProto.INT64)

        return self.once("real", made)

    def _lengths(self) -> Value:
        return self.once("lengths", lambda: self.graph.add("ReduceSum", self._real(), self.axes(1), keepdims=0))

    def _counts(self, ones: Value) -> Value:
        return self.graph.add("CumSum", ones, self._long(1))

    def _flat(self, x: Value) -> Value:
        return self.graph.add("Reshape", x, self.axes(-1))

    def _packed(self, x: Value) -> Value:
        """(batch, sequence) -> (tokens,)."""
        return self.graph.add("Gather", self._flat(x), self.slots())

    def _long(self, value: int) -> Value:
        return self.graph.constant(np.array(value, np.int64))

    def _cast(self, x: Value, kind: int) -> Value:
        return self.graph.add("Cast", x, to=kind)


def heads(ops: PaddedOps, spec: ModelSpec) -> dict[str, Value]:
    """The file's outputs by name, the hidden states first where the model is no reranker."""
    x = encoder(ops, spec)
    made = finish(ops, spec, x, frozenset(spec.outputs), project=family(spec).dense)

    def padded(name: Output) -> Value:
        match name:
            case "dense":
                return ops.zero_if_empty(ops.unit(made[name]) if spec.normalize else made[name])
            case "score":
                return ops.zero_if_empty(made[name])
            case "sparse" if spec.is_lexical:
                return ops.zero_if_empty(made[name])
            case "sparse":
                return ops.graph.add("Squeeze", ops.unpacked(made[name]), ops.axes(2))
            case "multi":
                return ops.unpacked(ops.unit(made[name]) if spec.normalize else made[name])
            case "states":
                return ops.unpacked(made[name])

    states = {NAMES["states"]: ops.unpacked(x)} if spec.task == "embed" else {}
    return states | {NAMES[name]: padded(name) for name in spec.outputs}


def shapes(spec: ModelSpec) -> dict[str, list[str | int]]:
    """Of every output that `heads` may give."""
    hidden, vocab = spec.architecture.hidden, spec.architecture.vocab
    return {
        "last_hidden_state": ["batch", SEQUENCE, hidden],
        "sentence_embedding": ["batch", spec.dim],
        "sparse_weights": ["batch", vocab if spec.is_lexical else SEQUENCE],
        "colbert_vectors": ["batch", SEQUENCE, hidden],
        "logits": ["batch", spec.labels],
    }
