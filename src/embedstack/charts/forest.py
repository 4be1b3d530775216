"""Numbers with their intervals -> a picture with a row for each: a dot, or a bar, and a line from end to end. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import inf, isfinite
from typing import Literal

from embedstack.charts.axis import Axis, axis_of, grid
from embedstack.charts.frame import LEFT, RIGHT, WIDTH, short, svg

ROW = 46  # height: a line of words, and one with the mark
WORDS, MARKS = 15, 31  # where in a row they lie
LETTERS = 100  # of a row's name and of what is said, together
DOT = 5.5
BAR = 12
Base = Literal["free", "zero", "bars"]
"""Free: the axis lies where the numbers are. Zero: it holds zero, and a dot is hollow whose interval does. Bars: each
number is a bar from zero; none may be below."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A number, where it would mostly lie, and what is said of it."""

    name: str
    value: float
    low: float  # or -infinity: an arrow
    high: float  # or infinity
    text: str
    limit: float | None = None  # a line across this row


def forest(title: str, marks: Sequence[Mark], base: Base = "free") -> str:
    """A row for each mark, in their order, over one axis."""
    numbers = [number for mark in marks for number in (mark.value, mark.low, mark.high)]
    limits = [mark.limit for mark in marks if mark.limit is not None]
    zero = [0.0] if base == "zero" else []
    axis = axis_of([*numbers, *limits, *zero], from_zero=base == "bars")
    bottom = len(marks) * ROW + 4
    parts = [*grid(axis, 0, bottom)]
    if base == "zero":
        parts.append(_upright("zero", axis.place(0), 0, bottom))
    for place, mark in enumerate(marks):
        parts.append(_row(mark, axis, place * ROW, base))
    return svg(title, bottom + 24, parts)


def _row(mark: Mark, axis: Axis, top: float, base: Base) -> str:
    y, left, right, x = top + MARKS, axis.place(mark.low), axis.place(mark.high), axis.place(mark.value)
    name = short(mark.name, max(12, LETTERS - len(mark.text)))
    limit = "" if mark.limit is None else _upright("limit", axis.place(mark.limit), top + WORDS + 4, top + ROW)
    bar = (
        f'<rect class="area" x="{LEFT}" y="{y - BAR / 2:.1f}" width="{x - LEFT:.1f}" height="{BAR}"/>'
        if base == "bars"
        else ""
    )
    is_open = base == "zero" and mark.low <= 0 <= mark.high
    dot = f'<circle class="{"dot open" if is_open else "dot"}" cx="{x:.1f}" cy="{y:.1f}" r="{3 if bar else DOT}"/>'
    return (
        f'<g class="row"><title>{escape(mark.name)}: {escape(mark.text)}</title>'
        f'<text x="{LEFT}" y="{top + WORDS}">{escape(name)}</text>'
        f'<text class="soft" x="{WIDTH - RIGHT}" y="{top + WORDS}" text-anchor="end">{escape(mark.text)}</text>{bar}'
        f'<line class="whisker" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f"{_end(mark.low, left, y)}{_end(mark.high, right, y)}{dot}{limit}</g>"
    )


def _end(value: float, x: float, y: float) -> str:
    """Of an interval: a short line, or an arrow where it goes on."""
    if isfinite(value):
        return _upright("whisker", x, y - 5, y + 5)
    back = -9 if value == inf else 9
    return f'<path class="arrow" d="M{x:.1f},{y:.1f} l{back},-5 v10 Z"/>'


def _upright(kind: str, x: float, top: float, bottom: float) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
