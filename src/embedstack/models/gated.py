"""What nomic-bert and GTE have in common: token ids -> hidden states of the last layer.

A post-layer-norm encoder whose positions turn queries and keys, and in which one wide product gates another. The two
families differ in the names of their tensors and in which products have a bias.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from embedstack.models.ops import At, Ops, Tensor
from embedstack.modelspec import Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Where tensors lie. Several products in one tensor have one name, their rows in the order of the fields."""

    norm: str  # after the embeddings
    layers: str
    qkv: tuple[str, ...]
    out: str
    mixed_norm: str
    up_gate: tuple[str, ...]
    down: str
    wide_norm: str


SEPARATE = Names(
    norm="embeddings.LayerNorm",
    layers="layers",
    qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    out="self_attn.o_proj",
    mixed_norm="post_attention_layernorm",
    up_gate=("mlp.up_proj", "mlp.gate_proj"),
    down="mlp.down_proj",
    wide_norm="post_mlp_layernorm",
)
"""Of both families as transformers 5 saves them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Biases:
    """Which products have one."""

    attention: bool = False
    down: bool = False


def hidden_states(ops: Ops[X], spec: ModelSpec, at: At, names: Names, biases: Biases, only: Pooling | None = None) -> X:
    """See Encode."""
    a = spec.architecture
    x = ops.rows(ops.weight(at / "embeddings.word_embeddings.weight", a.vocab, a.hidden), ops.ids())
    if a.segments:
        kinds = ops.weight(at / "embeddings.token_type_embeddings.weight", a.segments, a.hidden)
        x = x + ops.rows(kinds, ops.segments())
    x = ops.layer_norm(x, at / names.norm, a.hidden, a.norm_eps)
    turn = ops.angles(a.rope_theta, a.size, min(a.positions, spec.max_tokens), factor=a.rope_factor)
    for number in range(a.layers):
        is_last = number == a.layers - 1
        x = layer(ops, a, x, at / names.layers / str(number), names, biases, turn, only if is_last else None)
    return x


def layer(
    ops: Ops[X], a: Architecture, x: X, at: At, names: Names, biases: Biases, turn: tuple[X, X],
    only: Pooling | None = None,
) -> X:  # fmt: skip
    q, k, v = products(ops, x, [at / name for name in names.qkv], 3, a.hidden, a.hidden, bias=biases.attention)
    q, k = (ops.rope(part, *turn, a.size) for part in (q, k))
    if only is not None:
        x, q = ops.pool(x, only), ops.pool(q, only)
    mixed = ops.attention(q, k, v, a.heads, one_query=only is not None)
    mixed = ops.linear(mixed, at / names.out, a.hidden, a.hidden, bias=biases.attention)
    x = ops.layer_norm(x + mixed, at / names.mixed_norm, a.hidden, a.norm_eps)
    up, gate = products(ops, x, [at / name for name in names.up_gate], 2, a.hidden, a.intermediate)
    wide = ops.activate(gate, a.activation) * up
    narrow = ops.linear(wide, at / names.down, a.intermediate, a.hidden, bias=biases.down)
    return ops.layer_norm(x + narrow, at / names.wide_norm, a.hidden, a.norm_eps)


def products(ops: Ops[X], x: X, ats: Sequence[str], count: int, wide: int, out: int, *, bias: bool = False) -> list[X]:
    """So many products of one input: of tensors of their own, or of one that holds all rows."""
    if len(ats) == count:
        return ops.linears(x, ats, wide, out, bias=bias)
    (at,) = ats
    return ops.split(ops.linear(x, at, wide, count * out, bias=bias), count)
