"""The operations of models become nodes of an ONNX graph, ONNX Runtime's own ones where those are faster."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from embedstack.models.weights import Weights
from embedstack.modelspec import Pooling
from embedstack.runtimes.graphs import GraphOps
from embedstack.runtimes.layout import PEAK_ROWS
from embedstack.runtimes.onnx_graph import GraphBuilder, Value

FUSED = "com.microsoft"  # the domain of ONNX Runtime's own operators
AT_ONCE, TURN = 1024, 128
"""Tokens of an item whose queries are not cut, and queries of a turn where they are; see docs/decisions.md."""
NEVER = float(np.finfo(np.float32).min)  # what a masked logit becomes


class OnnxOps(GraphOps[Value]):
    """Operations that add nodes to an ONNX graph.

    Args:
        fused: use ONNX Runtime's own operators where they are faster; else those of the ONNX standard alone.
    """

    def __init__(self, weights: Weights, *, fused: bool = True) -> None:
        super().__init__(weights)
        self.graph = GraphBuilder()
        self.fused = fused
        self._shared: dict[str, Value] = {}

    # ------------------------------------------------------------------ inputs: what `lay_out` makes of a batch

    def ids(self) -> Value:
        return self._given("ids", "tokens")

    def segments(self) -> Value:
        return self._given("segments", "tokens")

    def positions(self, offset: int) -> Value:
        places = self._given("places", "tokens")
        if not offset:
            return places
        self.pad = offset - 1
        return places + self._int(offset)

    def grid(self) -> Value:
        """(items, length) packed row of each place; absent places hold any row of a token."""
        return self._given("grid", "items", "length")

    def slots(self) -> Value:
        """(tokens,) place of each packed row in the flattened grid."""
        return self._given("slots", "tokens")

    def mask(self) -> Value:
        """(items, 1, 1, length) 0, or so little that softmax makes it 0 where no token is."""
        return self.graph.input("mask", TensorProto.FLOAT, ["items", 1, 1, "length"])

    def present(self) -> Value:
        """Which places hold a token, as MultiHeadAttention wants it: (items,) lengths or (items, length) of 0 and 1."""
        return self.once("lengths", lambda: self.lasts() - self.firsts() + self._int(1))

    def firsts(self) -> Value:
        """(items,) packed row of each item's first token."""
        return self._given("firsts", "items")

    def lasts(self) -> Value:
        """(items,) packed row of each item's last token."""
        return self._given("lasts", "items")

    def ladder(self) -> Value:
        """(length,) counting from 0, as many as the longest item has tokens."""
        return self._given("ladder", "length")

    def patches(self, width: int) -> Value:
        return self.graph.input("patches", TensorProto.FLOAT, ["tokens", width])

    def hidden(self, width: int) -> Value:
        return self.graph.input("hidden", TensorProto.FLOAT, ["tokens", width])

    # ------------------------------------------------------------------ arithmetic

    def weight(self, name: str, *shape: int, stored_as: tuple[int, ...] | None = None) -> Value:
        return self.graph.weight(name, self.weights.take(name, shape, stored_as))

    def constant(self, values: NDArray[np.float64]) -> Value:
        return self.graph.constant(values.astype(np.float32))

    def number(self, value: float) -> Value:
        return self.graph.constant(np.array(value, np.float32))

    def matmul(self, x: Value, weight: Value) -> Value:
        stored = self.graph.weights.get(weight.name)
        return self.graph.add("Gemm", x, weight, width=0 if stored is None else len(stored), transB=1)

    def rows(self, table: Value, index: Value) -> Value:
        return self.graph.add("Gather", table, index)

    def mean(self, x: Value) -> Value:
        return self.graph.add("ReduceMean", x, self.axes(-1))

    def sqrt(self, x: Value) -> Value:
        return self.graph.add("Sqrt", x)

    def erf(self, x: Value) -> Value:
        return self.graph.add("Erf", x)

    def tanh(self, x: Value) -> Value:
        return self.graph.add("Tanh", x)

    def relu(self, x: Value) -> Value:
        return self.graph.add("Relu", x)

    def log1p(self, x: Value) -> Value:
        return self.graph.add("Log", x + self.number(1))

    # ------------------------------------------------------------------ columns

    def split(self, x: Value, parts: int) -> list[Value]:
        width = _width(x) // parts
        return [
            self.graph.add(
                "Slice", x, self.axes(n * width), self.axes((n + 1) * width), self.axes(1), width=width
            )
            for n in range(parts)
        ]  # fmt: skip

    def reshape(self, x: Value, width: int) -> Value:
        return self.graph.add("Reshape", x, self.axes(-1, width), width=width)

    def repeat(self, x: Value, size: int, times: int) -> Value:
        width = _width(x)
        which = self.graph.constant(np.repeat(np.arange(width // size, dtype=np.int32), times))
        blocks = self.graph.add("Reshape", x, self.axes(-1, width // size, size))
        return self.reshape(self.graph.add("Gather", blocks, which, axis=1), width * times)

    def rope(self, x: Value, cos: Value, sin: Value, size: int) -> Value:
        width, half = _width(x), size // 2
        heads = self.graph.add("Reshape", x, self.axes(-1, width // size, size))
        a, b = (self.graph.add("Slice", heads, self.axes(n), self.axes(n + half), self.axes(2)) for n in (0, half))
        cos, sin = (self.graph.add("Unsqueeze", turn, self.axes(1)) for turn in (cos, sin))
        return self.reshape(self.graph.add("Concat", a * cos - b * sin, b * cos + a * sin, axis=2), width)

    # ------------------------------------------------------------------ per item

    def attention(
        self, q: Value, k: Value, v: Value, heads: int, *, one_query: bool = False, causal: bool = False,
        window: int = 0, bias: Value | None = None,
    ) -> Value:  # fmt: skip
        """Spread to (items, length, width) around the attention alone, so that no other product sees padding."""
        if one_query:  # MultiHeadAttention of ONNX Runtime 1.20 gives something else for it
            return self._plain_attention(self.graph.add("Unsqueeze", q, self.axes(1)), k, v, heads)
        if self.takes_blocks(window, is_plain=not (causal or bias)):
            return self._near(q, k, v, heads)
        if causal and self.takes_turns(is_plain=not window and bias is None):
            return self._causal(q, k, v, heads)
        seen = self._seen(causal, window, bias)
        if not self.fused:
            return self.rows(self._plain_attention(self.rows(q, self.grid()), k, v, heads, seen), self.slots())
        return self._whole(q, k, v, heads, seen)

    def takes_turns(self, *, is_plain: bool) -> bool:
        """Whether causal attention of long items asks some queries at a time.

        Args:
            is_plain: neither in a window nor biased.
        """
        return self.fused and is_plain

    def _whole(self, q: Value, k: Value, v: Value, heads: int, seen: Value | None) -> Value:
        """All queries at once."""
        # what both branches read is added before them
        grid, slots, present, shape, even = self.grid(), self.slots(), self.present(), self._grid_shape(), self._even()

        def mixed(spread: Callable[[Value], Value], mask: Value | None) -> Value:
            given = (spread(q), spread(k), spread(v), None, mask, seen)  # None: biases are added already
            made = self.graph.add("MultiHeadAttention", *given, domain=FUSED, num_heads=heads, mask_filter_value=NEVER)
            return self.graph.add("Flatten", made, axis=2)  # (items * length, width)

        # without a mask ONNX Runtime never holds the (length, length) table, and nothing is gathered
        return self.graph.either(
            even,
            lambda: mixed(lambda x: self.graph.add("Reshape", x, shape), None),
            lambda: self.rows(mixed(lambda x: self.rows(x, grid), present), slots),
        )

    def _causal(self, q: Value, k: Value, v: Value, heads: int) -> Value:
        """All queries at once, or of long items some at a time: with a mask a table of them and all keys is held."""
        add = self.graph.add
        ladder, grid = self.ladder(), self.grid()
        self.slots(), self.present(), self._grid_shape(), self._even()  # what both branches read is added before them
        length = self.once("length", lambda: add("Size", ladder))
        is_long = self.once("is long", lambda: add("Greater", length, self.axes(AT_ONCE)))
        few = self.once("few", lambda: add("Slice", ladder, self.axes(0), self.axes(AT_ONCE), self.axes(0)))
        unseen = self.once("unseen", lambda: self._ahead(few, few))
        turns = self.once("turns", lambda: add("Squeeze", (length + self.axes(TURN - 1)) / self.axes(TURN)))
        places = self.once("places of turns", lambda: self._places_of_turns(length, turns))

        def by_turns() -> Value:
            queries, keys, values = (self.rows(x, grid) for x in (q, k, v))  # (items, length, width)

            def turn(number: Value) -> Value:
                first = add("Cast", number, to=TensorProto.INT32) * self._int(TURN)
                asking = first + self.graph.constant(np.arange(TURN, dtype=np.int32))
                asking = add("Min", asking, add("ReduceMax", ladder))  # beyond the end the last one asks again
                given = (add("Gather", queries, asking, axis=1), keys, values, None, None, self._ahead(ladder, asking))
                return add("MultiHeadAttention", *given, domain=FUSED, num_heads=heads)

            stacked = add("Transpose", self.graph.stacked(turns, turn), perm=[1, 0, 2, 3])
            return self.rows(add("Flatten", stacked, axis=3), places)

        return self.graph.either(is_long, by_turns, lambda: self._whole(q, k, v, heads, unseen))

    def _ahead(self, keys: Value, queries: Value) -> Value:
        """(1, 1, queries, keys) 0, or so little that softmax makes it 0, where a key stands behind its query."""
        apart = self.graph.add("Unsqueeze", keys, self.axes(0)) - self.graph.add("Unsqueeze", queries, self.axes(1))
        return self._unseen("causal", apart, 0)

    def _places_of_turns(self, length: Value, turns: Value) -> Value:
        """(tokens,) as `slots`, where items are filled up to whole turns."""
        whole, width = (self.graph.add("Cast", x, to=TensorProto.INT32) for x in (turns, length))
        return self.slots() + (self.slots() / width) * (whole * self._int(TURN) - width)

    def _near(self, q: Value, k: Value, v: Value, heads: int) -> Value:
        """In blocks: (blocks, queries, width) sees (blocks, keys, width)."""
        queries, keys = (self._given(name, "blocks", name) for name in ("near_queries", "near_keys"))
        slots = self._given("near_slots", "tokens")
        mask = self.graph.input("near_mask", TensorProto.FLOAT, ["blocks", 1, "near_queries", "near_keys"])
        shape = self.once("block shape", lambda: self._with_width(queries))

        def mixed(asking: Value, *asked: Value) -> Value:
            given = (asking, *asked, None, None, mask)
            made = self.graph.add("MultiHeadAttention", *given, domain=FUSED, num_heads=heads)
            return self.graph.add("Flatten", made, axis=2)

        # items of one length, each of them one block: the packed rows are the blocks'
        return self.graph.either(
            self.once("uncut", lambda: self._equal_sizes(keys, slots)),
            lambda: mixed(*(self.graph.add("Reshape", x, shape) for x in (q, k, v))),
            lambda: self.rows(mixed(self.rows(q, queries), self.rows(k, keys), self.rows(v, keys)), slots),
        )

    def _seen(self, causal: bool, window: int, bias: Value | None) -> Value | None:
        """What is added to the logits of all items: (1, 1 or heads, length, length); None for nothing."""
        if not (causal or window or bias):
            return None
        apart = self.once("apart", self._apart)
        seen: Value | None = None
        for rule, reach in (("causal", 0), ("window", window)):
            if (rule == "causal" and causal) or (rule == "window" and window):
                part = self.once(f"{rule} {reach}", lambda rule=rule, reach=reach: self._unseen(rule, apart, reach))  # type: ignore[misc]
                seen = part if seen is None else seen + part
        if bias:
            reach = self.graph.length(bias) // 2
            # a consumer may pad to more places than an item can have tokens
            near = self.graph.add("Clip", apart, self._int(-reach), self._int(reach))
            table = self.graph.add("Gather", bias, near + self._int(reach))  # (length, length, heads)
            added = self.graph.add("Unsqueeze", self.graph.add("Transpose", table, perm=[2, 0, 1]), self.axes(0))
            seen = added if seen is None else seen + added
        return seen

    def _apart(self) -> Value:
        """(length, length) j - i."""
        keys, queries = (self.graph.add("Unsqueeze", self.ladder(), self.axes(axis)) for axis in (0, 1))
        return keys - queries

    def _unseen(self, rule: str, apart: Value, reach: int) -> Value:
        """(1, 1, length, length) 0, or so little that softmax makes it 0."""
        far = self.graph.add("Abs", apart) if rule == "window" else apart
        is_far = self.graph.add("Cast", self.graph.add("Greater", far, self._int(reach)), to=TensorProto.FLOAT)
        return self.graph.add("Unsqueeze", is_far * self.number(NEVER), self.axes(0, 1))

    def each(self, row: Value) -> Value:
        return self.rows(row, self.firsts() - self.firsts())

    def pool(self, x: Value, how: Pooling) -> Value:
        match how:
            case "cls":
                return self.rows(x, self.firsts())
            case "last":
                return self.rows(x, self.lasts())
            case "mean":
                mixed = self.graph.add("MatMul", self._shares(), self.rows(x, self.grid()))  # (items, 1, width)
                return self.graph.add("Squeeze", mixed, self.axes(1))
            case "max":
                mask = self.graph.add("Squeeze", self.mask(), self.axes(1, 2))  # (items, length)
                spread = self.rows(x, self.grid()) + self.graph.add("Unsqueeze", mask, self.axes(2))
                return self.graph.add("ReduceMax", spread, self.axes(1), keepdims=0)

    # ------------------------------------------------------------------ fused forms

    def linear(self, x: Value, at: str, wide: int, out: int, *, bias: bool = True) -> Value:
        given = [self.weight(f"{at}.weight", out, wide), *([self.weight(f"{at}.bias", out)] if bias else [])]
        return self.graph.add("Gemm", x, *given, width=out, transB=1)

    def peaks(self, x: Value, name: str, wide: int, out: int) -> Value:
        """Parts of a tensor that is there once: it may be the table that ids are looked up in, too."""
        table, add = self.weight(name, out, wide), self.graph.add
        starts = range(0, out, PEAK_ROWS)
        parts = [add("Slice", table, self.axes(n), self.axes(min(n + PEAK_ROWS, out)), self.axes(0)) for n in starts]
        return add("Concat", *(self.pool(self.matmul(x, part), "max") for part in parts), axis=1, width=out)

    def layer_norm(self, x: Value, at: str, width: int, eps: float, *, bias: bool = True) -> Value:
        given = [self.weight(f"{at}.weight", width), *([self.weight(f"{at}.bias", width)] if bias else [])]
        # on a processor SkipLayerNormalization is slower than this with an Add before it: 8 % of MiniLM, 1.31
        return self.graph.add("LayerNormalization", x, *given, axis=-1, epsilon=eps, width=width)

    def gelu(self, x: Value) -> Value:
        return self.graph.add("Gelu", x, domain=FUSED) if self.fused else super().gelu(x)

    def gelu_tanh(self, x: Value) -> Value:
        return self.graph.add("FastGelu", x, domain=FUSED) if self.fused else super().gelu_tanh(x)

    # ------------------------------------------------------------------

    def axes(self, *places: int) -> Value:
        """Axes or a shape as an input of a node."""
        return self.graph.constant(np.array(places, np.int64))

    def once(self, name: str, make: Callable[[], Value]) -> Value:
        """What several places read and one node makes."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    def _given(self, name: str, *shape: str) -> Value:
        return self.graph.input(name, TensorProto.INT32, shape)

    def _int(self, value: int) -> Value:
        return self.graph.constant(np.array(value, np.int32))

    def _even(self) -> Value:
        """Whether all items are of one length, so that the packed rows are the grid's."""
        grid, slots = self.grid(), self.slots()
        return self.once("even", lambda: self._equal_sizes(grid, slots))

    def _equal_sizes(self, one: Value, other: Value) -> Value:
        return self.graph.add("Equal", self.graph.add("Size", one), self.graph.add("Size", other))

    def _grid_shape(self) -> Value:
        grid = self.grid()
        return self.once("grid shape", lambda: self._with_width(grid))

    def _with_width(self, rows: Value) -> Value:
        """The shape of what is gathered by these rows."""
        return self.graph.add("Concat", self.graph.add("Shape", rows), self.axes(-1), axis=0)

    def _shares(self) -> Value:
        """(items, 1, length) what each place counts for in the mean: softmax of 0 and next to nothing."""
        return self.once(
            "shares", lambda: self.graph.add("Softmax", self.graph.add("Squeeze", self.mask(), self.axes(1)), axis=-1)
        )

    def _plain_attention(self, q: Value, k: Value, v: Value, heads: int, seen: Value | None = None) -> Value:
        """(items, queries, width), and packed keys and values -> (items * queries, width)."""
        width = _width(k)
        shape = self.axes(0, 0, heads, width // heads)

        def by_head(x: Value, order: list[int]) -> Value:
            return self.graph.add("Transpose", self.graph.add("Reshape", x, shape), perm=order)

        q = by_head(q, [0, 2, 1, 3]) * self.number((width // heads) ** -0.5)
        k, v = by_head(self.rows(k, self.grid()), [0, 2, 3, 1]), by_head(self.rows(v, self.grid()), [0, 2, 1, 3])
        mask = self.mask() + seen if seen else self.mask()
        shares = self.graph.add("Softmax", self.graph.add("MatMul", q, k) + mask, axis=-1)
        together = self.graph.add("Transpose", self.graph.add("MatMul", shares, v), perm=[0, 2, 1, 3])
        return self.graph.add("Reshape", together, self.axes(-1, width))


def _width(x: Value) -> int:
    """Of the last axis."""
    assert x.width, "it comes from a product, or from what keeps its width"
    return x.width
