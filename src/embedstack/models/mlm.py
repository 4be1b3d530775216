"""Hidden states -> SPLADE's weights over the vocabulary, by the head that a masked language model was trained with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from embedstack.models.ops import Ops, Tensor
from embedstack.models.weights import WORDS, Weights
from embedstack.modelspec import Head, ModelSpec

X = TypeVar("X", bound=Tensor)

PREFIXES = ("", "bert.", "roberta.", "xlm_roberta.", "camembert.", "distilbert.")


@dataclass(frozen=True, slots=True)
class Names:
    """Where the parts lie. `shifts`: of the logits; where a file has both, the decoder's own is what is added."""

    dense: str
    norm: str
    table: str
    shifts: tuple[str, ...]


HEADS: Mapping[Head, Names] = {
    "bert_mlm": Names(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.decoder.weight",
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ),
    "distilbert_mlm": Names("vocab_transform", "vocab_layer_norm", "vocab_projector.weight", ("vocab_projector.bias",)),
    "roberta_mlm": Names(
        "lm_head.dense", "lm_head.layer_norm", "lm_head.decoder.weight", ("lm_head.decoder.bias", "lm_head.bias")
    ),
}
"""Source: transformers 5.23, `BertLMPredictionHead`, `DistilBertForMaskedLM` and `RobertaLMHead`."""


def lexical(ops: Ops[X], spec: ModelSpec, x: X) -> X:
    """(tokens, hidden) -> (items, vocab): log(1 + the largest logit of the item's tokens), 0 where that is below 0.

    The logarithm grows with its logit, so the largest can be taken before it. Source: arXiv:2109.10086, section 3; the
    logarithm of the logarithm is of arXiv:2504.14839.
    """
    a, names = spec.architecture, HEADS[spec.head]
    wide = ops.linear(x, names.dense, a.hidden, a.hidden)
    wide = ops.gelu(wide) if spec.head == "roberta_mlm" else ops.activate(wide, a.activation)
    wide = ops.layer_norm(wide, names.norm, a.hidden, a.norm_eps)
    peaks = ops.peaks(wide, table_of(ops.weights, names), a.hidden, a.vocab)
    weights = ops.log1p(ops.relu(peaks + ops.weight(shift_of(ops.weights, names), a.vocab)))
    return ops.log1p(weights) if spec.log_twice else weights


def table_of(weights: Weights, names: Names) -> str:
    """The tensor that logits are products with: the head's own, else the one that ids are looked up in."""
    return names.table if weights.has(names.table) else weights.prefix(PREFIXES) + WORDS


def shift_of(weights: Weights, names: Names) -> str:
    return next((name for name in names.shifts if weights.has(name)), names.shifts[-1])
