"""Points of documents -> the collection: first what each has now, then what it has no more is deleted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from embedstack.databases.bound import Bound
from embedstack.databases.database import Column, Database, Json, PointId, Points, UnknownCollection
from embedstack.errors import BadRequest
from embedstack.indexing.held import Held, Retry
from embedstack.indexing.points import Made
from embedstack.indexing.wish import DENSE, LeftOut
from embedstack.types import Floats, Sparse

BATCH = 128  # points that are written by one call, as a load does
DELETED = 1000  # that are deleted by one


@dataclass(frozen=True, slots=True)
class _Row:
    """One point."""

    id: PointId
    payload: Mapping[str, Json]
    dense: Floats  # (dim,)
    lexical: Sparse | None  # None: there is no such field, or the text has no term


class Writing:
    """Writes documents whole; blocks.

    Killed between any two calls, the next index finds what is missing: a document counts as there once all of its
    chunks are, and only then is deleted what it has no more.

    Args:
        held: what there is.
        field: the name of that for sparse vectors; "" where there is none.
    """

    def __init__(self, bound: Bound, held: Mapping[str, Held], retry: Retry, *, field: str) -> None:
        self._bound, self._held, self._retry, self._field = bound, held, retry, field
        self.deleted = 0  # points

    def write(self, documents: Sequence[Made]) -> list[LeftOut]:
        """Those that the database does not take, as it cannot hold something in them.

        Raises:
            Mismatch, Upstream, UnknownCollection: as `Bound.write`.
        """
        try:
            self._write(documents)
        except UnknownCollection:
            raise
        except BadRequest as error:
            if len(documents) == 1:
                return [LeftOut(documents[0].doc_id, documents[0].file, error.code, error.message)]
            return [refused for one in documents for refused in self.write([one])]
        return []

    def _write(self, documents: Sequence[Made]) -> None:
        rows = [row for one in documents for row in _rows(one)]
        there = {id_ for one in documents if one.doc_id in self._held for id_ in self._held[one.doc_id].ids}
        bare = [row for row in rows if row.lexical is None] if self._field else []
        self._delete(row.id for row in bare if row.id in there)  # a field that is not given would stay as it is
        self._put([row for row in rows if row.lexical is not None], with_field=True)
        self._put([row for row in rows if row.lexical is None], with_field=False)
        self._delete(there.difference(row.id for row in rows))

    def _put(self, rows: Sequence[_Row], *, with_field: bool) -> None:
        for first in range(0, len(rows), BATCH):
            few = rows[first : first + BATCH]
            vectors: dict[str, Column] = {DENSE: np.stack([row.dense for row in few])}
            if with_field:
                vectors[self._field] = [row.lexical for row in few if row.lexical is not None]
            points = Points(ids=[row.id for row in few], vectors=vectors, payloads=[row.payload for row in few])
            self._retry(partial(self._bound.write, points))

    def _delete(self, ids: Iterable[PointId]) -> None:
        self.deleted += delete(self._bound.database, self._bound.name, ids, self._retry)


def delete(database: Database, collection: str, ids: Iterable[PointId], retry: Retry) -> int:
    """How many there were; those that are not there are no error."""
    everything = list(ids)
    for first in range(0, len(everything), DELETED):
        few = everything[first : first + DELETED]
        retry(partial(database.delete, collection, few))
    return len(everything)


def _rows(made: Made) -> list[_Row]:
    """A sparse vector without terms is better left out: of the databases some count it among those that have one."""
    lexical = (
        [None] * len(made.ids) if made.lexical is None else [one if len(one.ids) else None for one in made.lexical]
    )
    return [_Row(*row) for row in zip(made.ids, made.payloads, made.dense, lexical, strict=True)]
