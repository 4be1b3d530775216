"""The second half of a layer of today's decoders: a norm, and two wide products of which one gates the other."""

from typing import TypeVar

from embedstack.models.ops import At, Ops, Tensor
from embedstack.modelspec import Architecture

X = TypeVar("X", bound=Tensor)


def gated_half(ops: Ops[X], a: Architecture, x: X, at: At) -> X:
    """(tokens, hidden) of the attention -> (tokens, hidden) of the layer. Source: arXiv:2002.05202, section 2."""
    normed = ops.rms_norm(x, at / "post_attention_layernorm", a.hidden, a.norm_eps)
    parts = [at / "mlp.gate_proj", at / "mlp.up_proj"]
    gate, up = ops.linears(normed, parts, a.hidden, a.intermediate, bias=False)
    wide = ops.activate(gate, a.activation) * up
    return x + ops.linear(wide, at / "mlp.down_proj", a.intermediate, a.hidden, bias=False)
