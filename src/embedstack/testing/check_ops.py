"""A runtime's name becomes a list of operations that differ from numpy's in float64."""

from collections.abc import Mapping, Sequence

import numpy as np

from embedstack.models.ops import Expression, Ops, X
from embedstack.models.stored import Stored
from embedstack.models.weights import Weights
from embedstack.runtimes import open_runtime
from embedstack.types import Activation, Batch, Floats, Pooling

WIDTH, WIDE, VOCAB, PAD = 16, 24, 50, 7
LENGTHS = (1, 9, 2, 9, 5)
TOLERANCE = 2e-6  # of the largest number: some ten roundings of float32


def check_ops(runtime: str, lengths: Sequence[int] = LENGTHS) -> list[str]:
    """Every primitive and every composite over a ragged batch; an empty list is a pass."""
    weights, batch = _weights(), _batch(lengths)
    judge, made = open_runtime("numpy"), open_runtime(runtime)
    broken = []
    for name, expression in EXPRESSIONS.items():
        wanted = judge.evaluate(expression, weights, batch)
        given = made.evaluate(expression, weights, batch)
        if given.shape != wanted.shape:
            broken.append(f"{name}: the shape is {given.shape}, numpy gives {wanted.shape}")
        elif not (off := _off(given, wanted)) <= TOLERANCE:  # not a number fails too
            broken.append(f"{name}: differs by {off:.2e} of the largest number, {TOLERANCE:.0e} is allowed")
    return broken


def _off(given: Floats, wanted: Floats) -> float:
    return float(np.abs(given - wanted).max() / np.abs(wanted).max())


def _batch(lengths: Sequence[int]) -> Batch:
    draw = np.random.default_rng(1)
    tokens = sum(lengths)
    offsets = np.cumsum([0, *lengths]).astype(np.int32)
    ids = draw.integers(0, VOCAB, tokens, np.int32)
    ids[::5] = PAD
    return Batch(ids, draw.integers(0, 2, tokens, np.int32), offsets)


def _weights() -> Weights:
    draw = np.random.default_rng(2)
    shapes: dict[str, tuple[int, ...]] = {
        "words.weight": (VOCAB, WIDTH),
        "kinds.weight": (2, WIDTH),
        "places.weight": (40, WIDTH),
    }
    for name in ("q", "k", "v"):
        shapes |= {f"{name}.weight": (WIDTH, WIDTH), f"{name}.bias": (WIDTH,)}
    shapes |= {"up.weight": (WIDE, WIDTH), "up.bias": (WIDE,), "norm.weight": (WIDTH,), "norm.bias": (WIDTH,)}
    drawn = {name: draw.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    return Weights({name: Stored("float32", values) for name, values in drawn.items()}, "drawn from a seed")


def _x(ops: Ops[X]) -> X:
    """(tokens, WIDTH), each row another one."""
    return ops.rows(ops.weight("words.weight", VOCAB, WIDTH), ops.ids()) + ops.rows(
        ops.weight("places.weight", 40, WIDTH), ops.positions(3)
    )


def _activation(name: Activation) -> Expression:
    def expression(ops: Ops[X]) -> X:
        return ops.activate(_x(ops), name)

    return expression


def _pool(how: Pooling) -> Expression:
    def expression(ops: Ops[X]) -> X:
        return ops.pool(_x(ops), how)

    return expression


def _attention(ops: Ops[X]) -> X:
    q, k, v = ops.linears(_x(ops), ["q", "k", "v"], WIDTH, WIDTH)
    return ops.attention(q, k, v, 4)


def _attention_once(ops: Ops[X]) -> X:
    """Each item asks with its last row."""
    q, k, v = ops.linears(_x(ops), ["q", "k", "v"], WIDTH, WIDTH)
    return ops.attention(ops.pool(q, "last"), k, v, 4, one_query=True)


def _positions(ops: Ops[X]) -> X:
    """Counted from 8, so that the id 7 is the padding token's."""
    return ops.rows(ops.weight("places.weight", 40, WIDTH), ops.positions(PAD + 1))


def _segments(ops: Ops[X]) -> X:
    return ops.rows(ops.weight("kinds.weight", 2, WIDTH), ops.segments())


def _matmul(ops: Ops[X]) -> X:
    return ops.matmul(_x(ops), ops.weight("up.weight", WIDE, WIDTH))


def _linear(ops: Ops[X]) -> X:
    return ops.linear(_x(ops), "up", WIDTH, WIDE)


def _layer_norm(ops: Ops[X]) -> X:
    return ops.layer_norm(_x(ops), "norm", WIDTH, 1e-3)


def _arithmetic(ops: Ops[X]) -> X:
    x = _x(ops)
    return (x * x + x * ops.number(0.5) - ops.mean(x)) / ops.sqrt(x * x + ops.number(1))


def _erf(ops: Ops[X]) -> X:
    return ops.erf(_x(ops))


def _third(ops: Ops[X]) -> X:
    """The third of three products, so that an order mixed up is seen."""
    return ops.linears(_x(ops), ["q", "k", "v"], WIDTH, WIDTH)[2]


EXPRESSIONS: Mapping[str, Expression] = {
    "rows, ids and positions": _x,
    "positions that do not count padding": _positions,
    "segments": _segments,
    "matmul": _matmul,
    "arithmetic, mean and sqrt": _arithmetic,
    "erf": _erf,
    "linear": _linear,
    "linears": _third,
    "layer_norm": _layer_norm,
    "attention": _attention,
    "attention of one query": _attention_once,
    **{f"activate {name}": _activation(name) for name in ("gelu", "gelu_tanh", "relu", "silu", "tanh")},
    **{f"pool {how}": _pool(how) for how in ("cls", "mean", "max", "last")},
}
