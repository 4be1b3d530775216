"""Hidden states -> what a caller asked for: pooled vectors, lexical weights, a vector per token, a relevance logit."""

from typing import TypeVar

from embedstack.errors import Unsupported
from embedstack.models.ops import Ops, Tensor
from embedstack.types import ModelSpec, Output

X = TypeVar("X", bound=Tensor)


def finish(ops: Ops[X], spec: ModelSpec, x: X, wanted: frozenset[Output]) -> dict[Output, X]:
    """The wanted outputs of `x` (tokens, hidden), each by its own head.

    Raises:
        Unsupported: the model has no such head.
    """
    if missing := wanted - set(spec.outputs):
        raise Unsupported(f"{spec.name!r} has no {sorted(missing)[0]} output; it gives: {', '.join(spec.outputs)}")
    heads = {"dense": dense, "sparse": sparse, "multi": multi, "score": score}
    return {name: heads[name](ops, spec, x) for name in sorted(wanted)}


def dense(ops: Ops[X], spec: ModelSpec, x: X) -> X:
    """(items, hidden), not yet of length 1."""
    return ops.pool(x, spec.pooling)


def sparse(ops: Ops[X], spec: ModelSpec, x: X) -> X:
    """(tokens, 1) lexical weights; the maximum per token id is taken later. Source: arXiv:2402.03216, section 3.1."""
    return ops.relu(ops.linear(x, "sparse_linear", spec.architecture.hidden, 1))


def multi(ops: Ops[X], spec: ModelSpec, x: X) -> X:
    """(tokens, hidden), a vector per token, the first one too. Source: arXiv:2402.03216, section 3.1."""
    return ops.linear(x, "colbert_linear", spec.architecture.hidden, spec.architecture.hidden)


def score(ops: Ops[X], spec: ModelSpec, x: X) -> X:
    """(items, labels) logits.

    Source: `BertForSequenceClassification` and `XLMRobertaClassificationHead` of transformers 5.23.
    """
    hidden = spec.architecture.hidden
    first = ops.pool(x, "cls")
    match spec.head:
        case "bert":
            pooled = ops.tanh(ops.linear(first, f"{ops.weights.prefix(('', 'bert.'))}pooler.dense", hidden, hidden))
            return ops.linear(pooled, "classifier", hidden, spec.labels)
        case "roberta":
            pooled = ops.tanh(ops.linear(first, "classifier.dense", hidden, hidden))
            return ops.linear(pooled, "classifier.out_proj", hidden, spec.labels)
        case "none":
            raise Unsupported(f"{spec.name!r} has no scoring head")
