"""How far vectors are from what recipes give -> which one can have made which, and what tells two apart. Pure."""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from embedstack.identifying.numbers import Stored
from embedstack.identifying.recipe import Recipe
from embedstack.modelspec import Precision
from embedstack.proof.diagnosis import CLEARLY
from embedstack.proof.fidelity import LIMITS, Array

ROOM = 4.0  # times the noise of stored numbers that a vector may be off by: it varies by a tenth among rows of 384
ROOM_OF_MEAN = 1.25  # the same of the mean of rows, which hardly varies
OURS = 1e-11  # 1 - cosine of one recipe computed here by two runtimes in float32, at most about ten times what is seen
LEAST_SHARE = 0.25  # of the rows must fit a recipe for it to be named: that many fit none by chance
LEAST_ROWS = 2
SPREAD = (
    100.0  # times the middle row, that no row is off by as long as it is of the recipe: texts of one token, and all
)
FINEST_FIRST: tuple[Precision, ...] = ("float32", "float16", "bfloat16", "int8")


@dataclass(frozen=True, slots=True)
class Noise:
    """How far the right recipe may be off, as 1 - cosine.

    Args:
        most: of a row.
        usual: of the middle one of the rows that fit.
        stored: what the type of the stored numbers alone does, on average.
        held: the coarsest precision that it may have been computed in.
    """

    most: float
    usual: float
    stored: float
    held: Precision


def noise_of(stored: Stored, held: Precision) -> Noise:
    """Of vectors computed in this precision, or a finer one, and stored so."""
    limits, noise = LIMITS[held], stored.noise
    return Noise(1 - limits.least + ROOM * noise, 1 - limits.mean + ROOM_OF_MEAN * noise, noise, held)


def tightened(noise: Noise, off: float) -> Noise:
    """The same, once it is known how far the middle row is off: no other row of one precision is many times as far."""
    least = 1 - LIMITS["float32"].least + ROOM * noise.stored
    return replace(noise, most=min(noise.most, max(least, SPREAD * off)))


def computed_in(off: float, stored: float, held: Precision) -> tuple[Precision, float]:
    """The finest precision whose vectors are usually so far off, and how far that is; both with what storing does.

    Args:
        off: 1 - cosine, of the middle row.
        held: the coarsest one.
    """
    reach = {each: 1 - LIMITS[each].mean + ROOM * stored for each in FINEST_FIRST}
    found = next((each for each in FINEST_FIRST if off <= reach[each]), held)
    return found, reach[found]


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """A recipe and what it gives, by row; not a number for rows that were not asked for.

    Args:
        off: 1 - cosine of the stored vector to what is made of its text; infinite where nothing can be made of that.
        beside: the same to the stored vector, of all rows, that is nearest to it.
        lengths: of what is made, after the cut and before anything is brought to length 1.
        shares: of these in the lengths before the cut.
    """

    recipe: Recipe
    off: Array
    beside: Array
    lengths: Array
    shares: Array

    @property
    def is_whole(self) -> bool:
        """Whether all rows were asked for."""
        return not np.isnan(self.off).any()

    def joined(self, other: "Tried") -> "Tried":
        """With the rows that only the other was asked for."""
        is_here = ~np.isnan(self.off)
        both = [(self.off, other.off), (self.beside, other.beside), (self.lengths, other.lengths)]
        return Tried(self.recipe, *(np.where(is_here, *pair) for pair in (*both, (self.shares, other.shares))))

    def fitting(self, noise: Noise) -> NDArray[np.bool_]:
        """Which of the rows it can have made."""
        return np.asarray(self.off <= noise.most)

    def fits(self, noise: Noise) -> bool:
        """Whether it made enough of them to be named."""
        fitting = self.fitting(noise)
        is_enough = self.is_whole and fitting.sum() >= enough_of(len(self.off))
        return bool(is_enough and np.median(self.off[fitting]) <= noise.usual)

    @property
    def low(self) -> float:
        """Of the nearest rows the worst: it stays low where the texts of many others were changed since."""
        return _low(self.off)

    @property
    def low_beside(self) -> float:
        """The same of `beside`."""
        return _low(self.beside)


def enough_of(rows: int) -> int:
    """How many must fit."""
    return min(rows, max(LEAST_ROWS, ceil(LEAST_SHARE * rows)))


def _low(off: Array) -> float:
    asked = np.sort(off[~np.isnan(off)])
    return float(asked[enough_of(len(asked)) - 1]) if len(asked) else np.inf


@dataclass(frozen=True, slots=True)
class Duel:
    """What tells two recipes apart: rows that one of them made, and the other clearly did not."""

    for_first: NDArray[np.bool_]
    for_second: NDArray[np.bool_]


def duel(first: Tried, second: Tried, noise: Noise) -> Duel:
    """Row by row: clearly means several times as near, and never by what rounding does."""
    low, high = np.minimum(first.off, second.off), np.maximum(first.off, second.off)
    tells = (low <= noise.most) & (high >= CLEARLY * np.maximum(low, max(noise.stored, OURS)))
    return Duel(tells & (first.off < second.off), tells & (second.off < first.off))
