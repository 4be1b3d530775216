"""Hidden states -> what a caller asked for: pooled vectors, lexical weights, a vector per token, a relevance logit."""

from typing import TypeVar

from embedstack.errors import Unsupported
from embedstack.models.family import Project
from embedstack.models.ops import Ops, Tensor
from embedstack.types import ModelSpec, Output, Pooling

X = TypeVar("X", bound=Tensor)


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
    if missing := wanted - set(spec.outputs):
        raise Unsupported(f"{spec.name!r} has no {sorted(missing)[0]} output; it gives: {', '.join(spec.outputs)}")

    def made(name: Output) -> X:
        match name:
            case "dense":
                rows = x if only else ops.pool(x, spec.pooling)
                return project(ops, spec, rows) if project else rows
            case "score":
                return score(ops, spec, x if only else ops.pool(x, spec.pooling))
            case "sparse":
                return sparse(ops, spec, x)
            case "multi":
                return multi(ops, spec, x)

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
    """(items, hidden), the first token's rows -> (items, labels) logits.

    Source: `BertForSequenceClassification` and `XLMRobertaClassificationHead` of transformers 5.23.
    """
    hidden = spec.architecture.hidden
    match spec.head:
        case "bert":
            pooled = ops.tanh(ops.linear(first, f"{ops.weights.prefix(('', 'bert.'))}pooler.dense", hidden, hidden))
            return ops.linear(pooled, "classifier", hidden, spec.labels)
        case "roberta":
            pooled = ops.tanh(ops.linear(first, "classifier.dense", hidden, hidden))
            return ops.linear(pooled, "classifier.out_proj", hidden, spec.labels)
        case "none":
            raise Unsupported(f"{spec.name!r} has no scoring head")
