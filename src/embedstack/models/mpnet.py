"""MPNet: token ids -> hidden states of the last layer; how far two tokens are apart is added to their logits.

A post-layer-norm encoder with RoBERTa's positions, and one table of biases that all layers share. Source:
arXiv:2004.09297; tensor names of transformers 5.23, `models/mpnet/modeling_mpnet.py`.
"""

from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from embedstack.models.config import activation, divided, magnitude, refuse_set, refuse_switches
from embedstack.models.family import Family
from embedstack.models.folder import Fields
from embedstack.models.ops import At, Ops, Tensor
from embedstack.modelspec import Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)

PREFIXES = ("", "mpnet.")
PAD_ID, BUCKETS = 1, 32  # transformers computes these two, whatever a config states
FARTHEST = 128  # from here on all distances share a bucket


def architecture(config: Fields, name: str) -> Architecture:
    """See Family."""
    refuse_switches(config, name)
    refuse_set(config, name, {"pad_token_id": PAD_ID, "relative_attention_num_buckets": BUCKETS})
    hidden, heads = divided(config, "hidden_size", "num_attention_heads")
    return Architecture(
        family=config.text("model_type"),
        layers=config.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        intermediate=config.integer("intermediate_size"),
        vocab=config.integer("vocab_size"),
        positions=config.integer("max_position_embeddings"),
        position_offset=PAD_ID + 1,
        activation=activation(config, name),
        norm_eps=magnitude(config, "layer_norm_eps", 1e-12),
        buckets=BUCKETS,
    )


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """See Encode."""
    a = spec.architecture
    at = At(ops.weights.prefix(PREFIXES))
    x = embeddings(ops, a, at / "embeddings")
    bias = ops.constant(biases(ops, a, at / "encoder.relative_attention_bias.weight"))
    for number in range(a.layers):
        x = layer(ops, a, x, bias, at / f"encoder.layer.{number}", only if number == a.layers - 1 else None)
    return x


def embeddings(ops: Ops[X], a: Architecture, at: At) -> X:
    words = ops.rows(ops.weight(at / "word_embeddings.weight", a.vocab, a.hidden), ops.ids())
    places = ops.weight(at / "position_embeddings.weight", a.positions, a.hidden)
    x = words + ops.rows(places, ops.positions(a.position_offset))
    return ops.layer_norm(x, at / "LayerNorm", a.hidden, a.norm_eps)


def layer(ops: Ops[X], a: Architecture, x: X, bias: X, at: At, only: Pooling | None = None) -> X:
    q, k, v = ops.linears(x, [at / f"attention.attn.{part}" for part in "qkv"], a.hidden, a.hidden)
    mixed = ops.attention(q, k, v, a.heads, bias=bias)
    if only is not None:  # every token has asked, since a bias needs that; the rest is done for one of each item
        x, mixed = ops.pool(x, only), ops.pool(mixed, only)
    mixed = ops.linear(mixed, at / "attention.attn.o", a.hidden, a.hidden)
    x = ops.layer_norm(x + mixed, at / "attention.LayerNorm", a.hidden, a.norm_eps)
    wide = ops.activate(ops.linear(x, at / "intermediate.dense", a.hidden, a.intermediate), a.activation)
    narrow = ops.linear(wide, at / "output.dense", a.intermediate, a.hidden)
    return ops.layer_norm(x + narrow, at / "output.LayerNorm", a.hidden, a.norm_eps)


def biases(ops: Ops[X], a: Architecture, name: str) -> NDArray[np.float64]:
    """(2 * reach + 1, heads) for `Ops.attention`: the table's row of every distance that two tokens can have."""
    table = ops.weights.take(name, (a.buckets, a.heads))
    reach = a.positions - a.position_offset - 1  # an item has no more tokens than there are positions
    return table[list(_rows(reach, a.buckets))].astype(np.float64)


@cache
def _rows(reach: int, buckets: int) -> tuple[int, ...]:
    """Of all distances; kept, since some runtimes run the graph anew for each batch."""
    return tuple(bucket(apart, buckets) for apart in range(-reach, reach + 1))


def bucket(apart: int, buckets: int) -> int:
    """The table's row for a key that stands `apart` places behind its query.

    Half of the rows are for keys that stand behind. Of each half, one half is for the nearest distances, one by one;
    the rest is shared out by the logarithm up to FARTHEST. In whole numbers, so that no rounding moves a boundary.
    Source: `relative_position_bucket` of transformers 5.23; arXiv:1910.10683, section 2.1.
    """
    half = buckets // 2
    first = half if apart > 0 else 0
    away, near = abs(apart), half // 2
    if away < near:
        return first + away
    far = half - near  # rows of the logarithm; row n begins at near * (FARTHEST / near) ** (n / far)
    passed: int = sum(away**far >= near ** (far - n) * FARTHEST**n for n in range(1, far))
    return first + near + passed


FAMILY = Family(
    architecture=architecture,
    encoder=encoder,
    # buffers, the pre-training head, and a pooler that nobody reads
    unread=("*position_ids", "*pooler.dense.*", "lm_head.*"),
)
