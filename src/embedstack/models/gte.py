"""GTE, of the model types `new` and `gte`: token ids -> hidden states of the last layer.

gte-*-en-v1.5, gte-multilingual-*, snowflake-arctic-embed-m-v2.0 and stella_en_400M are of it; thenlper/gte-* are BERT.
Source: arXiv:2407.19669; names and switches of Alibaba-NLP/new-impl (`modeling.py`) and of transformers 5.23,
`models/gte/modeling_gte.py`. Both spell the same graph; see `gated`.
"""

from typing import TypeVar

from embedstack.models.config import activation, divided, magnitude, refuse_set, refuse_switches, rope
from embedstack.models.family import Family
from embedstack.models.folder import Fields
from embedstack.models.gated import SEPARATE, Biases, Names, hidden_states
from embedstack.models.ops import At, Ops, Tensor
from embedstack.modelspec import Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)

PREFIXES = ("", "new.", "gte.")
FUSED = Names(
    norm="embeddings.LayerNorm",
    layers="encoder.layer",
    qkv=("attention.qkv_proj",),
    out="attention.o_proj",
    mixed_norm="attn_ln",
    up_gate=("mlp.up_gate_proj",),
    down="mlp.down_proj",
    wide_norm="mlp_ln",
)
BIASES = Biases(attention=True, down=True)
THETAS = {"new": 10_000.0, "gte": 160_000.0}
"""Of configs that state none: the defaults of NewConfig and of GteConfig in transformers."""


def architecture(config: Fields, name: str) -> Architecture:
    """See Family."""
    refuse_switches(config, name, places="rope")
    hidden, heads = divided(config, "hidden_size", "num_attention_heads")
    size = hidden // heads
    refuse_set(
        config,
        name,
        {
            "layer_norm_type": "layer_norm",
            "logn_attention_scale": False,
            "logn_attention_clip1": False,
            "pack_qkv": True,
            "head_dim": size,
        },
    )
    theta, factor = rope(config, name, size, THETAS[config.text("model_type")])
    return Architecture(
        family="gte",
        layers=config.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        intermediate=config.integer("intermediate_size"),
        vocab=config.integer("vocab_size"),
        positions=config.integer("max_position_embeddings"),
        segments=config.integer("type_vocab_size", 1),
        activation=activation(config, name),
        norm_eps=magnitude(config, "layer_norm_eps", 1e-12),
        rope_theta=theta,
        rope_factor=factor,
    )


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """See Encode."""
    at = At(ops.weights.prefix(PREFIXES))
    names = FUSED if ops.weights.has(at / FUSED.layers / "0" / "attn_ln.weight") else SEPARATE
    return hidden_states(ops, spec, at, names, BIASES, only)


FAMILY = Family(
    architecture=architecture,
    encoder=encoder,
    # buffers, the head of pre-training, the pooler that only a cross-encoder reads, and the lexical weights of
    # gte-multilingual-base, which lie at `classifier`
    unread=("*inv_freq", "*position_ids", "*token_type_ids", "*pooler.dense.*", "lm_head.*", "classifier.*"),
)
