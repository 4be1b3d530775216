"""Truth and what was made of the same probes -> how near they are, and whether that is near enough. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import Mismatch
from embedstack.modelspec import ModelSpec, Output, Precision
from embedstack.runtimes.int8 import METHOD
from embedstack.types import Floats, Sparse

JUDGED_AS: Precision = "bfloat16"  # what an endpoint that does not say is held to: servers run in 16 bits by default
TIE = 1e-5  # scores nearer than this are equal: float32 sums of other orders differ by less
TOP = 10
LENGTH = 0.01  # share; a length this far from 1 is not of a normalised vector
TINY = 1e-30
Array = NDArray[np.float64]
Rows = Sequence[Floats]
"""One array for each probe: dense (dim,), score (labels,), multi (vectors, dim), sparse (terms, 2) of id and weight."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a precision must reach."""

    least: float  # cosine of the worst vector to its truth
    mean: float  # of all vectors
    alone: float  # cosine of the worst vector, made alone, to itself in a batch
    score: float  # largest difference of a logit as a share of the spread of all, of a lexical weight of the largest
    order: float  # share of pairs of scores that stand in the same order
    top: float  # share of the truth's best documents that are found


# 1 - cosine to truth, measured with all-MiniLM-L6-v2: float32 4e-13, so 1e-6 is a wrong graph and no noise; float16
# 1e-6 and bfloat16 6e-5 on average (PyTorch's on a processor), with room for deeper models; tf32 rounds as float16
# does; int8 7e-4 (2.7e-3 at worst), at an unchanged nDCG@10. The least share of the top 10, over that model and the
# small ones of the tests: float32 1, float16 0.9875, bfloat16 0.975, int8 0.95. The largest difference of a lexical
# weight, as a share: float32 4e-7, float16 1e-3, bfloat16 8e-3, int8 2e-2. Lengths: 2e-7 in all.
LIMITS: Mapping[Precision, Limits] = {
    "float64": Limits(0.999999, 0.999999, 0.999999, 1e-4, 0.999, 1.0),
    "float32": Limits(0.999999, 0.999999, 0.999999, 1e-4, 0.999, 1.0),
    "tf32": Limits(0.9999, 0.9999, 0.9999, 0.01, 0.99, 0.97),
    "bfloat16": Limits(0.9998, 0.9999, 0.9998, 0.05, 0.97, 0.95),
    "float16": Limits(0.9999, 0.9999, 0.9999, 0.01, 0.99, 0.97),
    "int8": Limits(0.997, 0.999, 0.997, 0.1, 0.95, 0.9),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """One output beside its truth. Of a reranker `least` and `mean` are None, of the others `order` is."""

    output: Output
    probes: int
    worst: str  # the probe with the least cosine; of lexical weights and logits, with the largest difference
    least: float | None = None
    mean: float | None = None
    largest: float  # difference of one number of unit vectors; of a weight or logit as a share, see `Limits.score`
    length: float | None = None  # how far a vector's length is from what it should be, as a share of that
    top: float | None = None  # share of the truth's top 10 found, ties counted as found
    order: float | None = None
    alone: float | None = None

    def fails(self, precision: Precision) -> list[str]:
        """What is beyond the precision's limits, in words; nothing if all is well. Not a number fails everywhere."""
        limits, at = LIMITS[precision], f" at {self.worst!r}"
        by_number = self.output in ("sparse", "score")
        floors = (
            ("the least cosine", self.least, "" if by_number else at, limits.least),
            ("the mean cosine", self.mean, "", limits.mean),
            ("alone against in a batch", self.alone, "", 1 - limits.score if self.output == "score" else limits.alone),
            ("the share of scores in order", self.order, "", limits.order),
            (f"the share of the top {TOP} documents found", self.top, "", limits.top),
        )
        said = [
            f"{name} is {value:.7f}{where}, {precision} must reach {limit}"
            for name, value, where, limit in floors
            if value is not None and not value >= limit
        ]
        if by_number and not self.largest <= limits.score:
            what, of = ("a score", "their spread") if self.output == "score" else ("a lexical weight", "the largest")
            said.append(f"{what} is off by {self.largest:.2e} of {of}{at}, {precision} may be off by {limits.score}")
        if self.length is not None and not self.length <= LENGTH:
            said.append(f"a length is off by {self.length:.2e} of what it should be, {LENGTH} is the most")
        return said


def precision_of(spec: ModelSpec, fingerprint: str) -> tuple[Precision, str]:
    """The one whose fingerprint was told."""
    known: dict[str, Precision] = {spec.fingerprint(precision): precision for precision in get_args(Precision)}
    known[spec.fingerprint("int8", calibration=METHOD)] = "int8"
    if fingerprint in known:
        return known[fingerprint], "by its own fingerprint"
    return JUDGED_AS, "it does not say; give --precision to hold it to another"


def fidelity(
    output: Output,
    truth: Mapping[str, Floats],
    made: Mapping[str, Floats],
    *,
    alone: Mapping[str, Floats] | None = None,
    queries: Sequence[str] = (),
    documents: Sequence[str] = (),
    is_unit: bool = True,
) -> Fidelity:
    """How near one output is to its truth; all by probe name, see `Rows` for the shapes.

    Args:
        made: of the same probes, in one request.
        alone: of some probes, each in a request of its own.
        queries, documents: the retrieval set; nothing is ranked where it is empty.
        is_unit: vectors that were made must be of length 1, whatever the truth's are; else as long as the truth's.
    Raises:
        Mismatch: another width, or another number of vectors: no cosine says anything then.
    """
    names = list(made)
    pairs = [_paired(output, name, truth[name], made[name]) for name in names]
    lone = [_paired(output, name, made[name], row) for name, row in (alone or {}).items()]
    if output == "score":
        return _scores(names, pairs, lone, float(np.ptp([*truth.values()])))
    cosines = [_cosines(one, other) for one, other in pairs]
    off = [_largest(output, *pair) for pair in pairs]
    scale = max((float(row[:, 1].max()) for row in truth.values() if len(row)), default=0) if output == "sparse" else 1
    kept = {name: pair for name, pair in zip(names, pairs, strict=True) if name in {*queries, *documents}}
    is_ranked = output == "dense" and bool(queries) and {*queries, *documents} == {*kept}
    least = [each.min() for each in cosines]
    return Fidelity(
        output=output,
        probes=len(names),
        worst=names[int(np.argmax(off) if output == "sparse" else np.argmin(least))],
        least=float(np.min(least)),
        mean=float(np.mean(np.concatenate(cosines))),
        largest=float(np.max(off)) / max(scale, TINY),
        length=None if output == "sparse" else float(np.max([_stretch(*pair, is_unit=is_unit) for pair in pairs])),
        top=_overlap(kept, queries, documents) if is_ranked else None,
        alone=float(np.min(np.concatenate([_cosines(one, other) for one, other in lone]))) if lone else None,
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


def _cosines(one: Array, other: Array) -> Array:
    return np.asarray(1.0 - distances(one, other) if one.size else np.ones(1))  # no lexical weight on either side


def _stretch(true: Array, made: Array, *, is_unit: bool) -> float:
    found, wanted = np.linalg.norm(made, axis=1), 1.0 if is_unit else np.linalg.norm(true, axis=1)
    return float(np.max(np.abs(found - wanted) / np.maximum(wanted, TINY)))


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


def _scores(
    names: Sequence[str],
    pairs: Sequence[tuple[Array, Array]],
    lone: Sequence[tuple[Array, Array]],
    spread: float,
) -> Fidelity:
    """`spread`: of all that is true, whether it was asked for or not. Of several labels each has its own order."""
    true, made = (np.array([pair[side][0] for pair in pairs]) for side in (0, 1))  # (probes, labels)
    spread = max(spread, TINY)
    clear = true[:, None] - true[None, :] > TIE * spread
    kept = (made[:, None] - made[None, :] > 0)[clear]
    off = np.abs(true - made).max(axis=1) / spread
    return Fidelity(
        output="score",
        probes=len(pairs),
        worst=names[int(np.argmax(off))],
        largest=float(np.max(off)),
        order=float(kept.mean()) if kept.size else 1.0,
        alone=1.0 - float(np.max([abs(one - other) for one, other in lone])) / spread if lone else None,
    )
