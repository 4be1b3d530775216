"""Rankings and judgements -> nDCG, MRR, recall and the like; two lists -> their correlation; two matrices -> a ranking.

Rankings are judged as trec_eval does it, and agree with ir_measures (the tests compare them):
scored documents of equal score stand in falling order of their ids, and scores are compared in float32;
a list of documents stands as it is;
the gain of a document is its grade (linear), and a grade below 1, or none, gains nothing;
every judged query counts, with 0 where the run lacks it or where no document is relevant; other queries do not count.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, log2
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import BadRequest
from embedstack.types import Floats

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""Query id -> document id -> grade; 1 and above is relevant."""
Run: TypeAlias = Mapping[str, Mapping[str, float]]
"""Query id -> document id -> score; higher is better."""
Orders: TypeAlias = Mapping[str, Sequence[str]]
"""Query id -> document ids, best first."""

BLOCK = 1024  # queries and documents at a time: 8 MB of scores in float64


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure of each judged query, and their mean."""

    queries: Mapping[str, float]
    mean: float


# ------------------------------------------------------------------------------------------------ rankings


def ndcg(qrels: Qrels, run: Run | Orders, k: int | None = None) -> Measured:
    """Normalised discounted cumulative gain of the first k, or of all, from 0 to 1.

    Raises:
        BadRequest: k below 1, no judged query, a score that is not a number, or a document that is listed twice.
    Source:
        Järvelin and Kekäläinen 2002, https://doi.org/10.1145/582415.582418; trec_eval's `ndcg_cut`.
    """

    def of(grades: Mapping[str, int], ranked: Sequence[str]) -> float:
        ideal = _discounted(sorted(grades.values(), reverse=True)[:k])
        return _discounted([grades.get(document, 0) for document in ranked]) / ideal if ideal else 0.0

    return _measured(qrels, run, k, of)


def mrr(qrels: Qrels, run: Run | Orders, k: int | None = None) -> Measured:
    """One over the rank of the first relevant document, 0 if it is not among the first k, or at all; from 0 to 1.

    Ties fall as everywhere here, so this is trec_eval's `recip_rank`. ir_measures' `RR@k` is MS MARCO's script,
    which orders equal scores by rising id instead; without ties the two are equal.

    Raises:
        BadRequest: as `ndcg`.
    """

    def of(grades: Mapping[str, int], ranked: Sequence[str]) -> float:
        ranks = (rank for rank, document in enumerate(ranked, 1) if grades.get(document, 0) > 0)
        return next((1 / rank for rank in ranks), 0.0)

    return _measured(qrels, run, k, of)


def recall(qrels: Qrels, run: Run | Orders, k: int) -> Measured:
    """Share of the relevant documents that are among the first k, from 0 to 1; trec_eval's `recall`.

    Raises:
        BadRequest: as `ndcg`.
    """

    def of(grades: Mapping[str, int], ranked: Sequence[str]) -> float:
        relevant = _relevant(grades)
        return _hits(grades, ranked) / relevant if relevant else 0.0

    return _measured(qrels, run, k, of)


def precision(qrels: Qrels, run: Run | Orders, k: int) -> Measured:
    """Relevant ones among the first k, over k also where fewer were found; from 0 to 1; trec_eval's `P`.

    Raises:
        BadRequest: as `ndcg`.
    """
    return _measured(qrels, run, k, lambda grades, ranked: _hits(grades, ranked) / k)


def hit(qrels: Qrels, run: Run | Orders, k: int) -> Measured:
    """1 where a relevant document is among the first k, else 0; trec_eval's `success`.

    Raises:
        BadRequest: as `ndcg`.
    """
    return _measured(qrels, run, k, lambda grades, ranked: float(_hits(grades, ranked) > 0))


def average_precision(qrels: Qrels, run: Run | Orders, k: int | None = None) -> Measured:
    """Precision at the rank of each relevant document, 0 for one that is not among the first k, or at all: their mean.

    From 0 to 1; trec_eval's `map`, and `map_cut` with k. Its mean over the queries is what MAP stands for.

    Raises:
        BadRequest: as `ndcg`.
    """

    def of(grades: Mapping[str, int], ranked: Sequence[str]) -> float:
        ranks = (rank for rank, document in enumerate(ranked, 1) if grades.get(document, 0) > 0)
        relevant = _relevant(grades)
        return sum(found / rank for found, rank in enumerate(ranks, 1)) / relevant if relevant else 0.0

    return _measured(qrels, run, k, of)


def judged(qrels: Qrels, run: Run | Orders, k: int | None = None) -> Measured:
    """Share of the first k, or of all, on which somebody judged, whatever the grade; 0 where nothing was found.

    Where fewer than k were found it is the share of those: ir_measures' `Judged`, but for ties, as in `mrr`.

    Raises:
        BadRequest: as `ndcg`.
    """

    def of(grades: Mapping[str, int], ranked: Sequence[str]) -> float:
        return sum(document in grades for document in ranked) / len(ranked) if ranked else 0.0

    return _measured(qrels, run, k, of)


def _hits(grades: Mapping[str, int], ranked: Sequence[str]) -> int:
    return sum(grades.get(document, 0) > 0 for document in ranked)


def _relevant(grades: Mapping[str, int]) -> int:
    return sum(grade > 0 for grade in grades.values())


def _measured(
    qrels: Qrels, run: Run | Orders, k: int | None, of: Callable[[Mapping[str, int], Sequence[str]], float]
) -> Measured:
    if k is not None and k < 1:
        raise BadRequest(f"k={k} is below 1; give the number of ranks to look at, such as 10")
    if not qrels:
        raise BadRequest("no query is judged, so there is nothing to measure; give qrels with at least one query")
    queries = {query: of(grades, _first(query, run.get(query, ()), k)) for query, grades in qrels.items()}
    return Measured(queries, sum(queries.values()) / len(queries))


def _first(query: str, found: Mapping[str, float] | Sequence[str], k: int | None) -> Sequence[str]:
    """The ids of the best k, or of all."""
    if isinstance(found, Mapping):
        return _ranked(query, found)[:k]
    if len(set(found)) < len(found):
        twice = next(document for rank, document in enumerate(found) if document in found[:rank])
        raise BadRequest(f"the ranking of query {query!r} lists document {twice!r} twice; list each document once")
    return found[:k]


def _ranked(query: str, scores: Mapping[str, float]) -> list[str]:
    """Falling score, and among equals falling id."""
    if lost := [document for document, score in scores.items() if isnan(score)]:
        raise BadRequest(f"the score of document {lost[0]!r} for query {query!r} is not a number; leave it out")
    with np.errstate(over="ignore"):  # beyond float32 is infinity, there as here
        rounded = np.fromiter(scores.values(), np.float64, len(scores)).astype(np.float32)
    order = sorted(zip(rounded.tolist(), scores, strict=True), reverse=True)
    return [document for _, document in order]


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, 1) if gain > 0)


# ------------------------------------------------------------------------------------------------ correlation


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation of two equally long sequences, from -1 to 1; equal values share their average rank.

    Raises:
        BadRequest: lengths differ or are below 2, a value is not a number, or all values of one side are equal.
    Source:
        Spearman 1904, https://doi.org/10.2307/1412159; as scipy.stats.spearmanr.
    """
    if len(a) != len(b) or len(a) < 2:
        raise BadRequest(f"{len(a)} values cannot be correlated with {len(b)}; give two equal counts of at least 2")
    return float(np.clip(np.dot(_unit_ranks(a, "first"), _unit_ranks(b, "second")), -1.0, 1.0))


