"""A runtime's name becomes a list of operations that differ from numpy's in float64."""

from collections.abc import Mapping, Sequence

import numpy as np

from embedstack.models.ops import Expression, Ops, X
from embedstack.models.stored import Stored
from embedstack.models.weights import Weights
from embedstack.modelspec import Activation, Pooling
from embedstack.runtimes import open_runtime
from embedstack.runtimes.layout import PEAK_ROWS
from embedstack.types import Batch, Floats

WIDTH, WIDE, SIZE, VOCAB, PAD = 16, 24, 4, 50, 7
MANY = 2 * PEAK_ROWS + 3
LENGTHS = (1, 9, 2, 9, 5)
LONGEST = 32  # tokens of an item: positions counted from 8 end with the table's 40 rows
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
    patches = draw.normal(0, 1, (tokens, WIDE)).astype(np.float32)
    return Batch(ids, draw.integers(0, 2, tokens, np.int32), offsets, patches)


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
    shapes |= {"head.weight": (SIZE,), "row.weight": (1, WIDTH), "kernel.weight": (WIDTH, 2, 3, 4)}
    shapes |= {"joined.weight": (3 * WIDTH, WIDTH), "many.weight": (MANY, WIDTH)}
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


def _masked(causal: bool = False, window: int = 0, has_bias: bool = False) -> Expression:
    def expression(ops: Ops[X]) -> X:
        q, k, v = ops.linears(_x(ops), ["q", "k", "v"], WIDTH, WIDTH)
        table = np.random.default_rng(3).normal(0, 1, (2 * LONGEST + 1, WIDTH // SIZE))
        bias = ops.constant(table) if has_bias else None
        return ops.attention(q, k, v, WIDTH // SIZE, causal=causal, window=window, bias=bias)

    return expression


def _causal_once(ops: Ops[X]) -> X:
    """The last token sees everything."""
    q, k, v = ops.linears(_x(ops), ["q", "k", "v"], WIDTH, WIDTH)
    return ops.attention(ops.pool(q, "last"), k, v, WIDTH // SIZE, one_query=True, causal=True)


def _shared(ops: Ops[X]) -> X:
    """Two heads of keys for four of queries."""
    few = ops.linear(_x(ops), "up", WIDTH, WIDE)
    k, v, _ = ops.split(few, 3)
    q = ops.linear(_x(ops), "q", WIDTH, WIDTH) * ops.number(0.5)
    return ops.attention(q, ops.repeat(k, SIZE, 2), ops.repeat(v, SIZE, 2), WIDTH // SIZE)


def _rope(ops: Ops[X]) -> X:
    q, k, _ = ops.split(ops.linear(_x(ops), "joined", WIDTH, 3 * WIDTH, bias=False), 3)
    cos, sin = ops.angles(100.0, SIZE, 40, factor=2.0)
    return ops.rope(q, cos, sin, SIZE) + k


def _rms_norm(ops: Ops[X]) -> X:
    """Over each head, then over the whole."""
    heads = ops.rms_norm(ops.linear(_x(ops), "q", WIDTH, WIDTH), "head", SIZE, 1e-3, heads=WIDTH // SIZE)
    return ops.rms_norm(heads, "norm", WIDTH, 1e-3)


def _layer_norm_without_shift(ops: Ops[X]) -> X:
    return ops.layer_norm(_x(ops), "norm", WIDTH, 1e-3, bias=False)


def _patches(ops: Ops[X]) -> X:
    return ops.matmul(ops.patches(WIDE), ops.weight("kernel.weight", WIDTH, WIDE, stored_as=(WIDTH, 2, 3, 4)))


def _each(ops: Ops[X]) -> X:
    """One row for all items, beside what each has of its own."""
    return ops.pool(_x(ops), "mean") + ops.each(ops.weight("row.weight", 1, WIDTH))


def _log1p(ops: Ops[X]) -> X:
    return ops.log1p(ops.relu(_x(ops)))


def _reshape(ops: Ops[X]) -> X:
    return ops.reshape(ops.linear(_x(ops), "q", WIDTH, WIDTH), SIZE)


def _sigmoid(ops: Ops[X]) -> X:
    return ops.sigmoid(_x(ops))


def _without_bias(ops: Ops[X]) -> X:
    first, second = ops.linears(_x(ops), ["q", "k"], WIDTH, WIDTH, bias=False)
    return first - second


def _positions(ops: Ops[X]) -> X:
    """Counted from 8, so that the id 7 is the padding token's."""
    return ops.rows(ops.weight("places.weight", 40, WIDTH), ops.positions(PAD + 1))


def _segments(ops: Ops[X]) -> X:
    return ops.rows(ops.weight("kinds.weight", 2, WIDTH), ops.segments())


def _matmul(ops: Ops[X]) -> X:
    return ops.matmul(_x(ops), ops.weight("up.weight", WIDE, WIDTH))


def _peaks(ops: Ops[X]) -> X:
    return ops.peaks(_x(ops), "many.weight", WIDTH, MANY)


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
    "peaks": _peaks,
    "arithmetic, mean and sqrt": _arithmetic,
    "erf": _erf,
    "linear": _linear,
    "linears": _third,
    "layer_norm": _layer_norm,
    "attention": _attention,
    "attention of one query": _attention_once,
    "attention, causal": _masked(causal=True),
    "attention of one query, causal": _causal_once,
    "attention in a window": _masked(window=2),
    "attention in a window as wide as the texts": _masked(window=7),
    "attention in a window, causal": _masked(causal=True, window=2),
    "attention with a bias": _masked(has_bias=True),
    "attention with everything": _masked(causal=True, window=3, has_bias=True),
    "attention with shared keys": _shared,
    "rope and split": _rope,
    "rms_norm": _rms_norm,
    "layer_norm without a shift": _layer_norm_without_shift,
    "linears without a bias": _without_bias,
    "patches": _patches,
    "each": _each,
    "log1p": _log1p,
    "reshape": _reshape,
    "sigmoid": _sigmoid,
    **{f"activate {name}": _activation(name) for name in ("gelu", "gelu_tanh", "quick_gelu", "relu", "silu", "tanh")},
    **{f"pool {how}": _pool(how) for how in ("cls", "mean", "max", "last")},
}
