"""A system and a model that scores pairs -> the system's first documents in the order of the model's scores."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from embedstack.engine.background import wait
from embedstack.errors import BadRequest, Mismatch, Upstream
from embedstack.evals.systems.again import Again
from embedstack.evals.systems.system import Asked, Progress, Ranked, Rankings, System
from embedstack.evals.systems.vectored import Clock
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity
from embedstack.search.rerank import is_settled, merged
from embedstack.types import Encoder, Pair, Priority, Score, Scored

REQUEST = 256  # pairs, of one query or of several
PROBE = Pair("query", "document")


@dataclass(frozen=True, slots=True)
class Reranker:
    """A model that scores pairs."""

    encoder: Encoder
    spec: ModelSpec  # which of the encoder's models it is
    place: str  # for people, as the user wrote it


class RerankedSystem:
    """Of equal scores of the reranker the order of the first ranking stays; so it does behind those that are scored.

    Args:
        name: canonical.
        first: whose documents are scored.
        top: documents of each query that are scored, at most.
        skips_settled: where the first ranking is sure already, see `is_settled`, nothing is scored.
        clock: seconds, rising.
        again: calls the reranker.
    """

    def __init__(
        self, name: str, first: System, reranker: Reranker, *, top: int, skips_settled: bool = False,
        clock: Clock = time.perf_counter, again: Again | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.legs: tuple[System, ...] = (first,)
        self._first = first
        self._reranker = reranker
        self._top = top
        self._skips_settled = skips_settled
        self._clock = clock
        self._again = again or Again()
        self.identities: tuple[Identity, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._texts: Mapping[str, str] = {}
        self._identity: Identity | None = None
        self._settled: set[str] = set()  # queries
        self._textless: dict[str, None] = {}  # documents, in order
        self._pairs, self._cut = 0, 0  # of the search that scored most

    def prepare(self, documents: Mapping[str, str], progress: Progress) -> None:
        """The first ranking, and one pair is scored, so that a reranker that is not there is known before."""
        if not documents:
            raise BadRequest(
                f"system {self.name!r} reads documents, and there are no texts: the labelled set has judgements alone; "
                "give its texts, or leave the reranker out"
            )
        identity = self._identity or self._identified(self._score([PROBE], "interactive"))
        self._first.prepare(documents, progress)
        self._texts = documents
        self.identities = (*self._first.identities, identity)
        self.notes = tuple(self._noted())

    def search(self, queries: Sequence[Asked], limit: int) -> Rankings:
        """Stages: those of the first ranking, and rerank.

        Raises:
            BadRequest: a score is not finite; with `skips_settled`, the first ranking's are no cosines.
        """
        found = self._first.search(queries, max(limit, self._top))
        began = self._clock()
        chosen = [self._chosen(query, hits) for query, hits in zip(queries, found.hits, strict=True)]
        pairs = [
            Pair(query.text, self._texts[one])
            for query, documents in zip(queries, chosen, strict=True)
            for one in documents
        ]
        scores = iter(self._scores(pairs, is_alone=len(queries) == 1))
        hits = [
            _merged(hits, [(one, next(scores)) for one in documents], limit)
            for hits, documents in zip(found.hits, chosen, strict=True)
        ]
        self.notes = tuple(self._noted())
        return Rankings(hits, {**found.took_s, "rerank": self._clock() - began}, found.truncated)

    def close(self) -> None:
        """The first ranking; the reranker is its opener's."""
        self._first.close()
        self._texts = {}

    def _chosen(self, query: Asked, hits: Sequence[Ranked]) -> list[str]:
        """The documents to be scored for a query."""
        if self._skips_settled and is_settled([hit.score for hit in hits]):
            self._settled.add(query.id)
            return []
        first = [hit.document for hit in hits[: self._top]]
        self._textless |= {one: None for one in first if one not in self._texts}
        return [one for one in first if one in self._texts]

    def _scores(self, pairs: Sequence[Pair], *, is_alone: bool) -> list[float]:
        made = [
            self._score(pairs[at : at + REQUEST], "interactive" if is_alone else "bulk")
            for at in range(0, len(pairs), REQUEST)
        ]
        if len(pairs) >= self._pairs:
            self._pairs, self._cut = len(pairs), sum(one.usage.truncated for one in made)
        return [float(score) for one in made for score in one.scores]

    def _score(self, pairs: Sequence[Pair], priority: Priority) -> Scored:
        request = Score(model=self._reranker.spec.name, items=tuple(pairs), priority=priority)
        scored = self._again(lambda: wait(self._reranker.encoder.score(request)))
        if len(scored.scores) != len(pairs):
            raise Upstream(
                f"reranker {self._reranker.place!r} gave {len(scored.scores)} scores for {len(pairs)} pairs; "
                "look at what answers there"
            )
        self._identified(scored)
        return scored

    def _identified(self, scored: Scored) -> Identity:
        """Who scored, which is always the same."""
        identity = _identity_of(scored)
        if self._identity not in (None, identity):
            raise Mismatch(
                f"reranker {self._reranker.place!r} scored as {identity.model!r} (fingerprint "
                f"{identity.fingerprint[:12]!r}), and as another before; ask one replica, and evaluate again"
            )
        self._identity = identity
        return identity

    def _noted(self) -> Iterator[str]:
        """What was not scored, or not read whole."""
        yield f"the first {self._top} documents are put in order by {self._reranker.place}; behind them the order stays"
        if self._settled:
            yield f"{len(self._settled)} queries were not reranked: the first ranking was sure of them"
        if self._cut:
            yield f"{self._cut} of {self._pairs} queries with a document are longer than it reads and were cut"
        if self._textless:
            count, one = len(self._textless), next(iter(self._textless))
            yield f"{count} documents, such as {one!r}, were not scored: the set has no text of them"
        yield from self._again.noted(self._reranker.place)


def _merged(hits: Sequence[Ranked], scored: Sequence[tuple[str, float]], limit: int) -> list[Ranked]:
    """Of one query; where nothing was scored the scores stay as they were."""
    if not scored:
        return list(hits[:limit])
    return [Ranked(document, score) for document, score in merged(hits, scored, limit)]


def _identity_of(scored: Scored) -> Identity:
    spec = scored.spec
    return Identity(
        model=spec.name,
        revision=spec.revision,
        space=spec.space,
        fingerprint=scored.fingerprint,
        dim=0,
        max_tokens=spec.max_tokens,
    )
