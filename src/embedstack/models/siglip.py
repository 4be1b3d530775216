"""SigLIP and the SigLIP 2 of fixed size: token ids, or the patches of an image -> vectors that may be compared.

Source: arXiv:2303.15343 and arXiv:2502.14786; names, defaults and the pooling head of transformers 5.23,
`models/siglip/modeling_siglip.py` and `configuration_siglip.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from embedstack.errors import ConfigError, Unsupported
from embedstack.models import towers
from embedstack.models.config import refuse_set
from embedstack.models.family import Family
from embedstack.models.folder import Fields, read_fields, root_of
from embedstack.models.ops import Ops, Tensor
from embedstack.models.tokenizer import Token, decode
from embedstack.models.weights import Weights
from embedstack.modelspec import Architecture, ModelSpec, Pooling, Vision

X = TypeVar("X", bound=Tensor)

TEXT: Mapping[str, object] = {  # what a config means that states nothing
    "vocab_size": 32000,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 64,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
IMAGE: Mapping[str, object] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
STRIPPING = ("SiglipTokenizer",)  # of SigLIP, which takes punctuation out of texts
KEEPING = ("GemmaTokenizer", "GemmaTokenizerFast", "Siglip2Tokenizer")  # of SigLIP 2, which leaves it in
UNSAID = ("", "PreTrainedTokenizerFast", "TokenizersBackend")  # then the size of the vocabulary tells
VOCABULARIES = {32000: STRIPPING[0], 256000: KEEPING[0]}


def architecture(config: Fields, name: str) -> Architecture:
    """See Family."""
    section = towers.part(config, "vision_config", IMAGE)
    refuse_set(section, name, {"vision_use_head": True})
    vision = towers.read_vision(section, name, has_class=False)
    made = towers.architecture(config, towers.part(config, "text_config", TEXT), name, vision)
    if _width(config, made) != vision.hidden:
        raise ConfigError(
            f"{name!r} has texts of {_width(config, made)} numbers and images of {vision.hidden} "
            "(projection_size of text_config, hidden_size of vision_config); they must be as many, so pull it again"
        )
    return made


def _width(config: Fields, made: Architecture) -> int:
    return towers.part(config, "text_config", TEXT).integer("projection_size", made.hidden)


# ------------------------------------------------------------------------------------------------ texts


class _Part(msgspec.Struct):
    id: str


class _Frame(msgspec.Struct):
    single: list[dict[str, _Part]] = []


class _Tokenizer(msgspec.Struct):
    added_tokens: list[Token] = []
    post_processor: _Frame | None = None


def adapt(spec: ModelSpec, folder: Path, config: Fields) -> ModelSpec:
    """See Family; texts are filled up, and what fills them counts like a text."""
    folder = root_of(folder)
    settings = read_fields(folder / "tokenizer_config.json")
    strips = _strips(settings, spec)
    side = settings.text("padding_side", "right" if strips else "")
    if side not in ("right", "left"):
        raise settings.wrong("padding_side", "right or left")
    return replace(
        spec,
        inputs=("text", "image"),
        dim=_width(config, spec.architecture),
        lowercase=settings.flag("do_lower_case", default=True) or not strips,
        canonical=strips,
        pad_to=spec.architecture.positions,
        pad_id=_pad_id(folder / "tokenizer.json", settings, spec.name),
        pad_left=side == "left",
        similarity="sigmoid",
    )


def _strips(settings: Fields, spec: ModelSpec) -> bool:
    """Whether punctuation is taken out before the tokeniser.

    Raises:
        Unsupported: the tokeniser is of neither SigLIP nor SigLIP 2, so how texts are read is not known.
    """
    stated = settings.text("tokenizer_class")
    kind = VOCABULARIES.get(spec.architecture.vocab, "") if stated in UNSAID else stated
    if kind not in (*STRIPPING, *KEEPING):
        raise Unsupported(
            f"{spec.name!r} has the tokeniser {stated!r} of {spec.architecture.vocab} tokens; embedstack has SigLIP "
            f"with: {', '.join((*STRIPPING, *KEEPING))}"
        )
    return kind in STRIPPING


def _pad_id(path: Path, settings: Fields, name: str) -> int:
    """The id of the token that fills up.

    Raises:
        ConfigError: none is stated, or the tokeniser does not have it.
        Unsupported: the tokeniser does not put one token behind a text and none before, as in training.
    """
    tokenizer = decode(path, _Tokenizer)
    frame = tokenizer.post_processor.single if tokenizer.post_processor else []
    if [kind for piece in frame for kind in piece] != ["Sequence", "SpecialToken"]:
        raise Unsupported(
            f"{name!r} has a tokenizer.json that does not end each text with one token and begin it with none; "
            "its vectors would be others than in training"
        )
    ids = {token.content: token.id for token in tokenizer.added_tokens}
    is_plain = isinstance(settings.values.get("pad_token"), str)
    pad = settings.text("pad_token") if is_plain else settings.table("pad_token").text("content")
    if pad not in ids:
        raise settings.wrong("pad_token", f"one of the special tokens: {', '.join(list(ids)[:5])}")
    return ids[pad]


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """See Encode."""
    return towers.text(ops, spec, only, causal=False)


def dense(ops: Ops[X], spec: ModelSpec, rows: X) -> X:
    """See Project."""
    return ops.linear(rows, towers.TEXT / "head", spec.architecture.hidden, spec.dim)


# ------------------------------------------------------------------------------------------------ images


def image(ops: Ops[X], spec: ModelSpec) -> X:
    """See See."""
    vision = spec.architecture.vision
    assert vision
    at, wide = towers.IMAGE, vision.hidden
    places = ops.weight(at / "embeddings.position_embedding.weight", vision.tokens, wide)
    x = towers.patches(ops, vision) + ops.weight(at / "embeddings.patch_embedding.bias", wide)
    x = towers.layers(ops, vision, x + ops.rows(places, ops.positions(0)), at)
    return pooled(ops, vision, ops.layer_norm(x, at / "post_layernorm", wide, vision.norm_eps))


def pooled(ops: Ops[X], vision: Vision, x: X) -> X:
    """(tokens, hidden) -> (items, hidden): a learned query asks once per image, then a small network adds to it."""
    at, wide = towers.IMAGE / "head", vision.hidden
    kernel = ops.weight(at / "attention.in_proj_weight", 3 * wide, wide)
    shifts = ops.split(ops.weight(at / "attention.in_proj_bias", 1, 3 * wide, stored_as=(3 * wide,)), 3)
    probe = ops.weight(at / "probe", 1, wide, stored_as=(1, 1, wide))
    q = ops.each(ops.split(ops.matmul(probe, kernel), 3)[0] + shifts[0])
    _, k, v = ops.split(ops.matmul(x, kernel), 3)  # the queries of patches, a third of one product, are unused
    mixed = ops.attention(q, k + shifts[1], v + shifts[2], vision.heads, one_query=True)
    row = ops.linear(mixed, at / "attention.out_proj", wide, wide)
    return row + towers.mlp(ops, vision, ops.layer_norm(row, at / "layernorm", wide, vision.norm_eps), at / "mlp")


def scale(weights: Weights) -> tuple[float, float]:
    """See Family."""
    if not weights.has("logit_scale") or not weights.has("logit_bias"):
        return 0.0, 0.0
    return math.exp(towers.number(weights, "logit_scale")), towers.number(weights, "logit_bias")


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
