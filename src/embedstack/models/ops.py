"""What models are written in: some primitives that a runtime must have, and composites written once over them.

Everything is packed: `x` is (tokens, width), the items of a batch laid end to end; a picture's patches are tokens, too.
Only `positions`, `attention`, `pool` and `each` know where an item begins. A runtime may override a composite with its
own fused form; `check_ops` compares every operation of every runtime with numpy in float64.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from embedstack.models.weights import Weights
from embedstack.modelspec import Activation, Pooling
from embedstack.types import Floats

if TYPE_CHECKING:
    from typing_extensions import Self


class Tensor(Protocol):
    """A value in a runtime: an array, or a node of a graph that is being built. Shapes broadcast as numpy's do."""

    def __add__(self, other: Self) -> Self: ...
    def __sub__(self, other: Self) -> Self: ...
    def __mul__(self, other: Self) -> Self: ...
    def __truediv__(self, other: Self) -> Self: ...


X = TypeVar("X", bound=Tensor)


class Expression(Protocol):
    """Something written in operations, whichever runtime they are of."""

    def __call__(self, ops: Ops[X]) -> X: ...


class At(str):
    """A place in the weights file: `At("encoder.layer.0") / "output.dense"`."""

    __slots__ = ()

    def __truediv__(self, below: str) -> At:
        return At(f"{self}.{below}" if self and not self.endswith(".") else f"{self}{below}")


