"""Qwen3: token ids -> hidden states of the last layer, of models that embed and of models that rerank.

A decoder: a token sees itself and those before it, so the last one has seen all. Several heads of queries share one of
keys and values, and a head's width is stated apart from the model's. Source: arXiv:2505.09388, section 2; names and
defaults of transformers 5.23, `models/qwen3/modeling_qwen3.py`.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from embedstack.errors import Unsupported
from embedstack.models.card import read_card
from embedstack.models.config import (
    activation,
    divided,
    magnitude,
    plain_theta,
    positive,
    refuse_set,
    refuse_switches,
    turning,
)
from embedstack.models.family import Family
from embedstack.models.folder import Fields, has_weights, root_of
from embedstack.models.gated_half import gated_half
from embedstack.models.heads import LM_HEAD
from embedstack.models.ops import At, Ops, Tensor
from embedstack.models.weights import open_weights
from embedstack.modelspec import Architecture, ModelSpec, Pooling

X = TypeVar("X", bound=Tensor)

PREFIXES, WORDS = ("", "model."), "embed_tokens.weight"
HEAD_SIZE, THETA = 128, 10_000.0  # what a config means that states nothing
FULL = "full_attention"
# of the cards of Qwen3-Embedding, which no other file states
WIDTHS = re.compile(r"output dimensions ranging from (\d+) to (\d+)")


def architecture(config: Fields, name: str) -> Architecture:
    """See Family."""
    refuse_switches(config, name, places=None)
    refuse_set(config, name, {"attention_bias": False, "use_bidirectional_attention": False, "is_causal": True})
    heads, kv_heads = divided(config, "num_attention_heads", "num_key_value_heads")
    layers = config.integer("num_hidden_layers")
    _refuse_windows(config, name, layers)
    return Architecture(
        family="qwen3",
        layers=layers,
        hidden=positive(config, "hidden_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_size=_head_size(config),
        intermediate=config.integer("intermediate_size"),
        vocab=config.integer("vocab_size"),
        positions=config.integer("max_position_embeddings"),
        activation=activation(config, name, default="silu"),
        norm_eps=magnitude(config, "rms_norm_eps", 1e-6),
        rope_theta=plain_theta(config, turning(config, name), name, THETA),
    )


def _head_size(config: Fields) -> int:
    size = config.integer("head_dim", HEAD_SIZE)
    if not size or size % 2:
        raise config.wrong("head_dim", "an even number above 0, since positions turn its two halves")
    return size


def _refuse_windows(config: Fields, name: str, layers: int) -> None:
    """A window that no layer uses is stated by most configs."""
    has_windows = any(kind != FULL for kind in config.texts("layer_types"))
    if "layer_types" not in config and config.flag("use_sliding_window"):
        has_windows = config.integer("max_window_layers", layers) < layers
    if has_windows:
        raise Unsupported(f"{name!r} has layers that see a window (use_sliding_window); embedstack has {FULL!r} only")


def adapt(spec: ModelSpec, folder: Path, config: Fields) -> ModelSpec:
    """See Family.

    Raises:
        ConfigError: the file lacks the table by which it answers; transformers would draw one.
    """
    may_lack = spec.head == "lm_head" and not config.flag("tie_word_embeddings")
    if may_lack and _has_weights(folder) and not open_weights(folder).has(LM_HEAD):
        raise config.wrong("tie_word_embeddings", f"true, since the weights hold no {LM_HEAD!r}")
    return widths(spec, folder)


def _has_weights(folder: Path) -> bool:
    return has_weights(path.name for path in root_of(folder).iterdir())


def widths(spec: ModelSpec, folder: Path) -> ModelSpec:
    """The spec with the widths that the model card says a vector may be cut to."""
    stated = WIDTHS.search(read_card(folder))
    if stated is None or spec.task != "embed" or int(stated[2]) != spec.dim:
        return spec
    return replace(spec, cuts=tuple(range(max(1, int(stated[1])), spec.dim)))


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """(tokens, hidden); (items, hidden) where `only` says which token's row of each item is still needed at the end."""
    a = spec.architecture
    at = At(ops.weights.prefix(PREFIXES, WORDS))
    x = ops.rows(ops.weight(at / WORDS, a.vocab, a.hidden), ops.ids())
    turn = ops.angles(a.rope_theta, a.size, min(a.positions, spec.max_tokens))
    for number in range(a.layers):
        # the one query of a pruned layer sees its whole item, so it can only be the last token's
        is_last = only == "last" and number == a.layers - 1
        x = layer(ops, a, x, at / f"layers.{number}", turn, is_last=is_last)
    if only and only != "last":
        x = ops.pool(x, only)
    return ops.rms_norm(x, at / "norm", a.hidden, a.norm_eps)


def layer(ops: Ops[X], a: Architecture, x: X, at: At, turn: tuple[X, X], *, is_last: bool) -> X:
    normed = ops.rms_norm(x, at / "input_layernorm", a.hidden, a.norm_eps)
    k, v = shared(ops, a, normed, at / "self_attn", turn)
    if is_last:
        x, normed = ops.pool(x, "last"), ops.pool(normed, "last")
        turn = ops.pool(turn[0], "last"), ops.pool(turn[1], "last")
    wide = a.heads * a.size
    q = ops.linear(normed, at / "self_attn.q_proj", a.hidden, wide, bias=False)
    q = ops.rope(ops.rms_norm(q, at / "self_attn.q_norm", a.size, a.norm_eps, heads=a.heads), *turn, a.size)
    mixed = ops.attention(q, k, v, a.heads, one_query=is_last, causal=True)
    return gated_half(ops, a, x + ops.linear(mixed, at / "self_attn.o_proj", wide, a.hidden, bias=False), at)


def shared(ops: Ops[X], a: Architecture, normed: X, at: At, turn: tuple[X, X]) -> tuple[X, X]:
    """Keys and values (tokens, heads * size), each for the heads of queries that share it."""
    few = a.kv_heads * a.size
    k, v = ops.linears(normed, [at / "k_proj", at / "v_proj"], a.hidden, few, bias=False)
    k = ops.rope(ops.rms_norm(k, at / "k_norm", a.size, a.norm_eps, heads=a.kv_heads), *turn, a.size)
    times = a.heads // a.kv_heads
    return (k, v) if times == 1 else (ops.repeat(k, a.size, times), ops.repeat(v, a.size, times))


FAMILY = Family(
    architecture=architecture,
    encoder=encoder,
    # what turns the last state into words, of which a reranker reads two rows
    unread=(LM_HEAD,),
    adapt=adapt,
    causal=True,
)
