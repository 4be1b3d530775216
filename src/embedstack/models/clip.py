"""CLIP: token ids, or the patches of an image -> vectors that may be compared with each other.

Source: arXiv:2103.00020; names, defaults and the place of the pooled token of transformers 5.23,
`models/clip/modeling_clip.py` and `configuration_clip.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from embedstack.models import towers
from embedstack.models.family import Family
from embedstack.models.folder import Fields
from embedstack.models.ops import Ops, Tensor
from embedstack.models.weights import Weights
from embedstack.modelspec import Architecture, ModelSpec, Pooling, Vision

X = TypeVar("X", bound=Tensor)

TEXT: Mapping[str, object] = {  # what a config means that states nothing
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "eos_token_id": 49407,
}
IMAGE: Mapping[str, object] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
PROJECTION = 512
WRONG_END = 2  # the id that files before 2023 state; they mean the largest one


def architecture(config: Fields, name: str) -> Architecture:
    """See Family."""
    vision = towers.read_vision(towers.part(config, "vision_config", IMAGE), name, has_class=True)
    return towers.architecture(config, towers.part(config, "text_config", TEXT), name, vision)


def adapt(spec: ModelSpec, folder: Path, config: Fields) -> ModelSpec:
    """See Family."""
    end = towers.part(config, "text_config", TEXT).integer("eos_token_id")
    return replace(
        spec,
        inputs=("text", "image"),
        dim=config.integer("projection_dim", PROJECTION),
        stop_id=spec.architecture.vocab - 1 if end == WRONG_END else end,
        similarity="softmax",
    )


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """See Encode; each token sees itself and those before it."""
    return towers.text(ops, spec, only, causal=True)


def dense(ops: Ops[X], spec: ModelSpec, rows: X) -> X:
    """See Project."""
    return ops.linear(rows, "text_projection", spec.architecture.hidden, spec.dim, bias=False)


def image(ops: Ops[X], spec: ModelSpec) -> X:
    """See See; only the token without pixels is needed at the end."""
    vision = spec.architecture.vision
    assert vision
    at, wide = towers.IMAGE, vision.hidden
    x = towers.patches(ops, vision) + ops.rows(places(ops, vision), ops.positions(0))
    x = ops.layer_norm(x, at / "pre_layrnorm", wide, vision.norm_eps)  # sic
    first = towers.layers(ops, vision, x, at, "cls")
    first = ops.layer_norm(first, at / "post_layernorm", wide, vision.norm_eps)
    return ops.linear(first, "visual_projection", wide, spec.dim, bias=False)


def places(ops: Ops[X], vision: Vision) -> X:
    """(places, hidden): what is added to each; the first has no pixels, so the class vector is put in here."""
    at, wide = towers.IMAGE / "embeddings", vision.hidden
    table = ops.weights.take(at / "position_embedding.weight", (vision.tokens, wide)).astype(np.float64)
    table[0] += ops.weights.take(at / "class_embedding", (wide,))
    return ops.constant(table)


def scale(weights: Weights) -> tuple[float, float]:
    """See Family."""
    if not weights.has("logit_scale"):
        return 0.0, 0.0
    return math.exp(towers.number(weights, "logit_scale")), 0.0


FAMILY = Family(
    architecture=architecture,
    encoder=encoder,
    unread=towers.UNREAD,
    pooling="last",
    dense=dense,
    image=image,
    adapt=adapt,
    scale=scale,
)
