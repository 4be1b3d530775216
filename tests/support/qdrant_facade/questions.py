"""A question in JSON becomes the engine's: for the nearest, or for rankings that are fetched first and become one."""

from __future__ import annotations  # the stub of the engine has names that its module has not

import msgspec
import qdrant_edge as edge

from support.qdrant_facade.bodies import Params, Prefetch, Query, Rows, Scoring
from support.qdrant_facade.filters import filter_of
from support.qdrant_facade.points import payload_of, vector_of
from support.qdrant_facade.refused import Refused

K = 2  # https://qdrant.tech/documentation/concepts/hybrid-queries/#reciprocal-rank-fusion-rrf


def request_of(given: Query) -> edge.QueryRequest:
    """As the engine takes it."""
    at_least_one(given.limit)
    return edge.QueryRequest(
        limit=given.limit,
        offset=given.offset,
        prefetches=[_prefetch(one) for one in _fetched_before(given)],
        query=_scoring(given.query, given.using),
        filter=filter_of(given.filter),
        score_threshold=given.score_threshold,
        params=_params(given.params),
        with_payload=payload_of(given.with_payload),
        with_vector=given.with_vector,
    )


def without_weights(given: Query) -> Query:
    """As a server before 1.17 reads it: what it does not know it passes over."""
    query = given.query
    if not isinstance(query, Scoring) or query.rrf is None:
        return given
    rrf = msgspec.structs.replace(query.rrf, weights=None)
    return msgspec.structs.replace(given, query=msgspec.structs.replace(query, rrf=rrf))


def _fetched_before(given: Query) -> list[Prefetch]:
    prefetches = given.prefetch or []
    return [prefetches] if isinstance(prefetches, Prefetch) else prefetches


def _prefetch(given: Prefetch) -> edge.Prefetch:
    at_least_one(given.limit)
    return edge.Prefetch(
        limit=given.limit,
        query=edge.Query.Nearest(vector_of(given.query), given.using),
        filter=filter_of(given.filter),
        score_threshold=given.score_threshold,
        params=_params(given.params),
    )


def _scoring(given: Rows | Scoring, using: str | None) -> edge.Query | edge.Fusion:
    if not isinstance(given, Scoring) or (given.fusion is None and given.rrf is None):
        return edge.Query.Nearest(vector_of(given), using)
    if given.fusion == "dbsf":
        return edge.Fusion.Dbsf()
    rrf = given.rrf
    if rrf is None:
        return edge.Fusion.Rrf(K)
    if rrf.k is not None and rrf.k < 1:
        raise Refused(422, f"Validation error in JSON body: [rrf.k: value {rrf.k} invalid, must be 1 or larger]")
    return edge.Fusion.Rrf(K if rrf.k is None else rrf.k, rrf.weights)


def at_least_one(limit: int) -> None:
    """Raises Refused: it is below 1."""
    if limit < 1:
        raise Refused(422, f"Validation error in JSON body: [limit: value {limit} invalid, must be 1 or larger]")


def _params(given: Params | None) -> edge.SearchParams | None:
    if given is None:
        return None
    copies = given.quantization
    return edge.SearchParams(
        hnsw_ef=given.hnsw_ef,
        exact=given.exact,
        indexed_only=given.indexed_only,
        quantization=copies and edge.QuantizationSearchParams(copies.ignore, copies.rescore, copies.oversampling),
    )
