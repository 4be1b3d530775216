"""EuroBERT: heads that share keys, turned positions, gates and no biases, as transformers computes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from embedstack.errors import ConfigError, Unsupported
from embedstack.models.eurobert import FAMILY
from embedstack.models.folder import Fields
from support.families import FamilyTests, Tiny, by_transformers
from support.mutations import Mutation, architecture, interleaved, recipe, swapped

HIDDEN, HEADS, KV, SIZE, WIDE, LAYERS, VOCAB = 32, 4, 2, 8, 48, 3, 150


def config(**more: object) -> dict[str, object]:
    return {
        "architectures": ["EuroBertModel"],
        "model_type": "eurobert",
        "num_hidden_layers": LAYERS,
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV,
        "head_dim": SIZE,
        "intermediate_size": WIDE,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-2,
        "rope_theta": 60.0,
        "max_position_embeddings": 64,
        "vocab_size": VOCAB,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "attention_bias": False,
        "mlp_bias": False,
        **more,
    }


def shapes(prefix: str = "", kv: int = KV) -> dict[str, tuple[int, ...]]:
    made: dict[str, tuple[int, ...]] = {
        f"{prefix}embed_tokens.weight": (VOCAB, HIDDEN),
        f"{prefix}norm.weight": (HIDDEN,),
    }
    for number in range(LAYERS):
        at = f"{prefix}layers.{number}"
        made |= {f"{at}.{norm}_layernorm.weight": (HIDDEN,) for norm in ("input", "post_attention")}
        made |= {f"{at}.self_attn.{part}_proj.weight": (kv * SIZE, HIDDEN) for part in ("k", "v")}
        made |= {f"{at}.self_attn.{part}_proj.weight": (HEADS * SIZE, HIDDEN) for part in ("q",)}
        made |= {f"{at}.self_attn.o_proj.weight": (HIDDEN, HEADS * SIZE)}
        made |= {f"{at}.mlp.{part}_proj.weight": (WIDE, HIDDEN) for part in ("gate", "up")}
        made |= {f"{at}.mlp.down_proj.weight": (HIDDEN, WIDE)}
    return made


class TestEuroBert(FamilyTests):
    family = "eurobert"
    cases: Sequence[Tiny] = (
        Tiny("eurobert-mean", config(), shapes(), by_transformers("mean"), seed=71),
        Tiny("eurobert-cls", config(), shapes("model."), by_transformers("cls"), pooling="cls", seed=72),
        Tiny(
            "eurobert-no-sharing",
            config(num_key_value_heads=HEADS, hidden_act="gelu"),
            shapes(kv=HEADS),
            by_transformers("mean"),
            seed=73,
        ),
    )
    mutations: Mapping[str, Mutation] = {
        "gate and input swapped": swapped("gate_proj", "up_proj"),
        "queries and the last product swapped": swapped("q_proj", "o_proj"),
        "norms of a layer swapped": swapped("input_layernorm", "post_attention_layernorm"),
        "neighbours turned": interleaved("q_proj", "k_proj", size=SIZE),
        "another speed": architecture(rope_theta=10_000.0),
        "another epsilon": architecture(norm_eps=1e-6),
        "an approximate gate": architecture(activation="gelu_tanh"),
        "another pooling": recipe(pooling="max"),
    }


@pytest.mark.parametrize("switch", ["attention_bias", "mlp_bias"])
def test_biases_are_refused_by_name(switch: str) -> None:
    with pytest.raises(Unsupported, match=switch):
        FAMILY.architecture(Fields(Path("config.json"), config(**{switch: True})), "org/model")


def test_heads_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_key_value_heads"):
        FAMILY.architecture(Fields(Path("config.json"), config(num_key_value_heads=3)), "org/model")
