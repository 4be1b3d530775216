"""BERT, RoBERTa, XLM-RoBERTa and CamemBERT: token ids -> hidden states of the last layer.

One graph (post-layer-norm encoder, absolute positions); the families differ in where positions begin and in whether
segments exist, and both are numbers of the spec. Source: arXiv:1810.04805, arXiv:1907.11692, arXiv:1911.02116; tensor
names of transformers 5.23, `models/bert/modeling_bert.py`.
"""

from dataclasses import dataclass
from typing import TypeVar

from embedstack.models.config import activation, divided, magnitude, refuse_switches
from embedstack.models.family import Family
from embedstack.models.folder import Fields
from embedstack.models.ops import At, Ops, Tensor
from embedstack.modelspec import Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)

PREFIXES = ("", "bert.", "roberta.", "xlm_roberta.", "camembert.")
PAD_ID = 1  # what a config of the RoBERTa kind means where it states none (transformers 5.23)


def architecture(config: Fields, name: str) -> Architecture:
    """See Family."""
    refuse_switches(config, name)
    hidden, heads = divided(config, "hidden_size", "num_attention_heads")
    kind = config.text("model_type")
    return Architecture(
        family=kind,
        layers=config.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        intermediate=config.integer("intermediate_size"),
        vocab=config.integer("vocab_size"),
        positions=config.integer("max_position_embeddings"),
        position_offset=0 if kind == "bert" else config.integer("pad_token_id", PAD_ID) + 1,
        segments=config.integer("type_vocab_size", 2),
        activation=activation(config, name),
        norm_eps=magnitude(config, "layer_norm_eps", 1e-12),
    )


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """(tokens, hidden); (items, hidden) where `only` says which token's row of each item is still needed at the end."""
    a = spec.architecture
    at = At(ops.weights.prefix(PREFIXES))
    x = embeddings(ops, a, at / "embeddings")
    for number in range(a.layers):
        x = layer(ops, a, x, at / f"encoder.layer.{number}", only if number == a.layers - 1 else None)
    return x


def embeddings(ops: Ops[X], a: Architecture, at: At) -> X:
    words = ops.rows(ops.weight(at / "word_embeddings.weight", a.vocab, a.hidden), ops.ids())
    places = ops.weight(at / "position_embeddings.weight", a.positions, a.hidden)
    kinds = ops.weight(at / "token_type_embeddings.weight", a.segments, a.hidden)
    x = words + ops.rows(kinds, ops.segments()) + ops.rows(places, ops.positions(a.position_offset))
    return ops.layer_norm(x, at / "LayerNorm", a.hidden, a.norm_eps)


@dataclass(frozen=True, slots=True)
class Names:
    """What a family calls the parts of a layer."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    mixed: str = "attention.output.dense"
    mixed_norm: str = "attention.output.LayerNorm"
    up: str = "intermediate.dense"
    down: str = "output.dense"
    norm: str = "output.LayerNorm"


NAMES = Names()


def layer(ops: Ops[X], a: Architecture, x: X, at: At, only: Pooling | None = None, names: Names = NAMES) -> X:
    query, key, value = at / names.query, at / names.key, at / names.value
    if only is None:
        q, k, v = ops.linears(x, [query, key, value], a.hidden, a.hidden)
        mixed = ops.attention(q, k, v, a.heads)
    else:
        k, v = ops.linears(x, [key, value], a.hidden, a.hidden)
        x = ops.pool(x, only)
        mixed = ops.attention(ops.linear(x, query, a.hidden, a.hidden), k, v, a.heads, one_query=True)
    mixed = ops.linear(mixed, at / names.mixed, a.hidden, a.hidden)
    x = ops.layer_norm(x + mixed, at / names.mixed_norm, a.hidden, a.norm_eps)
    wide = ops.activate(ops.linear(x, at / names.up, a.hidden, a.intermediate), a.activation)
    narrow = ops.linear(wide, at / names.down, a.intermediate, a.hidden)
    return ops.layer_norm(x + narrow, at / names.norm, a.hidden, a.norm_eps)


FAMILY = Family(
    architecture=architecture,
    encoder=encoder,
    # buffers, the pre-training heads, and the pooler that only a cross-encoder reads
    unread=("*position_ids", "*token_type_ids", "*pooler.dense.*", "cls.*", "lm_head.*"),
)
