"""A question, or several whose answers become one, becomes what Qdrant is asked; what it answers, hits in our order."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from qdrant_client import models

from embedstack.databases.database import Collection, Distance, Fused, Hit, Leg, Query, order_of, point_id
from embedstack.databases.qdrant.points import hit_of, wire_of
from embedstack.databases.qdrant.where import filter_of
from embedstack.errors import Unsupported
from embedstack.types import Sparse

Fusion: TypeAlias = models.FusionQuery | models.RrfQuery

MORE = 16  # hits asked for beyond the limit: so many may be equal at the cut before ids no longer decide
OVERSAMPLING = (
    3.0  # of binary copies, which alone are too coarse: https://qdrant.tech/articles/binary-quantization-openai
)


def params_of(there: Collection, *, is_exact: bool) -> models.SearchParams:
    """Where copies are quantized, the best of them are compared again with the vectors themselves."""
    quantization = None
    if there.quantization != "none":
        more = OVERSAMPLING if there.quantization == "binary" else None
        quantization = models.QuantizationSearchParams(ignore=is_exact, rescore=True, oversampling=more)
    return models.SearchParams(exact=is_exact, quantization=quantization)


def best_of(found: Sequence[models.ScoredPoint], query: Query, distance: Distance) -> list[Hit]:
    """In our order; `least` is ours too, since Qdrant leaves out scores that are equal to it."""
    hits = [hit_of(one, is_distance=distance == "l2") for one in found]
    return in_order([hit for hit in hits if query.least is None or hit.score >= query.least])[: query.limit]


def in_order(hits: Sequence[Hit]) -> list[Hit]:
    """Best first, of equal scores the lower id."""
    return sorted(hits, key=lambda hit: (-hit.score, order_of(hit.id)))


def meant_by(query: Query) -> models.Filter | None:
    """None where every point is meant. Of few points that are named no index is asked.

    Raises:
        BadRequest: as `filter_of`; what is named is no point.
    """
    meant = filter_of(query.where)
    if query.among is None:
        return meant
    named = models.HasIdCondition(has_id=[point_id(one) for one in query.among])
    return models.Filter(must=[named, *([meant] if meant else [])])


def is_empty(query: Query | Leg) -> bool:
    """No term, no hit; Qdrant does not take it."""
    return isinstance(query.vector, Sparse) and len(query.vector.ids) == 0


# ------------------------------------------------------------------------------------------------ several at once


def prefetches_of(there: Collection, asked: Fused, *, is_local: bool) -> list[models.Prefetch]:
    """One for each leg that is not empty."""
    return [
        models.Prefetch(
            query=wire_of(leg.vector),
            using=leg.field or None,
            filter=filter_of(asked.where),
            limit=leg.limit,
            score_threshold=_threshold(leg.least, there.fields[leg.field].distance),
            params=None if is_local else params_of(there, is_exact=asked.is_exact),
        )
        for leg in asked.legs
        if not is_empty(leg)
    ]


def fusion_of(there: Collection, asked: Fused) -> Fusion:
    """How they become one.

    Raises:
        Unsupported: distances are to be added up, of which Qdrant takes the largest for the best.
    """
    if asked.fusion == "dbsf":
        for leg in asked.legs:
            if there.fields[leg.field].distance == "l2":
                raise Unsupported(
                    f"Qdrant adds up distances of vector {leg.field!r} as if the largest were the best; fuse by 'rrf'"
                )
        return models.FusionQuery(fusion=models.Fusion.DBSF)
    if not weighs(asked):
        return models.RrfQuery(rrf=models.Rrf(k=asked.k))
    weights = [weight for leg, weight in zip(asked.legs, asked.weights, strict=True) if not is_empty(leg)]
    return models.RrfQuery(rrf=models.Rrf(k=asked.k, weights=weights))


def weighs(asked: Fused) -> bool:
    """Some ranks are stretched."""
    return any(weight != 1 for weight in asked.weights)


def is_cut_among_equals(found: Sequence[models.ScoredPoint], asked: Fused) -> bool:
    """All that came beyond the limit have the score of the last one wanted, so that others may have it too."""
    return len(found) == asked.limit + MORE and found[-1].score == found[asked.limit - 1].score


def _threshold(least: float | None, distance: Distance) -> float | None:
    """Qdrant wants scores above it, or of l2 below it: the next float32 beside `least`."""
    if least is None:
        return None
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        near = np.float32(least)
        under = near if float(near) < least else np.nextafter(near, np.float32(-np.inf))
    threshold = float(-under if distance == "l2" else under)
    return threshold if np.isfinite(threshold) else None
