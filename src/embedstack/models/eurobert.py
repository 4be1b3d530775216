"""EuroBERT: token ids -> hidden states of the last layer, an encoder with the layers of today's decoders.

Norms before each half of a layer, positions that turn queries and keys, several heads of queries to one of keys and
values, and no biases; every token sees all. Source: arXiv:2503.05500, section 2.1; names and defaults of transformers
5.23, `models/eurobert/modeling_eurobert.py`.
"""

from typing import TypeVar

from embedstack.models.config import (
    activation,
    divided,
    magnitude,
    plain_theta,
    positive,
    refuse_set,
    refuse_switches,
    turning,
)
from embedstack.models.family import Family
from embedstack.models.folder import Fields
from embedstack.models.gated_half import gated_half
from embedstack.models.ops import At, Ops, Tensor
from embedstack.modelspec import Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)

PREFIXES, WORDS = ("", "model."), "embed_tokens.weight"
THETA = 10_000.0  # what a config means that states none


def architecture(config: Fields, name: str) -> Architecture:
    """See Family."""
    refuse_switches(config, name, places=None)
    refuse_set(config, name, {"attention_bias": False, "mlp_bias": False})
    hidden, heads = divided(config, "hidden_size", "num_attention_heads")
    kv_heads = config.integer("num_key_value_heads", heads)
    if not kv_heads or heads % kv_heads:
        raise config.wrong("num_key_value_heads", f"a divisor of num_attention_heads={heads}")
    return Architecture(
        family="eurobert",
        layers=config.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_size=config.integer("head_dim", hidden // heads),
        intermediate=positive(config, "intermediate_size"),
        vocab=config.integer("vocab_size"),
        positions=config.integer("max_position_embeddings"),
        activation=activation(config, name, default="silu"),
        norm_eps=magnitude(config, "rms_norm_eps", 1e-5),
        rope_theta=plain_theta(config, turning(config, name), name, THETA),
    )


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """(tokens, hidden); (items, hidden) where `only` says which token's row of each item is still needed at the end."""
    a = spec.architecture
    at = At(ops.weights.prefix(PREFIXES, WORDS))
    x = ops.rows(ops.weight(at / WORDS, a.vocab, a.hidden), ops.ids())
    turn = ops.angles(a.rope_theta, a.size, min(a.positions, spec.max_tokens))
    for number in range(a.layers):
        x = layer(ops, a, x, at / f"layers.{number}", turn, only if number == a.layers - 1 else None)
    return ops.rms_norm(x, at / "norm", a.hidden, a.norm_eps)


def layer(ops: Ops[X], a: Architecture, x: X, at: At, turn: tuple[X, X], only: Pooling | None = None) -> X:
    normed = ops.rms_norm(x, at / "input_layernorm", a.hidden, a.norm_eps)
    parts, few = [at / "self_attn.k_proj", at / "self_attn.v_proj"], a.kv_heads * a.size
    k, v = ops.linears(normed, parts, a.hidden, few, bias=False)
    k, v = (ops.repeat(each, a.size, a.heads // a.kv_heads) for each in (ops.rope(k, *turn, a.size), v))
    if only:
        x, normed = ops.pool(x, only), ops.pool(normed, only)
        turn = ops.pool(turn[0], only), ops.pool(turn[1], only)
    wide = a.heads * a.size
    q = ops.rope(ops.linear(normed, at / "self_attn.q_proj", a.hidden, wide, bias=False), *turn, a.size)
    mixed = ops.attention(q, k, v, a.heads, one_query=only is not None)
    return gated_half(ops, a, x + ops.linear(mixed, at / "self_attn.o_proj", wide, a.hidden, bias=False), at)


FAMILY = Family(architecture=architecture, encoder=encoder, unread=("lm_head.*",))
