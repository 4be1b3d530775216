"""The truth: the same graph in float64, one item at a time, without a trick. Slow; every runtime is judged by it."""

from collections.abc import Iterator
from itertools import pairwise
from math import erf as erf_of_one

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import ConfigError
from embedstack.models import family, outputs
from embedstack.models.ops import Expression, Ops
from embedstack.models.weights import Weights
from embedstack.runtimes import AUTO, Options
from embedstack.runtimes.processor import require_processor
from embedstack.types import Batch, Floats, ModelSpec, Output, Pooling, Precision, Vectors

Array = NDArray[np.float64]


class NumpyOps(Ops[Array]):
    """Operations that are done at once, on arrays."""

    def __init__(self, weights: Weights, batch: Batch) -> None:
        super().__init__(weights)
        self._batch = batch

    def weight(self, name: str, *shape: int) -> Array:
        return self.weights.take(name, shape).astype(np.float64)

    def ids(self) -> Array:
        return self._batch.ids  # type: ignore[return-value]

    def segments(self) -> Array:
        return self._batch.segments  # type: ignore[return-value]

    def positions(self, offset: int) -> Array:
        if not offset:
            return np.concatenate([np.arange(b - a) for a, b in self._spans()])
        counted = [self._batch.ids[a:b] != offset - 1 for a, b in self._spans()]
        return np.concatenate([(offset - 1) + np.cumsum(real) * real for real in counted])

    def number(self, value: float) -> Array:
        return np.array(value)

    def matmul(self, x: Array, weight: Array) -> Array:
        product: Array = x @ weight.T
        return product

    def rows(self, table: Array, index: Array) -> Array:
        taken: Array = table[index]
        return taken

    def mean(self, x: Array) -> Array:
        mean: Array = x.mean(axis=-1, keepdims=True)
        return mean

    def sqrt(self, x: Array) -> Array:
        return np.sqrt(x)

    def erf(self, x: Array) -> Array:
        return np.asarray(_erf(x), np.float64)

    def tanh(self, x: Array) -> Array:
        return np.tanh(x)

    def relu(self, x: Array) -> Array:
        return np.maximum(x, 0.0)

    def attention(self, q: Array, k: Array, v: Array, heads: int, *, one_query: bool = False) -> Array:
        spans = enumerate(self._spans())
        asked = [(q[n : n + 1] if one_query else q[a:b], k[a:b], v[a:b]) for n, (a, b) in spans]
        return np.concatenate([_attend(*each, heads) for each in asked])

    def pool(self, x: Array, how: Pooling) -> Array:
        pools = {
            "cls": lambda t: t[0],
            "last": lambda t: t[-1],
            "mean": lambda t: t.mean(axis=0),
            "max": lambda t: t.max(axis=0),
        }
        return np.stack([pools[how](x[a:b]) for a, b in self._spans()])

    def _spans(self) -> Iterator[tuple[int, int]]:
        ends = self._batch.offsets.tolist()
        return pairwise(ends)


_erf = np.frompyfunc(erf_of_one, 1, 1)


def _attend(q: Array, k: Array, v: Array, heads: int) -> Array:
    asked, width = q.shape
    q, k, v = (x.reshape(len(x), heads, width // heads).swapaxes(0, 1) for x in (q, k, v))  # (heads, tokens, size)
    logits = q @ k.swapaxes(1, 2) / np.sqrt(width // heads)
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return np.reshape((shares @ v).swapaxes(0, 1), (asked, width))


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
        self._spec, self._weights = spec, weights
        one = Batch(np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([0, 1], np.int32))
        self.run(one, frozenset(spec.outputs))  # reads every tensor, so that what is left over shows now
        weights.refuse_leftovers(family(spec).unread)

    def run(self, batch: Batch, wanted: frozenset[Output]) -> Vectors:
        """See Runtime."""
        made = outputs(NumpyOps(self._weights, batch), self._spec, wanted, prune=False)
        return {name: value.astype(np.float32) for name, value in made.items()}

    def close(self) -> None:
        """See Runtime."""

    @staticmethod
    def evaluate(expression: Expression, weights: Weights, batch: Batch) -> Floats:
        """See Runtime."""
        return expression(NumpyOps(weights, batch)).astype(np.float32)