def _unit_ranks(values: Sequence[float], side: str) -> NDArray[np.float64]:
    """Average ranks, centred and of length 1."""
    numbers = np.asarray(values, np.float64)
    if np.isnan(numbers).any():
        raise BadRequest(
            f"value {int(np.isnan(numbers).argmax())} of the {side} sequence is not a number; leave it out"
        )
    _, group, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[group]
    if len(counts) == 1:
        raise BadRequest(f"all values of the {side} sequence are equal, so the correlation is not defined")
    centred = ranks - ranks.mean()
    unit: NDArray[np.float64] = centred / np.linalg.norm(centred)
    return unit


# ------------------------------------------------------------------------------------------------ retrieval


@dataclass(frozen=True, slots=True)
class Found:
    """The best documents of each query, best first."""

    indices: NDArray[np.int64]  # (queries, k) rows of the documents
    scores: Floats  # (queries, k)

    def run(self, query_ids: Sequence[str], document_ids: Sequence[str]) -> Run:
        """The same by name, as the measures take it."""
        return {
            query: {document_ids[index]: float(score) for index, score in zip(indices, scores, strict=True)}
            for query, indices, scores in zip(query_ids, self.indices, self.scores, strict=True)
        }


def retrieve(
    queries: Floats, documents: Floats, k: int, *, similarity: Literal["cosine", "dot"] = "cosine", block: int = BLOCK
) -> Found:
    """The exact k best documents of each query; equal scores stand in rising order of the documents' rows.

    Products are summed in float64 and rounded to float32, so that the block does not show in the result.

    Args:
        queries: (queries, dim).
        documents: (documents, dim).
        k: capped at the number of documents.
        similarity: with cosine a row of zeros scores 0 with everything.
        block: rows of either side that are worked on at a time; decides only the memory.
    Raises:
        BadRequest: k below 1, widths differ, NaN or infinity in the vectors, or a product beyond float32.
    """
    if k < 1 or not len(documents):
        raise BadRequest(f"the best {k} of {len(documents)} documents cannot be found; both must be at least 1")
    if queries.ndim != 2 or documents.ndim != 2 or queries.shape[1] != documents.shape[1]:
        raise BadRequest(f"queries {queries.shape} and documents {documents.shape} are no matrices of one width")
    best = [
        _best(_rows(queries[at : at + block], similarity), documents, min(k, len(documents)), similarity, block)
        for at in range(0, len(queries), block)
    ]
    keys = np.concatenate(best) if best else np.empty((0, min(k, len(documents))), np.uint64)
    return Found(_indices(keys), _scores(keys))


