"""What CLIP and SigLIP share: pre-layer-norm layers, the tower of texts, and how their config.json is read.

Source: arXiv:2103.00020 and arXiv:2303.15343; tensor names of transformers 5.23, `models/clip/modeling_clip.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar

from embedstack.errors import ConfigError
from embedstack.models.config import activation, divided, magnitude, refuse_set, refuse_switches
from embedstack.models.folder import Fields, read_fields
from embedstack.models.ops import At, Ops, Tensor
from embedstack.models.preprocessor import read_fit
from embedstack.models.weights import Weights
from embedstack.modelspec import Architecture, ModelSpec, Pooling, Vision

X = TypeVar("X", bound=Tensor)

Tower: TypeAlias = Architecture | Vision
TEXT, IMAGE = At("text_model"), At("vision_model")
UNREAD = ("*position_ids", "logit_scale", "logit_bias")  # buffers, and what is read apart


# ------------------------------------------------------------------------------------------------ the graph


def text(ops: Ops[X], spec: ModelSpec, only: Pooling | None, *, causal: bool) -> X:
    """See Encode; the norm at the end is part of it."""
    a, at = spec.architecture, TEXT / "embeddings"
    words = ops.rows(ops.weight(at / "token_embedding.weight", a.vocab, a.hidden), ops.ids())
    places = ops.weight(at / "position_embedding.weight", a.positions, a.hidden)
    x = layers(ops, a, words + ops.rows(places, ops.positions(0)), TEXT, only, causal=causal)
    return ops.layer_norm(x, TEXT / "final_layer_norm", a.hidden, a.norm_eps)


def patches(ops: Ops[X], vision: Vision) -> X:
    """(tokens, hidden): a convolution whose steps are as long as its kernel is wide is a product with that."""
    kernel = ops.weight(
        IMAGE / "embeddings.patch_embedding.weight",
        vision.hidden,
        vision.patch_width,
        stored_as=(vision.hidden, 3, vision.patch, vision.patch),
    )
    return ops.matmul(ops.patches(vision.patch_width), kernel)


def layers(ops: Ops[X], tower: Tower, x: X, at: At, only: Pooling | None = None, *, causal: bool = False) -> X:
    """(tokens, hidden); (items, hidden) where `only` says which token's row of each item is still needed at the end."""
    for number in range(tower.layers):
        last = only if number == tower.layers - 1 else None
        x = layer(ops, tower, x, at / f"encoder.layers.{number}", last, causal=causal)
    return x


def layer(ops: Ops[X], tower: Tower, x: X, at: At, only: Pooling | None, *, causal: bool) -> X:
    wide = tower.hidden
    query, key, value, out = (at / f"self_attn.{part}_proj" for part in ("q", "k", "v", "out"))
    unit = ops.layer_norm(x, at / "layer_norm1", wide, tower.norm_eps)
    if only is None:
        q, k, v = ops.linears(unit, [query, key, value], wide, wide)
        mixed = ops.attention(q, k, v, tower.heads, causal=causal)
    else:
        k, v = ops.linears(unit, [key, value], wide, wide)
        x, asking = ops.pool(x, only), ops.pool(unit, only)
        mixed = ops.attention(ops.linear(asking, query, wide, wide), k, v, tower.heads, one_query=True)
    x = x + ops.linear(mixed, out, wide, wide)
    return x + mlp(ops, tower, ops.layer_norm(x, at / "layer_norm2", wide, tower.norm_eps), at / "mlp")


def mlp(ops: Ops[X], tower: Tower, x: X, at: At) -> X:
    wide = ops.activate(ops.linear(x, at / "fc1", tower.hidden, tower.intermediate), tower.activation)
    return ops.linear(wide, at / "fc2", tower.intermediate, tower.hidden)


def number(weights: Weights, name: str) -> float:
    """A tensor of one number, which some files hold as a list of one."""
    return weights.take(name, (1,) if weights.shape(name) == (1,) else ()).item()


# ------------------------------------------------------------------------------------------------ config.json


def part(config: Fields, name: str, defaults: Mapping[str, object]) -> Fields:
    """The fields of one tower; files on the Hub leave out what is as usual.

    Where the older `<name>_dict` is there, it alone counts, as in transformers 5.23, `CLIPConfig.__post_init__`.
    """
    older = f"{name}_dict"
    stated = config.table(older if older in config else name)
    return Fields(config.path, {**defaults, **{key: v for key, v in stated.values.items() if v is not None}})


def architecture(config: Fields, section: Fields, name: str, vision: Vision) -> Architecture:
    """Of the tower of texts, with the other one."""
    refuse_switches(config, name)
    refuse_switches(section, name)
    hidden, heads = divided(section, "hidden_size", "num_attention_heads")
    return Architecture(
        family=config.text("model_type"),
        layers=section.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        intermediate=section.integer("intermediate_size"),
        vocab=section.integer("vocab_size"),
        positions=section.integer("max_position_embeddings"),
        activation=activation(section, name),
        norm_eps=magnitude(section, "layer_norm_eps", 0),
        vision=vision,
    )


def read_vision(section: Fields, name: str, *, has_class: bool) -> Vision:
    """The tower of images, and what is done with an image before, from preprocessor_config.json beside config.json.

    Raises:
        ConfigError: images are brought to another size than this tower reads, or a field is missing.
        Unsupported: a field asks for what is not computed here.
    """
    refuse_switches(section, name)
    refuse_set(section, name, {"num_channels": 3})
    hidden, heads = divided(section, "hidden_size", "num_attention_heads")
    side, patch = section.integer("image_size"), section.integer("patch_size")
    if not 0 < patch <= side:
        raise section.wrong("patch_size", f"from 1 to image_size={side}")
    before = read_fit(_before(section.path), name)
    if before.side != side:
        raise ConfigError(
            f"{name!r} reads images of {side} pixels, but preprocessor_config.json makes them {before.side}; "
            "the two are of different models, so pull it again"
        )
    return Vision(
        layers=section.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        intermediate=section.integer("intermediate_size"),
        activation=activation(section, name),
        norm_eps=magnitude(section, "layer_norm_eps", 0),
        side=side,
        patch=patch,
        has_class=has_class,
        fit=before.fit,
        resample=before.resample,
        mean=before.mean,
        std=before.std,
    )


def _before(config: Path) -> Fields:
    """What is done with an image before; transformers 5 saves it under a second name."""
    older, newer = (config.with_name(name) for name in ("preprocessor_config.json", "processor_config.json"))
    return read_fields(newer if newer.is_file() and not older.is_file() else older)
