"""Rows as the device gave them become the vectors and scores that a caller asked for. Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from embedstack.errors import Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.types import Floats, Ints, Sparse

TINY = np.float32(1e-12)  # the floor that torch.nn.functional.normalize puts under a length
LEVEL_EPS = 1e-5  # what torch.nn.functional.layer_norm adds to a variance


def check_dim(dim: int | None, spec: ModelSpec) -> int:
    """The width to give.

    Raises:
        Unsupported: the model was not trained for this width, or gives no dense vectors.
    Source:
        arXiv:2205.13147: only a model trained for it keeps its meaning in its first numbers.
    """
    if dim is None or dim == spec.dim:
        return spec.dim
    if not spec.dim:
        raise Unsupported(f"{spec.name!r} gives no dense vectors, so they have no width; leave dimensions={dim} out")
    if dim not in spec.cuts:
        allowed = ", ".join(_runs(sorted({*spec.cuts, spec.dim})))
        raise Unsupported(f"{spec.name!r} was not trained for {dim} dimensions; allowed: {allowed}")
    return dim


def _runs(widths: Sequence[int]) -> Iterator[str]:
    """Rising numbers as a reader wants them: of those that follow each other the first and the last."""
    starts = [at for at, width in enumerate(widths) if not at or width != widths[at - 1] + 1]
    for start, end in pairwise([*starts, len(widths)]):
        first, last = widths[start], widths[end - 1]
        yield str(first) if first == last else f"{first} to {last}"


def dense(rows: Floats, dim: int, *, normalize: bool, cut_norm: bool = False) -> Floats:
    """(items, width) -> (items, dim): cut first, then each row to length 1.

    Args:
        cut_norm: a row that is cut is brought to mean 0 and variance 1 before; one of full width stays as it is.
    """
    whole = levelled(rows) if cut_norm and dim < rows.shape[1] else rows
    cut = whole[:, :dim]
    return unit(cut) if normalize else np.ascontiguousarray(cut)


def levelled(rows: Floats) -> Floats:
    """Each row to mean 0 and variance 1.

    Source: the model card of nomic-ai/nomic-embed-text-v1.5, `layer_norm` of PyTorch without weights; epsilon its own.
    """
    wide = rows.astype(np.float64)
    centred = wide - wide.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + LEVEL_EPS), np.float32)


def unit(rows: Floats) -> Floats:
    """Each row divided by its length (L2). The sum is per row, so a row does not depend on its neighbours."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.maximum(lengths, TINY)[:, None], np.float32)


def sparse(weights: Floats, ids: Ints, ignore: Sequence[int]) -> Sparse:
    """(tokens, 1) weights of one item -> the largest weight of each token id, without special tokens and zeros.

    Source: `_process_token_weights` of FlagEmbedding 1.4, inference/embedder/encoder_only/m3.py.
    """
    flat = weights.reshape(-1)
    keep = (flat > 0) & ~np.isin(ids, np.asarray(ignore, np.int32))
    terms, place = np.unique(ids[keep], return_inverse=True)
    largest = np.zeros(len(terms), np.float32)
    np.maximum.at(largest, place, flat[keep])
    return Sparse(terms, largest)


def terms(row: Floats) -> Floats:
    """(1, vocab) weights of one item -> (terms, 2): id and weight of those above 0, a hundredth of the row's memory.

    Ids are far below 2^24, which float32 holds exactly. Special tokens count as any others, as they do in the
    `SparseEncoder` of sentence-transformers 6.2.
    """
    (ids,) = np.nonzero(row[0] > 0)
    return np.stack([ids.astype(np.float32), row[0][ids]], axis=1)


def lexical(rows: Floats) -> Sparse:
    """What `terms` made of one item."""
    return Sparse(rows[:, 0].astype(np.int32), np.ascontiguousarray(rows[:, 1]))


def multi(rows: Floats, *, normalize: bool) -> Floats:
    """(tokens, dim) of one item -> (tokens - 1, dim): the first token is dropped, the last is kept.

    Source: `_process_colbert_vecs` of FlagEmbedding 1.4, inference/embedder/encoder_only/m3.py.
    """
    return unit(rows[1:]) if normalize else rows[1:].copy()  # never a view of what others see


def scores(logits: Floats, spec: ModelSpec, *, raw: bool) -> Floats:
    """(items, 1) logits -> (items,) scores after the activation that the model's config names."""
    return np.ascontiguousarray(label_scores(logits, spec, raw=raw)[:, 0])


def label_scores(logits: Floats, spec: ModelSpec, *, raw: bool) -> Floats:
    """(items, labels) logits -> scores after that activation: softmax over the labels, or sigmoid of each."""
    wide = logits.astype(np.float64)
    match "identity" if raw else spec.score_activation:
        case "identity":
            return logits.astype(np.float32)
        case "sigmoid":
            return (0.5 * (1.0 + np.tanh(0.5 * wide))).astype(np.float32)  # without overflow
        case "softmax":
            shares = np.exp(wide - wide.max(axis=1, keepdims=True))
            return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)
