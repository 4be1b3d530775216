"""Hidden states -> what a caller asked for: pooled vectors, lexical weights, a vector per token, a relevance logit."""

from typing import TypeVar

import numpy as np

from embedstack.errors import Unsupported
from embedstack.models.family import Project
from embedstack.models.mlm import lexical
from embedstack.models.ops import Ops, Tensor
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Output, Pooling

X = TypeVar("X", bound=Tensor)

POOLER = "pooler.dense"
EMBEDDINGS, LM_HEAD = "embed_tokens.weight", "lm_head.weight"


def finish(
    ops: Ops[X],
    spec: ModelSpec,
    x: X,
    wanted: frozenset[Output],
    only: Pooling | None = None,
    project: Project | None = None,
) -> dict[Output, X]:
    """The wanted outputs of `x` (tokens, hidden), each by its own head.

    Args:
        only: `x` is (items, hidden) already: these rows of each item.
        project: what makes dense vectors of pooled rows, where the family has that.
    Raises:
        Unsupported: the model has no such head.
    """
    if missing := wanted - {*spec.outputs, "states"}:
        raise Unsupported(f"{spec.name!r} has no {sorted(missing)[0]} output; it gives: {', '.join(spec.outputs)}")

    def made(name: Output) -> X:
        match name:
            case "dense":
                rows = x if only else ops.pool(x, spec.pooling)
                return project(ops, spec, rows) if project else rows
            case "score":
                return score(ops, spec, x if only else ops.pool(x, spec.pooling))
            case "sparse":
                return lexical(ops, spec, x) if spec.is_lexical else sparse(ops, spec, x)
            case "multi":
                return multi(ops, spec, x)
            case "states":
                return x

    return {name: made(name) for name in sorted(wanted)}


def only_rows(spec: ModelSpec, wanted: frozenset[Output]) -> Pooling | None:
    """The one token of each item whose row the wanted outputs need at the end; None if they need more."""
    needed = {spec.pooling if name in ("dense", "score") else None for name in wanted}
    (how,) = needed if len(needed) == 1 else (None,)
    return how if how in ("cls", "last") else None


def sparse(ops: Ops[X], spec: ModelSpec, x: X) -> X:
    """(tokens, 1) lexical weights; the maximum per token id is taken later. Source: arXiv:2402.03216, section 3.1."""
    return ops.relu(ops.linear(x, "sparse_linear", spec.architecture.hidden, 1))


def multi(ops: Ops[X], spec: ModelSpec, x: X) -> X:
    """(tokens, hidden), a vector per token, the first one too. Source: arXiv:2402.03216, section 3.1."""
    return ops.linear(x, "colbert_linear", spec.architecture.hidden, spec.architecture.hidden)


def score(ops: Ops[X], spec: ModelSpec, first: X) -> X:
    """(items, hidden), the pooled rows, of most heads the first token's -> (items, labels) logits.

    Source: `BertForSequenceClassification` (GTE's is the same), `XLMRobertaClassificationHead` (MPNet's is the same),
    `DistilBertForSequenceClassification` and `ModernBertForSequenceClassification` of transformers 5.23.
    """
    hidden = spec.architecture.hidden
    match spec.head:
        case "bert":
            pooled = ops.tanh(ops.linear(first, pooler(ops.weights), hidden, hidden))
            return ops.linear(pooled, "classifier", hidden, spec.labels)
        case "roberta":
            pooled = ops.tanh(ops.linear(first, "classifier.dense", hidden, hidden))
            return ops.linear(pooled, "classifier.out_proj", hidden, spec.labels)
        case "distilbert":
            pooled = ops.relu(ops.linear(first, "pre_classifier", hidden, hidden))
            return ops.linear(pooled, "classifier", hidden, spec.labels)
        case "modernbert":
            dense = ops.linear(first, "head.dense", hidden, hidden, bias=spec.head_bias)
            wide = ops.activate(dense, spec.head_activation)
            normed = ops.layer_norm(wide, "head.norm", hidden, spec.architecture.norm_eps, bias=False)
            return ops.linear(normed, "classifier", hidden, spec.labels)
        case "linear":
            return ops.linear(first, "score", hidden, spec.labels, bias=False)
        case "lm_head":
            return answer(ops, spec, first, words(ops.weights))
        case "none" | "bert_mlm" | "distilbert_mlm" | "roberta_mlm":
            raise Unsupported(f"{spec.name!r} has no scoring head")


def pooler(weights: Weights) -> str:
    """Where it lies, whatever the family puts before the names of its encoder."""
    ends = f"{POOLER}.weight"
    before = [name.removesuffix(ends) for name in weights.names() if name.endswith(ends)]
    return weights.prefix(before or [""], ends) + POOLER


def words(weights: Weights) -> str:
    """The table by which states become words: its own, or the one that words become states by.

    transformers 5.23 ties the two only where the file has one of them, or both are equal, whatever config.json says.
    """
    return LM_HEAD if weights.has(LM_HEAD) else f"{weights.prefix(('', 'model.'), EMBEDDINGS)}{EMBEDDINGS}"


def answer(ops: Ops[X], spec: ModelSpec, last: X, table: str) -> X:
    """(items, hidden), the last token's rows -> (items, 1): the logit of the word for yes, less that of the one for no.

    Only their rows of the table of all words are read. What is multiplied is a constant and no product, so that it is
    float32 also where products are not. Source: sentence_transformers 6.2, `cross_encoder/modules/logit_score.py`.
    """
    a = spec.architecture
    yes, *no = ops.weights.rows(table, (a.vocab, a.hidden), spec.score_ids).astype(np.float64)
    towards = yes - no[0] if no else yes
    return ops.mean(last * ops.constant(towards[None])) * ops.number(a.hidden)
