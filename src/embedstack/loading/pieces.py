"""Runs of rows as files have them -> batches of one size, each row with the place where it stands."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

from embedstack.databases.database import Column, PointId, Points
from embedstack.loading.source import BadRow
from embedstack.types import Floats, Sparse


class Place(NamedTuple):
    """Where a row stands, for messages: "line 3 of 'a.jsonl'"."""

    word: str  # line, counted from 1 as editors do; or row, counted from 0 as tables do
    number: int
    key: str

    def __str__(self) -> str:
        return f"{self.word} {self.number} of {self.key!r}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows."""

    points: Points
    places: Sequence[Place]

    def __len__(self) -> int:
        return len(self.places)

    def cut(self, start: int, stop: int | None = None) -> "Piece":
        """Those from one number up to another."""
        here = slice(start, stop)
        points = Points(
            ids=self.points.ids[here],
            vectors={name: column[here] for name, column in self.points.vectors.items()},
            payloads=self.points.payloads[here],
        )
        return Piece(points, self.places[here])


def batched(pieces: Iterable[Piece], size: int) -> Iterator[Points]:
    """Of so many rows each; the last may have fewer.

    Raises:
        BadRow: an id stands in one batch twice.
    """
    for piece in _even(pieces, size):
        check_once(piece.points.ids, piece.places)
        yield piece.points


def check_once(ids: Sequence[PointId], places: Sequence[Place]) -> None:
    """Each id stands there once.

    Raises:
        BadRow: it does not, naming both places.
    """
    if len(set(ids)) == len(ids):
        return
    seen: dict[PointId, Place] = {}
    for point, place in zip(ids, places, strict=True):
        if point in seen:
            raise BadRow(f"{place} has the same id as {seen[point]}: {point!r}; give each row one of its own")
        seen[point] = place


def _even(pieces: Iterable[Piece], size: int) -> Iterator[Piece]:
    kept: list[Piece] = []
    count = 0
    for piece in pieces:
        kept.append(piece)
        count += len(piece)
        if count < size:
            continue
        whole, full = _joined(kept), count - count % size
        yield from (whole.cut(start, start + size) for start in range(0, full, size))
        kept, count = [whole.cut(full)], count - full
    if count:
        yield _joined(kept)


def _joined(pieces: Sequence[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    parts = [piece.points for piece in pieces]
    points = Points(
        ids=[point for part in parts for point in part.ids],
        vectors={name: _column([part.vectors[name] for part in parts]) for name in parts[0].vectors},
        payloads=[payload for part in parts for payload in part.payloads],
    )
    return Piece(points, [place for piece in pieces for place in piece.places])


def _column(columns: Sequence[Column]) -> Column:
    """Dense ones, or sparse ones: sources have no others."""
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(cast("Sequence[Floats]", columns))
    return [row for column in cast("Sequence[Sequence[Sparse]]", columns) for row in column]
