"""A few rows of a table are read back from the collection and compared with what was written."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from embedstack.databases.database import Collection, Column, Distance, Json, Point, PointId, Points, Storing, Vector
from embedstack.errors import Mismatch
from embedstack.loading.deleting import Ground
from embedstack.loading.source import Source
from embedstack.types import Sparse

ROWS = 8
OFF: Mapping[Storing, float] = {"float32": 1e-5, "float16": 2e-3}  # of a length and a direction; rounding is less


@dataclass(frozen=True, slots=True)
class Row:
    """One that was given to the database."""

    place: int  # in the table, from 0
    id: PointId
    vectors: Mapping[str, Vector]
    payload: Mapping[str, Json]


class Sample:
    """Keeps rows that lie evenly over all that went by, however many these are."""

    def __init__(self, first: int) -> None:
        self._next, self._step = first, 1
        self._rows: list[Row] = []

    def see(self, place: int, points: Points) -> None:
        """A batch, the first row of which stands there in the table."""
        while self._next < place + len(points):
            self._rows.append(row_of(points, self._next - place, self._next))
            self._next += self._step
            if len(self._rows) == 2 * ROWS:
                self._rows, self._step = self._rows[::2], 2 * self._step
                self._next = self._rows[-1].place + self._step

    def rows(self, count: int) -> list[Row]:
        """So many of them at most."""
        return [self._rows[place] for place in spread(len(self._rows), count)]


def row_of(points: Points, number: int, place: int) -> Row:
    """One of a batch."""
    vectors = {name: vector_of(column, number) for name, column in points.vectors.items()}
    return Row(place, points.ids[number], vectors, points.payloads[number])


def vector_of(column: Column, number: int) -> Vector:
    """A copy, so that the batch need not be kept."""
    found = column[number]
    return found if isinstance(found, Sparse) else np.array(found)


def spread(rows: int, count: int) -> list[int]:
    """Places that lie evenly over so many, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, rows - 1, min(rows, count))}) if rows else []


def recheck(ground: Ground, collection: Collection, source: Source, sample: Sample, *, start: int, rows: int) -> int:
    """Compare rows over the whole table; how many.

    Args:
        sample: of the rows behind the first `start`, which an earlier load has written.
    Raises:
        Mismatch: one is not there, or is another.
    """
    before = round(ROWS * start / rows) if rows else 0
    wanted = [*_read(ground, source, spread(start, before)), *sample.rows(ROWS - before)]
    fields = tuple(sorted({name for row in wanted for name in row.vectors}))
    found = ground.retry(partial(ground.database.get, ground.name, [row.id for row in wanted], vectors=fields))
    there = {point.id: point for point in found}
    wrong = [(row, why) for row in wanted if (why := fault(row, there.get(row.id), collection))]
    repeated = _repeated(source, {row.id for row, _ in wrong}) if wrong else set()
    for row, why in wrong:
        if row.id not in repeated:
            raise Mismatch(
                f"row {row.place} of {source.label} was written to collection {collection.name!r} as point {row.id!r} "
                f"and reads back wrong: {why}; if something else writes there, end it and load again with --again"
            )
    return len(wanted)


def fault(row: Row, found: Point | None, collection: Collection) -> str:
    """What is wrong with a row that was read back; "" where nothing is."""
    if found is None:
        return "it is not there"
    for name, vector in row.vectors.items():
        field = collection.fields[name]
        if not is_same(vector, found.vectors.get(name), field.distance, OFF[field.storing]):
            return f"its vector {name!r} is another" if name else "its vector is another"
    if collection.keeps_payload and row.payload.keys() != found.payload.keys():
        odd = sorted(row.payload.keys() ^ found.payload.keys())
        return f"its payload differs in the keys {', '.join(map(repr, odd))}"
    return ""


def is_same(written: Vector, found: Vector | None, distance: Distance, off: float) -> bool:
    """Of cosine fields only directions are compared: some databases bring vectors to length 1."""
    if isinstance(written, Sparse):
        if found is None or not isinstance(found, Sparse):
            return not written.weights.any()  # a vector without terms need not be kept
        (ids, weights), (there, kept) = _terms(written), _terms(found)
        return np.array_equal(ids, there) and np.allclose(weights, kept, rtol=off, atol=off * 1e-3)
    if found is None or isinstance(found, Sparse) or written.shape != found.shape:
        return False
    mine, theirs = np.atleast_2d(written).astype(np.float64), np.atleast_2d(found).astype(np.float64)
    if distance == "cosine":
        mine, theirs = _unit(mine), _unit(theirs)
    size = np.linalg.norm(mine, axis=1)
    return bool((np.linalg.norm(mine - theirs, axis=1) <= off * size).all())


def _terms(vector: Sparse) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Without those of weight 0: pgvector keeps none."""
    is_kept = vector.weights != 0
    return vector.ids[is_kept], vector.weights[is_kept]


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1.0, lengths)


def _read(ground: Ground, source: Source, places: Sequence[int]) -> list[Row]:
    """From the table."""

    def read(place: int) -> Row:
        return row_of(next(source.batches(place, 1)), 0, place)

    return [ground.retry(partial(read, place)) for place in places]


def _repeated(source: Source, ids: Set[PointId]) -> set[PointId]:
    """Those of some ids that several rows have: the last one of these is in the collection."""
    seen = Counter(id_ for some in source.ids() for id_ in some if id_ in ids)
    return {id_ for id_, times in seen.items() if times > 1}
