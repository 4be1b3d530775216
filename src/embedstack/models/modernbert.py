"""ModernBERT: token ids -> hidden states of the last layer.

A pre-layer-norm encoder without biases: positions are turned, most layers see a window, and half of the wide product
gates the other. Source: arXiv:2412.13663; names, defaults and the window's edge of transformers 5.23,
`models/modernbert/modeling_modernbert.py` and `masking_utils.py`.
"""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from embedstack.errors import Unsupported
from embedstack.models.config import activation, divided, magnitude, plain_theta, refuse_set, refuse_switches
from embedstack.models.family import Family
from embedstack.models.folder import Fields
from embedstack.models.ops import At, Ops, Tensor
from embedstack.modelspec import Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)

PREFIXES, WORDS = ("", "model."), "embeddings.tok_embeddings.weight"
EVERY, GLOBAL_THETA, LOCAL_THETA, LOCAL = 3, 160_000.0, 10_000.0, 128  # what a config means that states nothing
FULL, SLIDING = "full_attention", "sliding_attention"
CLASSIFIER_POOLINGS: tuple[Pooling, ...] = ("cls", "mean")


def architecture(config: Fields, name: str) -> Architecture:
    """See Family."""
    refuse_switches(config, name, places=None)
    hidden, heads = divided(config, "hidden_size", "num_attention_heads")
    refuse_set(
        config,
        name,
        {"attention_bias": False, "mlp_bias": False, "norm_bias": False, "head_dim": hidden // heads},
    )
    layers = config.integer("num_hidden_layers")
    return Architecture(
        family="modernbert",
        layers=layers,
        hidden=hidden,
        heads=heads,
        intermediate=config.integer("intermediate_size"),
        vocab=config.integer("vocab_size"),
        positions=config.integer("max_position_embeddings"),
        activation=activation(config, name, "hidden_activation"),
        norm_eps=magnitude(config, "norm_eps", 1e-5),
        rope_theta=_theta(config, name, FULL, "global_rope_theta", GLOBAL_THETA),
        local_theta=_theta(config, name, SLIDING, "local_rope_theta", LOCAL_THETA),
        window=_window(config),
        global_every=_every(config, name, layers),
    )


def _window(config: Fields) -> int:
    """To either side; the field counts both sides."""
    window = config.integer("local_attention", LOCAL) // 2
    if not window:
        raise config.wrong("local_attention", "2 or more")
    return window


def _every(config: Fields, name: str, layers: int) -> int:
    """Of so many layers the first sees everything."""
    if "layer_types" not in config:
        every = config.integer("global_attn_every_n_layers", EVERY)
        if not every:
            raise config.wrong("global_attn_every_n_layers", "1 or more")
        return every
    kinds = config.texts("layer_types")
    for every in range(1, layers + 1):
        if kinds == [SLIDING if number % every else FULL for number in range(layers)]:
            return every
    raise Unsupported(
        f"{name!r} has layer_types={kinds!r}; embedstack has {FULL!r} for the first layer of every so many, "
        f"{SLIDING!r} for the others, and one for each of {layers} layers"
    )


def _theta(config: Fields, name: str, kind: str, key: str, default: float) -> float:
    """Of one kind of layers: where transformers 5 keeps it, else where it was before."""
    if config.table("rope_scaling").values:
        raise Unsupported(f"{name!r} scales its positions (rope_scaling); embedstack takes them as they are")
    kinds = config.table("rope_parameters")
    if other := kinds.values.keys() - {FULL, SLIDING}:
        raise Unsupported(f"{name!r} has {min(other)!r} in rope_parameters; embedstack has {FULL!r} and {SLIDING!r}")
    return plain_theta(config, kinds.table(kind), name, default, key)


def classifier(spec: ModelSpec, folder: Path, config: Fields) -> ModelSpec:
    """Of a model that scores, the row that it scores, and the form of its head, which config.json names.

    Raises:
        ConfigError: it names another row than transformers has.
        Unsupported: an activation that is none of ours.
    """
    if spec.head != "modernbert":
        return spec
    return replace(
        spec,
        pooling=_scored(config),
        head_activation=activation(config, spec.name, "classifier_activation"),
        head_bias=config.flag("classifier_bias"),
    )


def _scored(config: Fields) -> Pooling:
    stated = config.text("classifier_pooling", "cls")
    for pooling in CLASSIFIER_POOLINGS:
        if pooling == stated:
            return pooling
    raise config.wrong("classifier_pooling", f"one of: {', '.join(CLASSIFIER_POOLINGS)}")


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """(tokens, hidden); (items, hidden) where `only` says which token's row of each item is still needed at the end."""
    a = spec.architecture
    at = At(ops.weights.prefix(PREFIXES, WORDS))
    x = ops.rows(ops.weight(at / WORDS, a.vocab, a.hidden), ops.ids())
    x = ops.layer_norm(x, at / "embeddings.norm", a.hidden, a.norm_eps, bias=False)
    most = min(a.positions, spec.max_tokens)
    far, near = (ops.angles(theta, a.size, most) for theta in (a.rope_theta, a.local_theta))
    for number in range(a.layers):
        is_global = number % a.global_every == 0
        turn, window = (far, 0) if is_global else (near, a.window)
        # a layer that sees a window is never pruned: its one query would need the window, too
        last = only if is_global and number == a.layers - 1 else None
        x = layer(ops, a, x, at / f"layers.{number}", turn, window=window, is_first=number == 0, only=last)
    if only and (a.layers - 1) % a.global_every:
        x = ops.pool(x, only)
    return ops.layer_norm(x, at / "final_norm", a.hidden, a.norm_eps, bias=False)


def layer(
    ops: Ops[X], a: Architecture, x: X, at: At, turn: tuple[X, X], *,
    window: int, is_first: bool, only: Pooling | None,
) -> X:  # fmt: skip
    normed = x if is_first else ops.layer_norm(x, at / "attn_norm", a.hidden, a.norm_eps, bias=False)
    q, k, v = ops.split(ops.linear(normed, at / "attn.Wqkv", a.hidden, 3 * a.hidden, bias=False), 3)
    q, k = (ops.rope(part, *turn, a.size) for part in (q, k))
    if only is not None:
        x, q = ops.pool(x, only), ops.pool(q, only)
    mixed = ops.attention(q, k, v, a.heads, window=window, one_query=only is not None)
    x = x + ops.linear(mixed, at / "attn.Wo", a.hidden, a.hidden, bias=False)
    normed = ops.layer_norm(x, at / "mlp_norm", a.hidden, a.norm_eps, bias=False)
    wide, gate = ops.split(ops.linear(normed, at / "mlp.Wi", a.hidden, 2 * a.intermediate, bias=False), 2)
    return x + ops.linear(ops.activate(wide, a.activation) * gate, at / "mlp.Wo", a.intermediate, a.hidden, bias=False)


FAMILY = Family(
    architecture=architecture,
    encoder=encoder,
    # the head of pre-training, which only a model that scores reads
    unread=("head.*", "decoder.*"),
    adapt=classifier,
)
