"""nomic-bert, which nomic-embed-text v1 and v1.5 are: token ids -> hidden states of the last layer.

Source: arXiv:2402.01613; names and switches of nomic-ai/nomic-bert-2048 (`modeling_hf_nomic_bert.py`) and of
transformers 5.23, `models/nomic_bert/modeling_nomic_bert.py`. Both spell the same graph; see `gated`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from embedstack.errors import Unsupported
from embedstack.models.config import activation, divided, magnitude, refuse_set, refuse_switches, rope, turning
from embedstack.models.family import Family
from embedstack.models.folder import Fields
from embedstack.models.gated import SEPARATE, Biases, Names, hidden_states
from embedstack.models.ops import At, Ops, Tensor
from embedstack.modelspec import Activation, Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)

PREFIXES = ("", "nomic_bert.", "bert.")
FUSED = Names(
    norm="emb_ln",
    layers="encoder.layers",
    qkv=("attn.Wqkv",),
    out="attn.out_proj",
    mixed_norm="norm1",
    up_gate=("mlp.fc11", "mlp.fc12"),
    down="mlp.fc2",
    wide_norm="norm2",
)
TRAINED = 2048
"""Tokens of the texts that it was trained on. `n_positions` says 8192: past 2048 the original would need its
`rotary_scaling_factor`, which gives each length other angles. A factor that a config states begins to count there, so
up to here it changes nothing."""
ALIASES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "layer_norm_epsilon": "layer_norm_eps",
    "rotary_emb_base": "rope_theta",
}
"""The original's fields by those of transformers 5; a config may state both."""
THETA = 1000.0  # of a config that states none, in transformers 5; in the original it would be 10,000
GATES: Mapping[str, Activation] = {"swiglu": "silu", "geglu": "gelu"}
PROMPTS = {
    "query": "search_query: ",
    "document": "search_document: ",
    "classification": "classification: ",
    "clustering": "clustering: ",
}
"""Source: the model card of nomic-ai/nomic-embed-text-v1.5, which says that each text must have one of them. They are
put and demanded where a model's card or name asks for them, and where neither is left; see `catalog/prefixes`."""
OTHER_NAMES = {"query": "search_query", "document": "search_document"}
"""Of the roles, in repositories that call their prompts as the card does."""


def architecture(config: Fields, name: str) -> Architecture:
    """See Family."""
    if config.number("num_experts", 0) > 0 or config.number("moe_every_n_layers", 0) > 0:
        raise Unsupported(
            f"{name!r} is a mixture of experts (num_experts, moe_every_n_layers), as nomic-embed-text-v2-moe is; "
            "embedstack has the dense models v1 and v1.5"
        )
    _require_theta(config, name)
    config = renamed(config)
    refuse_switches(config, name, places="rope")
    hidden, heads = divided(config, "hidden_size", "num_attention_heads")
    refuse_set(config, name, _switches(hidden // heads, heads))
    theta, factor = rope(config, name, hidden // heads, THETA)
    return Architecture(
        family="nomic_bert",
        layers=config.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        intermediate=config.integer("intermediate_size"),
        vocab=config.integer("vocab_size"),
        positions=_positions(config),
        segments=config.integer("type_vocab_size", 2),
        activation=_gate(config, name),
        norm_eps=magnitude(config, "layer_norm_eps", 1e-12),
        rope_theta=theta,
        rope_factor=factor,
    )


def renamed(config: Fields) -> Fields:
    """With the names of transformers 5.

    Raises:
        ConfigError: it states a field under both names, and not alike.
    """
    values = dict(config.values)
    for old, new in ALIASES.items():
        if old in config and new in config and values[old] != values[new]:
            raise config.wrong(new, f"what {old} says ({values[old]!r})")
        if old in config:
            values[new] = values[old]
    return Fields(config.path, values)


def _require_theta(config: Fields, name: str) -> None:
    """Where nothing states it, each spelling means another one, and the originals all state it."""
    is_stated = "rotary_emb_base" in config or "rope_theta" in config or "rope_theta" in turning(config, name)
    if "n_embd" in config and not is_stated:
        raise config.wrong("rotary_emb_base", "the base by which positions turn")


def _switches(size: int, heads: int) -> Mapping[str, object]:
    """Fields that change the graph, and what ours computes."""
    return {
        "prenorm": False,
        "parallel_block": False,
        "parallel_block_tied_norm": False,
        "use_rms_norm": False,
        "causal": False,
        "qkv_proj_bias": False,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
        "num_heads_kv": heads,
        "head_dim": size,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_emb_scale_base": None,
        "rotary_head_dim": False,
    }


def _positions(config: Fields) -> int:
    """As many as any field allows, and never more than it was trained on."""
    keys = ("max_trained_positions", "max_position_embeddings", "n_positions")
    return min([TRAINED, *(config.integer(key) for key in keys if config.values.get(key))])


def _gate(config: Fields, name: str) -> Activation:
    """The original names the product with its gate, transformers what the gate goes through."""
    newer = activation(config, name, default="silu")
    if "activation_function" not in config:
        return newer
    stated = config.text("activation_function")
    if stated not in GATES:
        raise Unsupported(f"{name!r} sets activation_function={stated!r}; embedstack has: {', '.join(GATES)}")
    if "hidden_act" in config and newer != GATES[stated]:
        raise config.wrong("hidden_act", f"what activation_function says ({GATES[stated]!r})")
    return GATES[stated]


def prompted(spec: ModelSpec, folder: Path, config: Fields) -> ModelSpec:
    """With the prompts of both roles, also where they have the names of the card, and with how rows are cut.

    A prompt of the family, under whatever name, shows that the model needs one.
    """
    if spec.task != "embed":
        return spec
    prompts = dict(spec.prompts)
    for role, other in OTHER_NAMES.items():
        if other in prompts:
            prompts.setdefault(role, prompts[other])
    needs_prompt = spec.needs_prompt or any(words in PROMPTS.values() for words in prompts.values())
    return replace(spec, prompts=dict(sorted(prompts.items())), needs_prompt=needs_prompt, cut_norm=True)


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """See Encode."""
    at = At(ops.weights.prefix(PREFIXES))
    names = FUSED if ops.weights.has(at / f"{FUSED.norm}.weight") else SEPARATE
    return hidden_states(ops, spec, at, names, Biases(), only)


FAMILY = Family(
    architecture=architecture,
    encoder=encoder,
    # buffers, and the heads of pre-training
    unread=("*inv_freq", "*position_ids", "*token_type_ids", "*pooler.dense.*", "cls.*"),
    adapt=prompted,
    prompts=PROMPTS,
)
