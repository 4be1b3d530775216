"""DistilBERT: token ids -> hidden states of the last layer.

BERT's graph without token types, under names of its own. Source: arXiv:1910.01108; names of tensors and of config.json
as in transformers 5.23, `models/distilbert/modeling_distilbert.py`.
"""

from typing import TypeVar

from embedstack.models.bert import Names, layer
from embedstack.models.config import activation, divided, refuse_switches
from embedstack.models.family import Family
from embedstack.models.folder import Fields
from embedstack.models.ops import At, Ops, Tensor
from embedstack.modelspec import Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)

PREFIXES = ("", "distilbert.")
NORM_EPS = 1e-12  # no config states it
NAMES = Names(
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    mixed="attention.out_lin",
    mixed_norm="sa_layer_norm",
    up="ffn.lin1",
    down="ffn.lin2",
    norm="output_layer_norm",
)


def architecture(config: Fields, name: str) -> Architecture:
    """See Family. `sinusoidal_pos_embds` decides how training began; the positions lie in the file either way."""
    refuse_switches(config, name)
    hidden, heads = divided(config, "dim", "n_heads")
    return Architecture(
        family=config.text("model_type"),
        layers=config.integer("n_layers"),
        hidden=hidden,
        heads=heads,
        intermediate=config.integer("hidden_dim"),
        vocab=config.integer("vocab_size"),
        positions=config.integer("max_position_embeddings"),
        activation=activation(config, name, "activation"),
        norm_eps=NORM_EPS,
    )


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """See Encode."""
    a = spec.architecture
    at = At(ops.weights.prefix(PREFIXES))
    x = embeddings(ops, a, at / "embeddings")
    for number in range(a.layers):
        asked = only if number == a.layers - 1 else None
        x = layer(ops, a, x, at / f"transformer.layer.{number}", asked, NAMES)
    return x


def embeddings(ops: Ops[X], a: Architecture, at: At) -> X:
    words = ops.rows(ops.weight(at / "word_embeddings.weight", a.vocab, a.hidden), ops.ids())
    places = ops.weight(at / "position_embeddings.weight", a.positions, a.hidden)
    x = words + ops.rows(places, ops.positions(a.position_offset))
    return ops.layer_norm(x, at / "LayerNorm", a.hidden, a.norm_eps)


FAMILY = Family(
    architecture=architecture,
    encoder=encoder,
    # buffers, and the pre-training head that only sparse vectors read
    unread=("*position_ids", "vocab_transform.*", "vocab_layer_norm.*", "vocab_projector.*"),
)
