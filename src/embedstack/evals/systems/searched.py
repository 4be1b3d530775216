"""A collection, and all that a search of it asks -> a system that ranks as `embedstack search` and `/search` do."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from embedstack.databases.bound import Bound
from embedstack.databases.database import Database
from embedstack.engine.background import wait
from embedstack.evals.systems.again import Again
from embedstack.evals.systems.collection import PROBE
from embedstack.evals.systems.joined import Joined
from embedstack.evals.systems.pieces import Pieces
from embedstack.evals.systems.system import Asked, Progress, Ranked, Rankings, System
from embedstack.origin import Identity
from embedstack.search.found import Found, FoundPoint, How
from embedstack.search.hybrid import Searcher
from embedstack.search.legs import depth_of

MOST_NOTES = 5  # of those that searches make, each once


class SearchedSystem:
    """Points are fused as a search fuses them, in the database where it can; then they are parts of documents.

    A search of more points looks at more candidates of each vector. So it is the search for as many passages as are
    wanted, see `Pieces`, and not the first part of a deeper one.

    Args:
        name: canonical.
        legs: each of the vectors that are asked, alone.
        collection: a name or an alias.
        how: the search; its limit is not read.
        again: searches.
    """

    def __init__(
        self, name: str, legs: Sequence[System], database: Database, collection: str, encoder: Joined, how: How, *,
        again: Again | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.legs = tuple(legs)
        self.identities: tuple[Identity, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._bound = Bound(database, collection, {})
        self._searcher = Searcher(database, collection, encoder)
        self._encoder = encoder
        self._how = how
        self._again = again or Again()
        self._pieces = Pieces()
        self._fields: tuple[str, ...] = ()
        self._points = 0  # of the deepest search at first
        self._asked = 0  # searches
        self._told: Counter[str] = Counter()  # notes of searches

    def prepare(self, documents: Mapping[str, str], progress: Progress) -> None:
        """Each leg; one search is made.

        Raises:
            As `Searcher.search`. BadRequest: the collection is empty.
        """
        for leg in self.legs:
            leg.prepare(documents, progress)
        self.identities = tuple(dict.fromkeys(identity for leg in self.legs for identity in leg.identities))
        self._pieces.prepare(self._again(self._bound.check), documents)
        self._fields = self._found(PROBE, 1).fields
        self.notes = tuple(self._noted())

    def search(self, queries: Sequence[Asked], limit: int) -> Rankings:
        """One query after the other. Stages: embed, search, and fuse where the database does not."""
        took_s: dict[str, float] = {}
        before = self._encoder.truncated
        hits = [self._ranked(query, limit, took_s) for query in queries]
        self._points = max(self._points, self._pieces.wanted(limit))
        self.notes = tuple(self._noted())
        return Rankings(hits, took_s, self._encoder.truncated - before)

    def close(self) -> None:
        """Its legs; the database and the models are their opener's."""
        for leg in self.legs:
            leg.close()
        self._pieces.close()

    def _ranked(self, query: Asked, limit: int, took_s: dict[str, float]) -> list[Ranked]:
        def points(wanted: int) -> Sequence[FoundPoint]:
            found = self._found(query.text, wanted)
            for stage, seconds in found.took_s.items():
                took_s[stage] = took_s.get(stage, 0.0) + seconds
            self._asked += 1
            self._told.update(found.notes)
            return found.points

        return self._pieces.ranked(query, limit, points)

    def _found(self, text: str, points: int) -> Found:
        return self._again(lambda: wait(self._searcher.search(text, replace(self._how, limit=points))))

    def _noted(self) -> Iterator[str]:
        yield from self._said()
        yield from self._pieces.noted()
        for note, times in self._told.most_common(MOST_NOTES):
            yield note if times == self._asked else f"{times} of {self._asked} searches: {note}"
        if len(self._told) > MOST_NOTES:
            yield f"searches had {len(self._told) - MOST_NOTES} other notes"
        yield from self._again.noted(f"the database of {self._bound.name!r}, or a model,")

    def _said(self) -> Iterator[str]:
        """For people."""
        if len(self._fields) < 2:
            return
        how = self._how
        by = f"rrf with k={how.rrf_k}" if how.fusion == "rrf" else how.fusion
        given = f" and weights {', '.join(f'{name}={weight:g}' for name, weight in how.weights.items())}"
        depth = f", {depth_of(replace(how, limit=self._points)):,} candidates of each for {self._points:,} points"
        yield (
            f"asks {' and '.join(map(repr, self._fields))} as search does, fused by {by}{given if how.weights else ''}"
            f"{depth if self._points else ''}"
        )
