"""Rows from all over a source -> those that are embedded again: short ones and long ones, some with capital letters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedstack.errors import BadRequest, Mismatch
from embedstack.identifying.numbers import Stored, stored_as
from embedstack.identifying.rows import Pool, Row
from embedstack.identifying.wording import Wording, main_wording
from embedstack.loading.found import spread
from embedstack.proof.fidelity import Array

CAPITALS = 4  # texts that have some, where there are any


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is embedded again.

    Args:
        vectors: (rows, dim), as they were given before they were rounded, as far as that can be known.
        looked_at: rows that these were chosen from; of them `textless` have no text, `unsound` no direction.
    """

    pool: Pool
    wording: Wording
    rows: Sequence[Row]
    vectors: Array
    stored: Stored
    looked_at: int
    textless: int
    unsound: int

    @property
    def dim(self) -> int:
        """Numbers of each vector."""
        return int(self.vectors.shape[1])

    @property
    def texts(self) -> list[str]:
        """Of the rows, under the main key."""
        return [text for row in self.rows if (text := self.wording.of(row)) is not None]

    @property
    def reshaped(self) -> str:
        """Why lengths say nothing; "" where they do."""
        return self.pool.reshaped or ("" if self.stored.keeps_length else f"{self.stored.name} keep no scale")


def sample(pool: Pool, count: int, text_key: str = "") -> Sample:
    """So many rows, or all there are; the same ones each time.

    Raises:
        BadRequest: no row has a text, or none a vector with a direction. Mismatch: vectors of two widths.
    """
    _check_widths(pool)
    sound = [row for row in pool.rows if np.isfinite(row.vector).all() and row.vector.any()]
    if not sound:
        raise BadRequest(f"no row of {pool.label} has a vector with a direction; name a source with vectors")
    wording = main_wording(sound, pool.label, text_key)
    spoken = [row for row in sound if wording.of(row) is not None]
    rows = _chosen(spoken, wording, count)
    stored, vectors = stored_as(np.stack([row.vector for row in rows]))
    return Sample(
        pool=pool,
        wording=wording,
        rows=rows,
        vectors=vectors,
        stored=stored,
        looked_at=len(pool.rows),
        textless=len(sound) - len(spoken),
        unsound=len(pool.rows) - len(sound),
    )


def _check_widths(pool: Pool) -> None:
    first: dict[int, str] = {}
    for row in pool.rows:
        first.setdefault(len(row.vector), row.place)
    if len(first) > 1:
        (one, place), (other, elsewhere) = list(first.items())[:2]
        raise Mismatch(
            f"{pool.label} has vectors of {one} numbers ({place}) and of {other} ({elsewhere}); two recipes made them, "
            "so identify each part alone"
        )


def _chosen(rows: Sequence[Row], wording: Wording, count: int) -> list[Row]:
    """A third are the shortest, a third the longest, the others from all over; each text once, unless most are one."""
    once = {wording.of(row): place for place, row in reversed([*enumerate(rows)])}.values()
    places = once if len(once) >= min(count, len(rows) / 2) else range(len(rows))
    by_length = sorted(places, key=lambda place: (len(wording.of(rows[place]) or ""), place))
    if len(by_length) <= count:
        return [rows[place] for place in sorted(by_length)]
    ends = count // 3
    short, long = by_length[:ends], by_length[len(by_length) - ends :]
    between = sorted(by_length[ends : len(by_length) - ends])
    capital = [place for place in between if _has_capitals(wording.of(rows[place]) or "")][:CAPITALS]
    rest = [place for place in between if place not in capital]
    more = [rest[number] for number in spread(len(rest), count - 2 * ends - len(capital))]
    return [rows[place] for place in sorted({*short, *long, *capital, *more})]


def _has_capitals(text: str) -> bool:
    return text != text.lower()
