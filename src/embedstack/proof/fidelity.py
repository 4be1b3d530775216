"""Truth and what was made of the same probes -> how near they are, and whether that is near enough. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import Mismatch
from embedstack.types import Floats, ModelSpec, Output, Precision, Sparse

JUDGED_AS: Precision = "bfloat16"  # what an endpoint that does not say is held to: servers run in 16 bits by default
TIE = 1e-5  # scores nearer than this are equal: float32 sums of other orders differ by less
TOP = 10
Array = NDArray[np.float64]
Rows = Sequence[Floats]
"""One array for each probe: dense (dim,), score (labels,), multi (vectors, dim), sparse (terms, 2) of id and weight."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a precision must reach."""

    least: float  # cosine of the worst vector to its truth
    mean: float  # of all vectors
    alone: float  # cosine of the worst vector, made alone, to itself in a batch
    score: float  # largest difference of a logit, as a share of the spread of all logits
    order: float  # share of pairs of scores that stand in the same order


# 1 - cosine to truth, measured with all-MiniLM-L6-v2: float32 4e-13, so 1e-6 is a wrong graph and no noise; float16
# 1e-6 and bfloat16 6e-5 on average (PyTorch's on a processor), with room for deeper models; tf32 rounds as float16
# does; smoothed static int8 6e-4, at an unchanged nDCG@10.
LIMITS: Mapping[Precision, Limits] = {
    "float64": Limits(0.999999, 0.999999, 0.999999, 1e-4, 0.999),
    "float32": Limits(0.999999, 0.999999, 0.999999, 1e-4, 0.999),
    "tf32": Limits(0.9999, 0.9999, 0.9999, 0.01, 0.99),
    "bfloat16": Limits(0.9998, 0.9999, 0.9998, 0.05, 0.97),
    "float16": Limits(0.9999, 0.9999, 0.9999, 0.01, 0.99),
    "int8": Limits(0.997, 0.999, 0.997, 0.1, 0.95),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """One output beside its truth. Of a reranker `least` and `mean` are None, of the others `order` is."""

    output: Output
    probes: int
    least: float | None = None
    mean: float | None = None
    largest: float  # difference of one number: of unit vectors, of lexical weights, or of logits by their spread
    top: float | None = None  # share of the truth's top 10 found, ties counted as found
    order: float | None = None
    alone: float | None = None

    def fails(self, precision: Precision) -> list[str]:
        """What is beyond the precision's limits, in words; nothing if all is well."""
        limits, said = LIMITS[precision], []
        for name, value, limit in (
            ("the least cosine", self.least, limits.least),
            ("the mean cosine", self.mean, limits.mean),
            ("alone against in a batch", self.alone, 1 - limits.score if self.output == "score" else limits.alone),
            ("the share of scores in order", self.order, limits.order),
        ):
            if value is not None and not value >= limit:  # not a number fails too
                said.append(f"{name} is {value:.7f}, {precision} must reach {limit}")
        if self.output == "score" and not self.largest <= limits.score:
            said.append(
                f"a score is off by {self.largest:.2e} of their spread, {precision} may be off by {limits.score}"
            )
        return said


def precision_of(spec: ModelSpec, fingerprint: str) -> tuple[Precision, str]:
    """The one whose fingerprint was told."""
    for precision in get_args(Precision):
        if fingerprint == spec.fingerprint(precision):
            return precision, "as its fingerprint says"
    return JUDGED_AS, "it does not say; give --precision to hold it to another"


def fidelity(
    output: Output,
    truth: Mapping[str, Floats],
    made: Mapping[str, Floats],
    *,
    alone: Mapping[str, Floats] | None = None,
    queries: Sequence[str] = (),
    documents: Sequence[str] = (),
) -> Fidelity:
    """How near one output is to its truth; all by probe name, see `Rows` for the shapes.

    Args:
        made: of the same probes, in one request.
        alone: of some probes, each in a request of its own.
        queries, documents: the retrieval set; nothing is ranked where it is empty.
    Raises:
        Mismatch: another width, or another number of vectors: no cosine says anything then.
    """
    names = list(made)
    pairs = [_paired(output, name, truth[name], made[name]) for name in names]
    lone = [_paired(output, name, made[name], row) for name, row in (alone or {}).items()]
    if output == "score":
        return _scores(pairs, lone)
    cosines = [cosine for one, other in pairs for cosine in _cosines(one, other)]
    kept = {name: pair for name, pair in zip(names, pairs, strict=True) if name in {*queries, *documents}}
    is_ranked = output == "dense" and bool(queries) and {*queries, *documents} == {*kept}
    return Fidelity(
        output=output,
        probes=len(names),
        least=min(cosines),
        mean=float(np.mean(cosines)),
        largest=max(_largest(output, *pair) for pair in pairs),
        top=_overlap(kept, queries, documents) if is_ranked else None,
        alone=min((cosine for one, other in lone for cosine in _cosines(one, other)), default=None),
    )


def unit(rows: Array) -> Array:
    """Each row at length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), np.float64)


def distances(one: Array, other: Array) -> Array:
    """(items, width) twice -> 1 - cosine of each, exact also where that is tiny."""
    apart = unit(one) - unit(other)
    return np.asarray((apart * apart).sum(axis=-1) / 2, np.float64)


def of_sparse(sparse: Sparse) -> Floats:
    """(terms, 2): ids and weights as one array; ids are far below 2^24, which float32 holds exactly."""
    return np.stack([sparse.ids.astype(np.float32), sparse.weights], axis=1)


def _paired(output: Output, name: str, truth: Floats, made: Floats) -> tuple[Array, Array]:
    """Both as (vectors, width) in float64."""
    if output == "sparse":
        return _aligned(truth, made)
    one, other = (np.atleast_2d(np.asarray(rows, np.float64)) for rows in (truth, made))
    if one.shape[1] != other.shape[1]:
        raise Mismatch(
            f"the endpoint gives {output} vectors of {other.shape[1]} numbers, the model has {one.shape[1]}; "
            "it serves another model, or cuts vectors"
        )
    if len(one) != len(other):
        raise Mismatch(
            f"probe {name!r} got {len(other)} {output} vectors, the model gives {len(one)}; the tokeniser is another"
        )
    return one, other


def _aligned(truth: Floats, made: Floats) -> tuple[Array, Array]:
    """Two bags of (id, weight) as rows over the ids of either; a weight that one lacks is 0."""
    bags = [dict(zip(bag[:, 0].tolist(), bag[:, 1].tolist(), strict=True)) for bag in (truth, made)]
    ids = sorted({*bags[0], *bags[1]})
    one, other = (np.array([[bag.get(i, 0.0) for i in ids]], np.float64) for bag in bags)
    return one, other


def _cosines(one: Array, other: Array) -> list[float]:
    if not one.size:  # no lexical weight on either side
        return [1.0]
    return [float(value) for value in 1.0 - distances(one, other)]


def _largest(output: Output, one: Array, other: Array) -> float:
    if not one.size:
        return 0.0
    apart = one - other if output == "sparse" else unit(one) - unit(other)
    return float(np.abs(apart).max())


def _overlap(kept: Mapping[str, tuple[Array, Array]], queries: Sequence[str], documents: Sequence[str]) -> float:
    """The share of the truth's best documents that are found; one within a tie of the last of them counts as found."""

    def scores(side: Callable[[tuple[Array, Array]], Array]) -> Array:
        asked, held = (unit(np.concatenate([side(kept[name]) for name in names])) for names in (queries, documents))
        return np.asarray(asked @ held.T, np.float64)

    true, found = scores(lambda pair: pair[0]), scores(lambda pair: pair[1])
    top = min(TOP, len(documents))
    last = np.sort(true, axis=1)[:, -top]
    chosen = np.argsort(-found, axis=1, kind="stable")[:, :top]
    return float((np.take_along_axis(true, chosen, axis=1) >= last[:, None] - TIE).mean())


def _scores(pairs: Sequence[tuple[Array, Array]], lone: Sequence[tuple[Array, Array]]) -> Fidelity:
    true, made = (np.array([pair[side][0, 0] for pair in pairs]) for side in (0, 1))
    spread = max(float(np.ptp(true)), np.finfo(np.float32).tiny)
    apart = true[:, None] - true[None, :]
    clear = apart > TIE * spread
    kept = (made[:, None] - made[None, :] > 0)[clear]
    off = [abs(one[0, 0] - other[0, 0]) / spread for one, other in lone]
    return Fidelity(
        output="score",
        probes=len(pairs),
        largest=float(np.abs(true - made).max()) / spread,
        order=float(kept.mean()) if kept.size else 1.0,
        alone=1.0 - float(max(off)) if off else None,
    )