class Ops(ABC, Generic[X]):
    """The operations over one batch. Primitives first; a runtime implements those and may override the rest."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    # ------------------------------------------------------------------ primitives: inputs

    @abstractmethod
    def weight(self, name: str, *shape: int, stored_as: tuple[int, ...] | None = None) -> X:
        """A tensor of the file; the shape is part of the wish, so that a wrong file is refused.

        Args:
            stored_as: the shape in the file where it is another one of as many numbers, as a convolution's kernel has.
        """

    @abstractmethod
    def constant(self, values: NDArray[np.float64]) -> X:
        """What is computed while the graph is built, in the runtime's own precision."""

    @abstractmethod
    def ids(self) -> X:
        """(tokens,) token ids."""

    @abstractmethod
    def segments(self) -> X:
        """(tokens,) 0 for the first text of a pair, 1 for the second."""

    @abstractmethod
    def positions(self, offset: int) -> X:
        """(tokens,) place of each token in its own item, counted from `offset`.

        Where `offset` is not 0, the id `offset - 1` is the padding token's: it is not counted and stands at
        `offset - 1`, also where a text spells it out. Source: `create_position_ids_from_input_ids` of
        transformers 5.23, models/roberta/modeling_roberta.py.
        """

    @abstractmethod
    def patches(self, width: int) -> X:
        """(tokens, width) the pixels of each place of a picture, zeros where a place holds none."""

    # ------------------------------------------------------------------ primitives: arithmetic (and + - * /)

    @abstractmethod
    def number(self, value: float) -> X:
        """A constant, which a graph holds in its own precision."""

    @abstractmethod
    def matmul(self, x: X, weight: X) -> X:
        """(tokens, in), (out, in) -> (tokens, out): a linear layer's weights lie as PyTorch stores them."""

    @abstractmethod
    def rows(self, table: X, index: X) -> X:
        """(rows, width), (n,) -> (n, width)."""

    @abstractmethod
    def mean(self, x: X) -> X:
        """(n, width) -> (n, 1)."""

    @abstractmethod
    def sqrt(self, x: X) -> X: ...

    @abstractmethod
    def erf(self, x: X) -> X: ...

    @abstractmethod
    def tanh(self, x: X) -> X: ...

    @abstractmethod
    def relu(self, x: X) -> X: ...

    @abstractmethod
    def log1p(self, x: X) -> X:
        """log(1 + x)."""

    # ------------------------------------------------------------------ primitives: columns

    @abstractmethod
    def split(self, x: X, parts: int) -> list[X]:
        """(n, parts * width) -> so many of (n, width), side by side."""

    @abstractmethod
    def reshape(self, x: X, width: int) -> X:
        """(n, k * width) -> (n * k, width) and back: numbers keep their order."""

    @abstractmethod
    def repeat(self, x: X, size: int, times: int) -> X:
        """(n, k * size) -> (n, k * times * size): each block of `size` columns, so many times side by side."""

    @abstractmethod
    def rope(self, x: X, cos: X, sin: X, size: int) -> X:
        """(n, heads * size), and (n, size / 2) twice: each head (a, b) becomes (a cos - b sin, b cos + a sin).

        `a` and `b` are the halves of a head. Source: arXiv:2104.09864, in the form of transformers' `rotate_half`.
        """

    # ------------------------------------------------------------------ primitives: per item

    @abstractmethod
    def attention(
        self, q: X, k: X, v: X, heads: int, *, one_query: bool = False, causal: bool = False,
        window: int = 0, bias: X | None = None,
    ) -> X:  # fmt: skip
        """(tokens, width) each -> (tokens, width): softmax(q k^T / sqrt(width / heads)) v within each item.

        Args:
            one_query: `q` and the result are (items, width): each item asks once, and sees all its tokens.
            causal: a token sees itself and those before it.
            window: a token sees those at most so many places away; 0 for all.
            bias: (2 * reach + 1, heads), added to the logits: row j - i + reach for query i and key j.

        With `one_query` there is no window and no bias.

        Source: arXiv:1706.03762, section 3.2.
        """

    @abstractmethod
    def pool(self, x: X, how: Pooling) -> X:
        """(tokens, width) -> (items, width): the first token, the last, the mean or the maximum of each item."""

    @abstractmethod
    def each(self, row: X) -> X:
        """(1, width) -> (items, width): the same row for every item."""

    # ------------------------------------------------------------------ composites

    def linear(self, x: X, at: str, wide: int, out: int, *, bias: bool = True) -> X:
        """(tokens, wide) -> (tokens, out) with the weight, and the bias if it has one, that lie at `at`."""
        made = self.matmul(x, self.weight(f"{at}.weight", out, wide))
        return made + self.weight(f"{at}.bias", out) if bias else made

    def linears(self, x: X, ats: Sequence[str], wide: int, out: int, *, bias: bool = True) -> list[X]:
        """Several linear layers of one shape over the same input; a runtime may make them one product."""
        return [self.linear(x, at, wide, out, bias=bias) for at in ats]

    def peaks(self, x: X, name: str, wide: int, out: int) -> X:
        """(tokens, wide) -> (items, out): for each row of a tensor its largest product with a token of the item.

        A runtime makes them a part of the rows at a time: over a vocabulary all products of a batch are hundreds of MB.
        """
        return self.pool(self.matmul(x, self.weight(name, out, wide)), "max")

    def layer_norm(self, x: X, at: str, width: int, eps: float, *, bias: bool = True) -> X:
        """Each row to mean 0 and variance 1, then scaled and shifted. Source: arXiv:1607.06450."""
        centred = x - self.mean(x)
        unit = centred / self.sqrt(self.mean(centred * centred) + self.number(eps))
        scaled = unit * self.weight(f"{at}.weight", width)
        return scaled + self.weight(f"{at}.bias", width) if bias else scaled

    def rms_norm(self, x: X, at: str, width: int, eps: float, *, heads: int = 1) -> X:
        """(n, heads * width): each head divided by its root mean square, then scaled. Source: arXiv:1910.07467."""
        rows = self.reshape(x, width) if heads > 1 else x
        unit = rows / self.sqrt(self.mean(rows * rows) + self.number(eps))
        scaled = unit * self.weight(f"{at}.weight", width)
        return self.reshape(scaled, heads * width) if heads > 1 else scaled

    def angles(self, base: float, size: int, positions: int, *, factor: float = 1.0) -> tuple[X, X]:
        """(tokens, size / 2) cosines and sines for `rope`, by each token's place in its item.

        Angles are products of float32 numbers, as they were when the models were trained: in float64 they would be
        another 0.0005 at position 8,000. Source: `compute_default_rope_parameters` of transformers 5.23.

        Args:
            base: theta.
            positions: of the longest item.
            factor: what the speeds are divided by, as NTK scaling does.
        """
        speeds = turning_speeds(base, size, factor)
        turns = (np.arange(positions, dtype=np.float32)[:, None] * speeds).astype(np.float64)
        places = self.positions(0)
        return self.rows(self.constant(np.cos(turns)), places), self.rows(self.constant(np.sin(turns)), places)

    def activate(self, x: X, name: Activation) -> X:
        """The activation that config.json names."""
        match name:
            case "gelu":
                return self.gelu(x)
            case "gelu_tanh":
                return self.gelu_tanh(x)
            case "relu":
                return self.relu(x)
            case "silu":
                return self.silu(x)
            case "quick_gelu":
                return self.quick_gelu(x)
            case "tanh":
                return self.tanh(x)

    def gelu(self, x: X) -> X:
        """x * Phi(x), exactly. Source: arXiv:1606.08415."""
        return x * self.number(0.5) * (self.erf(x * self.number(math.sqrt(0.5))) + self.number(1))

    def gelu_tanh(self, x: X) -> X:
        """The tanh approximation of gelu, `gelu_new` in transformers. Source: arXiv:1606.08415, section 2."""
        inner = (x + x * x * x * self.number(0.044715)) * self.number(math.sqrt(2 / math.pi))
        return x * self.number(0.5) * (self.tanh(inner) + self.number(1))

    def silu(self, x: X) -> X:
        """x * sigmoid(x)."""
        return x * self.sigmoid(x)

    def quick_gelu(self, x: X) -> X:
        """x * sigmoid(1.702 x), an approximation of gelu. Source: arXiv:1606.08415, section 2."""
        return x * self.sigmoid(x * self.number(1.702))

    def sigmoid(self, x: X) -> X:
        """(1 + tanh(x / 2)) / 2, which cannot overflow."""
        half = self.number(0.5)
        return half * (self.tanh(x * half) + self.number(1))


def turning_speeds(base: float, size: int, factor: float = 1.0) -> Floats:
    """(size / 2,) radians from one place to the next, for `Ops.angles`."""
    powers = np.float32(base) ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))
    return np.asarray(np.float32(1) / powers / np.float32(factor), np.float32)
