"""A collection of a database, and a model that reads its queries -> a system that searches as the database does."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from embedstack.databases.bound import Bound
from embedstack.databases.database import Hit, Kind, Query, Vector
from embedstack.errors import BadRequest
from embedstack.evals.systems.again import Again
from embedstack.evals.systems.encoded import Read
from embedstack.evals.systems.system import Asked, Progress, Ranked, Rankings, System
from embedstack.evals.systems.vectored import Hits, Reader, ask
from embedstack.origin import Identity, Origin
from embedstack.types import Sparse

EXACT = " (exact)"  # behind the name of the leg that compares everything
MOST_POINTS = 10_000  # of one query: where so many are of fewer documents than wanted, it stays at that
MOST_EACH = 16  # points of a document that are asked for at first
PROBE = "question"


@dataclass(frozen=True, slots=True)
class Stored:
    """Vectors of a collection."""

    bound: Bound
    field: str
    kind: Kind
    signed: Origin  # whose they are


class CollectionSystem:
    """Points are parts of documents: the best one counts, and of equal ones the document whose point comes first.

    A point is of the document that its payload's `doc_id` names, or else its `id`, or else of that of its own id. As
    many points are asked for as documents are wanted, times those of a mean document; where they are of fewer documents
    four times as many are, and so on. An index finds more of the nearest the more it is asked for.

    Args:
        name: canonical; its leg is the same with `is_exact`.
        reader: of queries.
        dim: of queries' dense vectors; the model's own if None.
        again: calls the database.
    """

    def __init__(
        self, name: str, stored: Stored, reader: Reader, *, dim: int | None = None, is_exact: bool = False,
        again: Again | None = None,
    ) -> None:  # fmt: skip
        self.name = name + EXACT if is_exact else name
        self.reader = reader
        self.kind: Kind = stored.kind
        self.dim = dim
        self.legs: tuple[System, ...] = ()
        if not is_exact:
            self.legs += (CollectionSystem(name, stored, reader, dim=dim, is_exact=True, again=again),)
        self.identities: tuple[Identity, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._stored = stored
        self._is_exact = is_exact
        self._again = again or Again()
        self._of_reader: tuple[str, ...] = ()  # notes
        self._documents: Mapping[str, str] = {}
        self._is_indexing = False
        self._points_there = 0
        self._each = 1  # points that are asked for, for each document that is wanted
        self._unknown: dict[str, None] = {}  # documents, in order
        self._short: dict[str, None] = {}  # queries, likewise

    def prepare(self, documents: Mapping[str, str], progress: Progress) -> None:
        """Their texts are there already, in whatever form: their ids tell what is unknown. One query is asked.

        Raises:
            Mismatch: the collection holds vectors of another space than the model's. BadRequest: it is empty.
        """
        for leg in self.legs:
            leg.prepare(documents, progress)
        there = self._again(self._stored.bound.check)
        if not there.points:
            raise BadRequest(f"collection {self._stored.bound.name!r} has no points; load some before it is evaluated")
        each = math.ceil(there.points / max(1, len(documents)))
        self._each = each if each <= MOST_EACH else 1
        self._documents, self._is_indexing = documents, there.status == "indexing"
        self._points_there = there.points
        self.notes = tuple(self._noted())
        if not self.identities:
            read = self.reader.queries([PROBE], frozenset({self.kind}), self.dim)
            self._points(read.columns[self.kind][0], read, 1)
            self.identities = tuple(dict.fromkeys((self._stored.signed.identity, read.identity)))

    def search(self, queries: Sequence[Asked], limit: int) -> Rankings:
        """Stages: embed, search."""
        return ask(self, queries, limit)

    def found(self, queries: Sequence[Asked], read: Read, limit: int) -> Hits:
        """Of queries that were read, one after the other.

        Raises:
            Mismatch: the collection holds vectors of another space than the queries'.
        """
        column = read.columns[self.kind]
        found = [self._found(query, column[place], read, limit) for place, query in enumerate(queries)]
        documents = {hit.document: None for hits in found for hit in hits}
        if self._documents:
            self._unknown |= {one: None for one in documents if one not in self._documents}
        self._of_reader = read.notes
        self.notes = tuple(self._noted())
        return found

    def close(self) -> None:
        """The database is its opener's."""
        self._documents = {}

    def _found(self, query: Asked, vector: Vector, read: Read, limit: int) -> list[Ranked]:
        wanted = min(limit * self._each, MOST_POINTS)
        while True:
            hits = self._points(vector, read, wanted)
            best: dict[str, float] = {}
            for hit in hits:
                best.setdefault(_document_of(hit), hit.score)
            if len(best) >= limit or len(hits) < wanted or wanted == MOST_POINTS:
                break
            wanted = min(4 * wanted, MOST_POINTS)
        if len(best) < limit and len(hits) == wanted:
            self._short[query.id] = None
        return [Ranked(document, score) for document, score in best.items()][:limit]

    def _noted(self) -> Iterator[str]:
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
        yield from self._again.noted(f"the database of {self._stored.bound.name!r}")
        yield from self._of_reader

    def _points(self, vector: Vector, read: Read, limit: int) -> list[Hit]:
        if len(vector.ids if isinstance(vector, Sparse) else vector) == 0:  # no term of it counts
            return []
        query = Query(vector=vector, field=self._stored.field, limit=limit, is_exact=self._is_exact)
        origin = read.origin(self.kind, self._stored.signed.identity)
        return self._again(lambda: self._stored.bound.query(query, origin))


def _document_of(hit: Hit) -> str:
    named = (hit.payload.get(key) for key in ("doc_id", "id"))
    return str(next((name for name in named if name is not None), hit.id))
