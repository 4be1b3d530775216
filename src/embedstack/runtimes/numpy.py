"""The truth: the same graph in float64, without a trick that could change a number. Every runtime is judged by it.

A batch goes through layer by layer, so each weight is read and widened once, however many items there are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import ConfigError
from embedstack.models import family, outputs
from embedstack.models.ops import Expression, Ops, turning_speeds
from embedstack.models.weights import Weights
from embedstack.modelspec import Activation, ModelSpec, Output, Pooling, Precision
from embedstack.runtimes import AUTO, Options
from embedstack.runtimes.erf import erf
from embedstack.runtimes.failures import closed, not_run, require_known
from embedstack.runtimes.layout import given_for, patches_of, smallest
from embedstack.runtimes.processor import require_processor
from embedstack.types import Batch, Floats, Vectors

Array = NDArray[np.float64]
BLOCK = 1 << 22  # numbers of one intermediate (32 MB): what a long item needs beside its rows is bounded by it
ONE_THREAD = (
    1 << 18
)  # multiplications of a product for which OpenBLAS starts no second thread, GEMM_MULTITHREAD_THRESHOLD
FEW = 8  # queries; fewer at a time would cost more than the threads do


def _nothing() -> None:
    """Nobody watches."""


class NumpyOps(Ops[Array]):
    """Operations that are done at once, on arrays."""

    def __init__(self, weights: Weights, batch: Batch, on_weight: Callable[[], object] = _nothing) -> None:
        super().__init__(weights)
        self._batch = batch
        self._on_weight = on_weight

    def weight(self, name: str, *shape: int, stored_as: tuple[int, ...] | None = None) -> Array:
        """The window into the file: float32, which every operation widens exactly.

        Raises:
            ConfigError: it holds not a number or infinity.
        """
        self._on_weight()
        values = self.weights.take(name, shape, stored_as)
        if not np.isfinite(values.sum(dtype=np.float64)):
            raise ConfigError(f"{name!r} holds a number that is not finite; the file is broken, pull the model again")
        return values  # type: ignore[return-value]

    def constant(self, values: Array) -> Array:
        return values

    def ids(self) -> Array:
        return self._batch.ids  # type: ignore[return-value]

    def segments(self) -> Array:
        return self._batch.segments  # type: ignore[return-value]

    def positions(self, offset: int) -> Array:
        if not offset:
            return np.concatenate([np.arange(b - a) for a, b in self._spans()])
        counted = [self._batch.ids[a:b] != offset - 1 for a, b in self._spans()]
        return np.concatenate([(offset - 1) + np.cumsum(real) * real for real in counted])

    def patches(self, width: int) -> Array:
        return np.asarray(patches_of(self._batch, width), np.float64)

    def number(self, value: float) -> Array:
        return np.array(value)

    def matmul(self, x: Array, weight: Array) -> Array:
        return np.asarray(np.matmul(x, weight.T, dtype=np.float64))

    def rows(self, table: Array, index: Array) -> Array:
        return np.asarray(table[index], np.float64)

    def mean(self, x: Array) -> Array:
        mean: Array = x.mean(axis=-1, keepdims=True)
        return mean

    def sqrt(self, x: Array) -> Array:
        return np.sqrt(x)

    def erf(self, x: Array) -> Array:
        return erf(x)

    def tanh(self, x: Array) -> Array:
        return np.tanh(x)

    def relu(self, x: Array) -> Array:
        return np.maximum(x, 0.0)

    def log1p(self, x: Array) -> Array:
        return np.log1p(x)

    def split(self, x: Array, parts: int) -> list[Array]:
        return np.split(x, parts, axis=1)

    def reshape(self, x: Array, width: int) -> Array:
        return x.reshape(-1, width)

    def repeat(self, x: Array, size: int, times: int) -> Array:
        return np.repeat(x.reshape(len(x), -1, size), times, axis=1).reshape(len(x), -1)

    def rope(self, x: Array, cos: Array, sin: Array, size: int) -> Array:
        a, b = np.split(x.reshape(len(x), -1, size), 2, axis=2)
        cos, sin = cos[:, None], sin[:, None]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=2).reshape(x.shape)

    def attention(
        self, q: Array, k: Array, v: Array, heads: int, *, one_query: bool = False, causal: bool = False,
        window: int = 0, bias: Array | None = None,
    ) -> Array:  # fmt: skip
        rule = Rule(causal and not one_query, window, bias)
        spans = enumerate(self._spans())
        asked = ((q[n : n + 1] if one_query else q[a:b], k[a:b], v[a:b]) for n, (a, b) in spans)
        return np.concatenate([_attend(*each, heads, rule) for each in asked])

    def angles(self, base: float, size: int, positions: int, *, factor: float = 1.0) -> tuple[Array, Array]:
        """Only of the places that there are."""
        turns = self.positions(0).astype(np.float32)[:, None] * turning_speeds(base, size, factor)
        wide = turns.astype(np.float64)
        return np.cos(wide), np.sin(wide)

    def activate(self, x: Array, name: Activation) -> Array:
        """In blocks of rows: what is computed on the way is several times as large as the rows."""
        rows = max(1, BLOCK // x.shape[1])
        return np.concatenate([super(NumpyOps, self).activate(part, name) for part in _blocks(x, rows)])

    def pool(self, x: Array, how: Pooling) -> Array:
        pools = {
            "cls": lambda t: t[0],
            "last": lambda t: t[-1],
            "mean": lambda t: t.mean(axis=0),
            "max": lambda t: t.max(axis=0),
        }
        return np.stack([pools[how](x[a:b]) for a, b in self._spans()])

    def peaks(self, x: Array, name: str, wide: int, out: int) -> Array:
        """So many rows at a time that their products fit a block."""
        blocks = _blocks(self.weight(name, out, wide), max(1, BLOCK // len(x)))
        return np.concatenate([self.pool(self.matmul(x, rows), "max") for rows in blocks], axis=1)

    def each(self, row: Array) -> Array:
        return np.repeat(row, len(self._batch), axis=0)

    def _spans(self) -> Iterator[tuple[int, int]]:
        ends = self._batch.offsets.tolist()
        return pairwise(ends)


def _blocks(x: Array, rows: int) -> Iterator[Array]:
    return (x[start : start + rows] for start in range(0, len(x), rows))


@dataclass(frozen=True, slots=True)
class Rule:
    """Which tokens see each other, and what is added to their logits; see `Ops.attention`."""

    causal: bool
    window: int
    bias: Array | None

    def apply(self, logits: Array, first: int, head: int) -> None:
        """To (queries, keys), the first query being the item's token number `first`."""
        if not (self.causal or self.window or self.bias is not None):
            return
        apart = np.arange(logits.shape[1]) - np.arange(first, first + len(logits))[:, None]  # j - i
        if self.bias is not None:
            logits += self.bias[apart + len(self.bias) // 2, head]
        if self.causal:
            logits[apart > 0] = -np.inf
        if self.window:
            logits[np.abs(apart) > self.window] = -np.inf


EVERYTHING = Rule(causal=False, window=0, bias=None)


def _attend(q: Array, k: Array, v: Array, heads: int, rule: Rule = EVERYTHING) -> Array:
    """One head at a time, and so many queries at a time that their logits fit a block.

    Of a short item so few that one thread does each product: on a busy machine waiting for a second one was measured
    at 20 times the product's own time.
    """
    size = q.shape[1] // heads
    made = np.empty_like(q)
    queries = ONE_THREAD // (len(k) * size)
    queries = queries if queries >= FEW else max(1, BLOCK // len(k))
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        rows = [
            _shares(q[first : first + queries, part], k[:, part], rule, first, head) @ v[:, part]
            for first in range(0, len(q), queries)
        ]
        made[:, part] = np.concatenate(rows)
    return made


def _shares(q: Array, k: Array, rule: Rule, first: int, head: int) -> Array:
    logits = q @ k.T / np.sqrt(q.shape[1])
    rule.apply(logits, first, head)
    logits -= logits.max(axis=-1, keepdims=True)
    shares: Array = np.exp(logits, out=logits)
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


class NumpyRuntime:
    """Batches through numpy; reads the weights from the map at each run, so it keeps almost nothing in memory."""

    lanes = 1
    precision: Precision = "float64"
    device = "cpu"
    calibration = ""
    reason = "numpy computes in float64"

    def __init__(self, spec: ModelSpec, weights: Weights, options: Options = AUTO) -> None:
        require_processor("numpy", options.device)
        if options.precision not in ("auto", "float64"):
            raise ConfigError(
                f"precision {options.precision!r} is not for the numpy runtime, which has float64; leave it at auto"
            )
        self._spec = spec
        self._weights: Weights | None = weights  # None once it is closed
        for one in smallest(spec):  # reads every tensor, so that what is left over shows now
            self.run(one, given_for(spec, one))
        weights.refuse_leftovers(family(spec).unread)

    def ready(self, outputs: frozenset[Output]) -> None:
        """See Runtime; the start made everything."""

    def run(self, batch: Batch, wanted: frozenset[Output], on_weight: Callable[[], object] = _nothing) -> Vectors:
        """See Runtime; `on_weight` is called for each tensor that is read, for those who wait."""
        if self._weights is None:
            raise closed()
        require_known(batch, self._spec)
        try:
            ops = NumpyOps(self._weights, batch, on_weight)
            made = outputs(ops, self._spec, wanted, prune=False, image=batch.patches is not None)
        except (IndexError, MemoryError) as error:
            raise not_run(f"numpy could not run a batch of {len(batch.ids)} tokens", error) from error
        return {name: value.astype(np.float32) for name, value in made.items()}

    def close(self) -> None:
        """See Runtime."""
        self._weights = None

    @staticmethod
    def evaluate(expression: Expression, weights: Weights, batch: Batch) -> Floats:
        """See OpenRuntime."""
        return expression(NumpyOps(weights, batch)).astype(np.float32)
