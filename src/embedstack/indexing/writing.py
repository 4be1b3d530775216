"""Points of documents -> the collection: first what each has now, then what it has no more is deleted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from embedstack.databases.bound import Bound
from embedstack.databases.database import Column, Database, Json, PointId, Points, UnknownCollection
from embedstack.errors import BadRequest
from embedstack.indexing.held import Chunk, Held, Retry
from embedstack.indexing.points import Made
from embedstack.indexing.wish import MULTI, LeftOut
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
    multi: Floats | None  # (vectors, dim); None: there is no such field


class Writing:
    """Writes documents whole; blocks.

    Killed between any two calls, the next index finds what is missing: a document counts as there once all of its
    chunks are, and only then is deleted what it has no more.

    Args:
        held: what there is.
        dense: the name of the field for dense vectors.
        field: that for sparse ones; "" where there is none.
        is_replacing: points may have vectors in other fields, of what their documents were before.
    """

    def __init__(
        self,
        bound: Bound,
        held: Mapping[str, Held],
        retry: Retry,
        *,
        dense: str,
        field: str,
        is_replacing: bool = False,
    ) -> None:
        self._bound, self._held, self._retry, self._dense, self._field = bound, held, retry, dense, field
        self._is_replacing = is_replacing
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
        there = [chunk for one in documents if one.doc_id in self._held for chunk in self._held[one.doc_id].chunks]
        self._put([row for row in rows if row.lexical is not None], with_field=True)
        self._put([row for row in rows if row.lexical is None], with_field=False)
        written = {row.id for row in rows}
        old = [chunk for chunk in there if chunk.id not in written]
        self.deleted += delete(self._bound.database, self._bound.name, old, self._retry)

    def _put(self, rows: Sequence[_Row], *, with_field: bool) -> None:
        for first in range(0, len(rows), BATCH):
            few = rows[first : first + BATCH]
            vectors: dict[str, Column] = {self._dense: np.stack([row.dense for row in few])}
            if with_field:
                vectors[self._field] = [row.lexical for row in few if row.lexical is not None]
            if multi := [row.multi for row in few if row.multi is not None]:
                vectors[MULTI] = multi
            points = Points(ids=[row.id for row in few], vectors=vectors, payloads=[row.payload for row in few])
            if self._is_replacing or (self._field and not with_field):  # a field that is not given would stay as it is
                self._retry(partial(self._bound.database.delete, self._bound.name, points.ids))
            self._retry(partial(self._bound.write, points))


def delete(database: Database, collection: str, chunks: Iterable[Chunk], retry: Retry) -> int:
    """Those that are still as they were seen: another index or a load may have written their points meanwhile.

    Returns:
        How many.
    """
    digests = {chunk.id: chunk.digest for chunk in chunks}
    ids, count = [*digests], 0
    for first in range(0, len(ids), DELETED):
        now = retry(partial(database.get, collection, ids[first : first + DELETED]))
        few = [point.id for point in now if point.payload.get("doc_digest") == digests[point.id]]
        if few:
            retry(partial(database.delete, collection, few))
        count += len(few)
    return count


def _rows(made: Made) -> list[_Row]:
    """A sparse vector without terms is better left out: of the databases some count it among those that have one."""
    lexical = (
        [None] * len(made.ids) if made.lexical is None else [one if len(one.ids) else None for one in made.lexical]
    )
    multi: Sequence[Floats | None] = made.multi or [None] * len(made.ids)
    return [_Row(*row) for row in zip(made.ids, made.payloads, made.dense, lexical, multi, strict=True)]