def _best(queries: NDArray[np.float64], documents: Floats, k: int, similarity: str, block: int) -> NDArray[np.uint64]:
    """(queries, k) keys, falling; only the best so far and one block of scores are held."""
    kept = np.empty((len(queries), 0), np.uint64)
    for at in range(0, len(documents), block):
        products = queries @ _rows(documents[at : at + block], similarity).T
        kept = np.concatenate([kept, _keys(products, at)], axis=1)
        if kept.shape[1] > k:
            kept = np.partition(kept, kept.shape[1] - k, axis=1)[:, -k:]
    return np.sort(kept, axis=1)[:, ::-1]


def _rows(vectors: Floats, similarity: str) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = vectors.astype(np.float64)
    if not np.isfinite(rows).all():
        raise BadRequest("the vectors hold NaN or infinity, which cannot be ranked; encode those items again")
    if similarity == "cosine":
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return rows


# A key is one whole number that orders as the score does, and among equal scores against the index: 32 bits of the
# score, then 32 bits of the inverted index. So no two keys are equal, and any partition of them is exact.
_SIGN = np.uint32(1 << 31)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def _keys(products: NDArray[np.float64], first: int) -> NDArray[np.uint64]:
    """(queries, documents) products -> keys; `first` is the index of the first column."""
    if (np.abs(products) > np.finfo(np.float32).max).any():
        raise BadRequest("a product of the vectors is beyond float32; bring them to length 1, or ask for cosine")
    bits = (products.astype(np.float32) + np.float32(0)).view(np.uint32)  # + 0 makes -0.0 equal to 0.0
    rising = np.where(bits & _SIGN, ~bits, bits | _SIGN)  # IEEE 754 bits in the order of the numbers
    index = np.arange(first, first + products.shape[1], dtype=np.uint64)
    keys: NDArray[np.uint64] = (rising.astype(np.uint64) << _HALF) | (_LOW - index)
    return keys


def _indices(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    indices: NDArray[np.int64] = (_LOW - (keys & _LOW)).astype(np.int64)
    return indices


def _scores(keys: NDArray[np.uint64]) -> Floats:
    rising = (keys >> _HALF).astype(np.uint32)
    scores: Floats = np.where(rising & _SIGN, rising & ~_SIGN, ~rising).view(np.float32)
    return scores
