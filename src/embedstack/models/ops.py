"""What models are written in: some primitives that a runtime must have, and composites written once over them.

Everything is packed: `x` is (tokens, width), the items of a batch laid end to end. Only `positions`, `attention` and
`pool` know where an item begins. A runtime may override a composite with its own fused form; `check_ops` compares
every operation of every runtime with numpy in float64.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from embedstack.models.weights import Weights
from embedstack.types import Activation, Pooling

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
    def weight(self, name: str, *shape: int) -> X:
        """A tensor of the file; the shape is part of the wish, so that a wrong file is refused."""

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

    # ------------------------------------------------------------------ primitives: per item

    @abstractmethod
    def attention(self, q: X, k: X, v: X, heads: int, *, one_query: bool = False) -> X:
        """(tokens, width) each -> (tokens, width): softmax(q k^T / sqrt(width / heads)) v within each item.

        With `one_query`, `q` and the result are (items, width): each item asks once.

        Source: arXiv:1706.03762, section 3.2.
        """

    @abstractmethod
    def pool(self, x: X, how: Pooling) -> X:
        """(tokens, width) -> (items, width): the first token, the last, the mean or the maximum of each item."""

    # ------------------------------------------------------------------ composites

    def linear(self, x: X, at: str, wide: int, out: int) -> X:
        """(tokens, wide) -> (tokens, out) with the weight and bias that lie at `at`."""
        return self.matmul(x, self.weight(f"{at}.weight", out, wide)) + self.weight(f"{at}.bias", out)

    def linears(self, x: X, ats: Sequence[str], wide: int, out: int) -> list[X]:
        """Several linear layers of one shape over the same input; a runtime may make them one product."""
        return [self.linear(x, at, wide, out) for at in ats]

    def layer_norm(self, x: X, at: str, width: int, eps: float) -> X:
        """Each row to mean 0 and variance 1, then scaled and shifted. Source: arXiv:1607.06450."""
        centred = x - self.mean(x)
        unit = centred / self.sqrt(self.mean(centred * centred) + self.number(eps))
        return unit * self.weight(f"{at}.weight", width) + self.weight(f"{at}.bias", width)

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
        """x * sigmoid(x), and sigmoid(x) = (1 + tanh(x / 2)) / 2, which cannot overflow."""
        half = self.number(0.5)
        return x * half * (self.tanh(x * half) + self.number(1))
