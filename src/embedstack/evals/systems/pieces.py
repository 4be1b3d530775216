"""Points of a collection, best first -> a ranking of the documents of which they are parts."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from embedstack.databases.database import Collection, Json, PointId
from embedstack.errors import BadRequest
from embedstack.evals.systems.system import Asked, Ranked

MOST_POINTS = 10_000  # of one query: where so many are of fewer documents than wanted, it stays at that
MOST_EACH = 16  # points of a document that are asked for at first


class Piece(Protocol):
    """A point that was found."""

    @property
    def id(self) -> PointId: ...

    @property
    def payload(self) -> Mapping[str, Json]: ...

    @property
    def score(self) -> float: ...


class Pieces:
    """The best point of a document counts, and of equal ones the document whose point comes first.

    A point is of the document that its payload's `doc_id` names, or else its `id`, or else of that of its own id. As
    many points are asked for as documents are wanted, times those of a mean document; where they are of fewer documents
    four times as many are, and so on. It keeps what a reader of the figures must know.
    """

    def __init__(self) -> None:
        self._documents: Mapping[str, str] = {}
        self._is_indexing = False
        self._points_there = 0
        self._each = 1  # points that are asked for, for each document that is wanted
        self._unknown: dict[str, None] = {}  # documents, in order
        self._short: dict[str, None] = {}  # queries, likewise

    def prepare(self, there: Collection, documents: Mapping[str, str]) -> None:
        """Look at the collection as it is now.

        Args:
            documents: of the labelled set, id -> text; none where it has no texts.
        Raises:
            BadRequest: it is empty.
        """
        if not there.points:
            raise BadRequest(f"collection {there.name!r} has no points; load some before it is evaluated")
        each = math.ceil(there.points / len(documents)) if documents else 1
        self._each = each if each <= MOST_EACH else 1
        self._documents, self._is_indexing = documents, there.status == "indexing"
        self._points_there = there.points

    def wanted(self, limit: int) -> int:
        """Points that are asked for at first, for so many documents."""
        return min(limit * self._each, MOST_POINTS)

    def ranked(self, query: Asked, limit: int, ask: Callable[[int], Sequence[Piece]]) -> list[Ranked]:
        """At most so many documents.

        Args:
            ask: gives at most so many points, best first.
        """
        wanted = self.wanted(limit)
        while True:
            points = ask(wanted)
            best: dict[str, float] = {}
            for point in points:
                best.setdefault(_document_of(point), point.score)
            if len(best) >= limit or len(points) < wanted or wanted == MOST_POINTS:
                break
            wanted = min(4 * wanted, MOST_POINTS)
        if len(best) < limit and len(points) == wanted:
            self._short[query.id] = None
        found = [Ranked(document, score) for document, score in best.items()][:limit]
        if self._documents:
            self._unknown |= {one.document: None for one in found if one.document not in self._documents}
        return found

    def noted(self) -> Iterator[str]:
        """What it found that the labelled set does not have, and where it found too little."""
        if self._is_indexing:
            yield "its index was still being made when it was prepared"
        if self._points_there < len(self._documents):
            lacking = len(self._documents) - self._points_there
            yield (
                f"it has {self._points_there:,} points and the labelled set {len(self._documents):,} documents: "
                f"{lacking:,} or more are not there and cannot be found"
            )
        if self._unknown:
            yield (
                f"{len(self._unknown)} documents that it found are not in the labelled set, such as "
                f"{next(iter(self._unknown))!r}: nobody judged them"
            )
        if self._short:
            yield (
                f"{len(self._short)} queries, such as {next(iter(self._short))!r}, got fewer documents than were "
                f"wanted: the first {MOST_POINTS} points are of no more"
            )

    def close(self) -> None:
        """Forget the documents."""
        self._documents = {}


def _document_of(point: Piece) -> str:
    named = (point.payload.get(key) for key in ("doc_id", "id"))
    return str(next((name for name in named if name is not None), point.id))
