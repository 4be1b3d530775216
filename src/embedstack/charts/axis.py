"""Numbers that are to be shown -> a line on which each has its place, with round numbers along it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from embedstack.charts.frame import LEFT, RIGHT, WIDTH

MARGIN = 0.04  # of the axis, left and right of the outermost numbers
PARTS = 4  # so many steps or more, up to 10


@dataclass(frozen=True, slots=True)
class Axis:
    """From left to right over the whole picture."""

    low: float
    high: float
    step: float  # between round numbers

    def place(self, value: float) -> float:
        """In the picture; what is beyond an end, infinity as well, lies at that end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    def ticks(self) -> list[float]:
        """The round numbers."""
        return [number * self.step for number in range(ceil(self.low / self.step), floor(self.high / self.step) + 1)]

    def said(self, value: float) -> str:
        """A round number with as many digits as tell it from the next one."""
        digits = max(0, -floor(log10(self.step) + 1e-9))
        return f"{value + 0.0:.{digits}f}" if round(value, digits) else "0"


def axis_of(numbers: Iterable[float], *, from_zero: bool = False) -> Axis:
    """Args:
    numbers: infinite ones have no part in it.
    from_zero: it begins at zero, for bars; no number may be below.
    """
    finite = [number for number in numbers if isfinite(number)]
    low, high = (0.0 if from_zero else min(finite, default=0.0)), max(finite, default=1.0)
    if high <= low:
        around = abs(high) * 0.1 or 1.0
        low, high = (low if from_zero else low - around), high + around
    margin = (high - low) * MARGIN
    low, high = (low if from_zero else low - margin), high + margin
    return Axis(low, high, _round_step((high - low) / PARTS))


def grid(axis: Axis, top: float, bottom: float) -> Sequence[str]:
    """A line for each round number, and what it is, below."""
    return [
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
        f'<text class="soft" x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="{_anchor(x)}">{axis.said(tick)}</text>'
        for tick in axis.ticks()
        for x in (axis.place(tick),)
    ]


def _anchor(x: float) -> str:
    """No number leaves the picture."""
    return "start" if x < LEFT + 20 else "end" if x > WIDTH - RIGHT - 20 else "middle"


def _round_step(most: float) -> float:
    power = 10.0 ** floor(log10(most))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= most * 1.001)
