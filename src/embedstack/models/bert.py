"""BERT, RoBERTa, XLM-RoBERTa and CamemBERT: token ids -> hidden states of the last layer.

One graph (post-layer-norm encoder, absolute positions); the families differ in where positions begin and in whether
segments exist, and both are numbers of the spec. Source: arXiv:1810.04805, arXiv:1907.11692, arXiv:1911.02116; tensor
names of transformers 5.23, `models/bert/modeling_bert.py`.
"""

from typing import TypeVar

from embedstack.models.ops import At, Ops, Tensor
from embedstack.types import Architecture, ModelSpec

X = TypeVar("X", bound=Tensor)

PREFIXES = ("", "bert.", "roberta.", "xlm_roberta.", "camembert.")


def encoder(ops: Ops[X], spec: ModelSpec) -> X:
    """(tokens, hidden)."""
    a = spec.architecture
    at = At(ops.weights.prefix(PREFIXES))
    x = embeddings(ops, a, at / "embeddings")
    for number in range(a.layers):
        x = layer(ops, a, x, at / f"encoder.layer.{number}")
    return x


def embeddings(ops: Ops[X], a: Architecture, at: At) -> X:
    words = ops.rows(ops.weight(at / "word_embeddings.weight", a.vocab, a.hidden), ops.ids())
    places = ops.weight(at / "position_embeddings.weight", a.positions, a.hidden)
    kinds = ops.weight(at / "token_type_embeddings.weight", a.segments, a.hidden)
    x = words + ops.rows(kinds, ops.segments()) + ops.rows(places, ops.positions(a.position_offset))
    return ops.layer_norm(x, at / "LayerNorm", a.hidden, a.norm_eps)


def layer(ops: Ops[X], a: Architecture, x: X, at: At) -> X:
    q, k, v = ops.linears(x, [at / f"attention.self.{part}" for part in ("query", "key", "value")], a.hidden, a.hidden)
    mixed = ops.linear(ops.attention(q, k, v, a.heads), at / "attention.output.dense", a.hidden, a.hidden)
    x = ops.layer_norm(x + mixed, at / "attention.output.LayerNorm", a.hidden, a.norm_eps)
    wide = ops.activate(ops.linear(x, at / "intermediate.dense", a.hidden, a.intermediate), a.activation)
    narrow = ops.linear(wide, at / "output.dense", a.intermediate, a.hidden)
    return ops.layer_norm(x + narrow, at / "output.LayerNorm", a.hidden, a.norm_eps)
