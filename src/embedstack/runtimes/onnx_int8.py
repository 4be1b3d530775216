"""The operations of ONNX Runtime with the encoder's products in 8-bit whole numbers, for processors."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from onnx import TensorProto

from embedstack.errors import ConfigError
from embedstack.runtimes.int8 import MOST, TINY, rotate, rotation, round_weight
from embedstack.runtimes.onnx_graph import Value
from embedstack.runtimes.onnx_ops import FUSED, OnnxOps

# heads stay in float32: they are small, and their rounding would not be averaged out by anything
WIDE = ("*pooler.dense", "*classifier*", "head.dense", "score", "sparse_linear", "colbert_linear")
LONG = 1024  # tokens; attention without a mask holds no (length, length) table, 64 MB for 16 heads at this length
ZERO = np.uint8(128)  # the code of 0: inputs are unsigned, since ONNX Runtime has no fast product of two signed ones


class Int8Ops(OnnxOps):
    """As OnnxOps; each row of a product's input is rounded by itself, so that no row depends on its neighbours.

    Rounding makes a large difference of a small one: where a number lies between two codes, the seventh digit decides.
    So attention must be the same to the last bit whatever else is in the batch, see `_even`.
    """

    def linear(self, x: Value, at: str, wide: int, out: int, *, bias: bool = True) -> Value:
        if any(fnmatchcase(at, pattern) for pattern in WIDE):
            return super().linear(x, at, wide, out, bias=bias)
        return self._product(self._rounded(x, wide), at, wide, out, bias)

    def linears(self, x: Value, ats: Sequence[str], wide: int, out: int, *, bias: bool = True) -> list[Value]:
        """Inputs are rounded once for all."""
        rounded = self._rounded(x, wide)
        return [self._product(rounded, at, wide, out, bias) for at in ats]

    def attention(
        self, q: Value, k: Value, v: Value, heads: int, *, one_query: bool = False, causal: bool = False,
        window: int = 0, bias: Value | None = None,
    ) -> Value:  # fmt: skip
        """The one query of an item is asked by each of its tokens: a product of one row sums in another order.

        With one row, the score of a text alone and in a batch differed by 0.0012 of the largest (12 heads of 64).
        """
        if not one_query:
            return super().attention(q, k, v, heads, causal=causal, window=window, bias=bias)
        item = self.graph.add("Div", self.slots(), self.graph.add("Cast", self._length(), to=TensorProto.INT32))
        return self.rows(super().attention(self.rows(q, item), k, v, heads), self.firsts())

    def _even(self) -> Value:
        """Only long texts take the branch without a mask, which sums in another order.

        Else a text alone and the same in a batch had a cosine of 0.99975 (least of 102), with this 1 - 1e-15.
        """
        even = super()._even()

        def even_and_long() -> Value:
            return self.graph.add("And", even, self.graph.add("Greater", self._length(), self.axes(LONG)))

        return self.once("even and long", even_and_long)

    def _length(self) -> Value:
        """(1,) tokens of the longest item."""
        return self.graph.add("Gather", self.graph.add("Shape", self.grid()), self.axes(1))

    def _rounded(self, x: Value, wide: int) -> tuple[Value, Value]:
        """Codes (tokens, wide) of the rotated rows, and their scales (tokens, 1)."""
        add, turn = self.graph.add, rotation(wide)
        blocks = add("Reshape", x, self.axes(-1, len(turn)))
        x = add("Reshape", add("MatMul", blocks, self.graph.constant(turn)), self.axes(-1, wide))
        least = add("Neg", add("ReduceMin", x, self.axes(1)))
        largest = add("Max", add("ReduceMax", x, self.axes(1)), least)
        scales = add("Max", largest * self.number(1 / MOST), self.number(float(TINY)))
        flat = add("Reshape", scales, self.axes(-1))
        zeros = add("Expand", self.graph.constant(ZERO[None]), add("Shape", flat))
        return add("QuantizeLinear", x, flat, zeros, axis=0), scales

    def _product(self, rounded: tuple[Value, Value], at: str, wide: int, out: int, bias: bool) -> Value:
        codes, row_scales = rounded
        try:
            weight, scales = round_weight(rotate(self.weights.take(f"{at}.weight", (out, wide))))
        except ConfigError as error:
            raise ConfigError(f"{f'{at}.weight'!r} {error}") from error
        constant = self.graph.constant
        # inputs and weights in codes, then their scales (the rows' follow), then their codes of 0
        given = (
            codes, self.graph.weight(f"{at}.weight", np.ascontiguousarray(weight.T)), self.number(1), constant(scales),
            constant(np.asarray(ZERO)), constant(np.zeros(out, np.int8)),
        )  # fmt: skip
        product = self.graph.add("MatMulIntegerToFloat", *given, domain=FUSED)
        scaled = self.graph.add("Mul", product, row_scales, width=out)
        return self.graph.add("Add", scaled, self.weight(f"{at}.bias", out), width=out) if bias else scaled
