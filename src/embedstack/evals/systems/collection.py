"""One vector of a collection, and a model that reads its queries -> a system that searches as the database does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from embedstack.databases.bound import Bound
from embedstack.databases.database import Hit, Kind, Query, Vector
from embedstack.evals.systems.again import Again
from embedstack.evals.systems.encoded import Read
from embedstack.evals.systems.pieces import Pieces
from embedstack.evals.systems.system import Asked, Progress, Ranked, Rankings, System
from embedstack.evals.systems.vectored import Hits, Reader, ask
from embedstack.origin import Identity, Origin
from embedstack.types import Sparse

EXACT = " (exact)"  # behind the name of the leg that compares everything
PROBE = "question"


@dataclass(frozen=True, slots=True)
class Stored:
    """Vectors of a collection."""

    bound: Bound
    field: str
    kind: Kind
    signed: Origin  # whose they are
    is_always_exact: bool = False  # the database has no index that could miss a point
    note: str = ""  # what a reader of the figures must know of the choice of this vector


class CollectionSystem:
    """Points are parts of documents, see `Pieces`. An index finds more of the nearest the more it is asked for.

    Args:
        name: canonical; its leg is the same with `is_exact`, where that may give something else.
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
        if not is_exact and not stored.is_always_exact:
            self.legs += (CollectionSystem(name, stored, reader, dim=dim, is_exact=True, again=again),)
        self.identities: tuple[Identity, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._stored = stored
        self._is_exact = is_exact
        self._again = again or Again()
        self._of_reader: tuple[str, ...] = ()  # notes
        self._pieces = Pieces()

    def prepare(self, documents: Mapping[str, str], progress: Progress) -> None:
        """Their texts are there already, in whatever form: their ids tell what is unknown. One query is asked.

        Raises:
            Mismatch: the collection holds vectors of another space than the model's. BadRequest: it is empty.
        """
        for leg in self.legs:
            leg.prepare(documents, progress)
        self._pieces.prepare(self._again(self._stored.bound.check), documents)
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
        self._of_reader = read.notes
        self.notes = tuple(self._noted())
        return found

    def close(self) -> None:
        """The database is its opener's."""
        self._pieces.close()

    def _found(self, query: Asked, vector: Vector, read: Read, limit: int) -> list[Ranked]:
        return self._pieces.ranked(query, limit, lambda wanted: self._points(vector, read, wanted))

    def _noted(self) -> Iterator[str]:
        if self._stored.note and not self._is_exact:
            yield self._stored.note
        yield from self._pieces.noted()
        yield from self._again.noted(f"the database of {self._stored.bound.name!r}")
        yield from self._of_reader

    def _points(self, vector: Vector, read: Read, limit: int) -> list[Hit]:
        if len(vector.ids if isinstance(vector, Sparse) else vector) == 0:  # no term of it counts
            return []
        query = Query(vector=vector, field=self._stored.field, limit=limit, is_exact=self._is_exact)
        origin = read.origin(self.kind, self._stored.signed.identity)
        return self._again(lambda: self._stored.bound.query(query, origin))
