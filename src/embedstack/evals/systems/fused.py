"""Several systems -> one, whose rankings are made of theirs."""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from embedstack.errors import BadRequest
from embedstack.evals.systems.system import Asked, Progress, Ranked, Rankings, System
from embedstack.evals.systems.vectored import Clock, Hits, ask_all
from embedstack.origin import Identity
from embedstack.search.fuse import dbsf, rrf, weighted

Fusion = Literal["rrf", "dbsf", "weighted"]


class FusedSystem:
    """Of equal scores the document with the lower id comes first.

    Args:
        name: canonical.
        k: of rrf.
        weights: one for each leg; of rrf none for equal ones; of dbsf none.
        depth: documents that each leg is asked for, or as many as are wanted, if these are more.
        clock: seconds, rising.
    Raises:
        BadRequest: weights that do not fit the legs or the fusion, or k or a weight out of range.
    """

    def __init__(
        self, name: str, legs: Sequence[System], fusion: Fusion, *, k: int, weights: Sequence[float], depth: int,
        clock: Clock = time.perf_counter,
    ) -> None:  # fmt: skip
        _check_weights(name, len(legs), fusion, weights)
        self.name = name
        self.legs = tuple(legs)
        self.identities: tuple[Identity, ...] = ()
        self.notes: tuple[str, ...] = (_said(fusion, k, weights, depth),)
        self._deepest = depth
        self._fusion: Fusion = fusion
        self._k = k
        self._weights = weights
        self._depth = depth
        self._clock = clock
        self._fused([()] * len(legs), 1)  # says now what it would say of every query

    def prepare(self, documents: Mapping[str, str], progress: Progress) -> None:
        """Each leg."""
        for leg in self.legs:
            leg.prepare(documents, progress)
        self.identities = tuple(dict.fromkeys(identity for leg in self.legs for identity in leg.identities))

    def search(self, queries: Sequence[Asked], limit: int) -> Rankings:
        """Stages: those of the legs, one after the other, and fuse."""
        depth = max(limit, self._depth)
        answers = ask_all(self.legs, queries, depth, self._clock)
        if depth > self._deepest:
            self._deepest = depth
            self.notes = (_said(self._fusion, self._k, self._weights, depth),)
        began = self._clock()
        hits = [self._fused([of[query] for of in answers.hits], limit) for query in range(len(queries))]
        return Rankings(hits, {**answers.took_s, "fuse": self._clock() - began}, answers.truncated)

    def _fused(self, rankings: Hits, limit: int) -> list[Ranked]:
        """Of one query."""
        match self._fusion:
            case "rrf":
                fused = rrf(rankings, k=self._k, weights=self._weights or None, limit=limit)
            case "dbsf":
                fused = dbsf(rankings, limit=limit)
            case "weighted":
                fused = weighted(rankings, self._weights, limit=limit)
        return [Ranked(document, score) for document, score in fused]

    def close(self) -> None:
        """Its legs."""
        for leg in self.legs:
            leg.close()


def _check_weights(name: str, legs: int, fusion: Fusion, weights: Sequence[float]) -> None:
    if fusion == "dbsf" and weights:
        raise BadRequest(f"fusion 'dbsf' takes no weights, and {len(weights)} are given; leave them out, or take rrf")
    if len(weights) != legs and (weights or fusion == "weighted"):
        raise BadRequest(
            f"system {name!r} has {legs} legs, and {len(weights)} weights are given; give one for each of them"
        )


def _said(fusion: Fusion, k: int, weights: Sequence[float], depth: int) -> str:
    """For people."""
    by = f"rrf with k={k}" if fusion == "rrf" else fusion
    given = f" and weights {', '.join(f'{weight:g}' for weight in weights)}" if weights else ""
    return f"fused by {by}{given}, from the first {depth} documents of each"
