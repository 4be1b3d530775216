"""Counts of two groups in the same bins -> one group above, the other below, and lines where something is cut. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from embedstack.charts.axis import axis_of, grid
from embedstack.charts.frame import LEFT, RIGHT, WIDTH, svg

HALF = 100  # height of each group
LINE = 17  # of words


@dataclass(frozen=True, slots=True)
class Pile:
    """What fell into one bin."""

    low: float
    high: float
    above: int
    below: int


def histogram(title: str, piles: Sequence[Pile], groups: tuple[str, str], lines: Sequence[tuple[str, float]]) -> str:
    """Each group has its own height, as one may be much the larger.

    Args:
        groups: what stands above, and what below.
        lines: name and place, each drawn from top to bottom with its name at a height of its own.
    """
    axis = axis_of([*(edge for pile in piles for edge in (pile.low, pile.high)), *(at for _, at in lines)])
    top = 24 + LINE * len(lines)
    zero = top + HALF
    parts = [*grid(axis, top, top + 2 * HALF)]
    for side, counts, sign in (("better", [p.above for p in piles], 1), ("worse", [p.below for p in piles], -1)):
        most = max(counts, default=0) or 1
        for pile, count in zip(piles, counts, strict=True):
            high = (HALF - 6) * count / most
            x, end = axis.place(pile.low), axis.place(pile.high)
            parts.append(
                f'<rect class="{side}" x="{x + 0.5:.1f}" y="{zero - high if sign > 0 else zero:.1f}" '
                f'width="{end - x - 1:.1f}" height="{high:.1f}"><title>{pile.low:.2f} to {pile.high:.2f}: '
                f"{count:,}</title></rect>"
            )
    parts.append(f'<line class="zero" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{zero}" y2="{zero}"/>')
    placed = sorted(((name, axis.place(at)) for name, at in lines), key=lambda line: -abs(line[1] - WIDTH / 2))
    for number, (name, x) in enumerate(placed):
        parts.append(_line(name, x, 14 + LINE * number, top + 2 * HALF))
    parts += [
        f'<text class="soft" x="{LEFT}" y="{top + 12}">↑ {escape(groups[0])}</text>',
        f'<text class="soft" x="{LEFT}" y="{top + 2 * HALF - 6}">↓ {escape(groups[1])}</text>',
    ]
    return svg(title, top + 2 * HALF + 24, parts)


def _line(name: str, x: float, y: float, bottom: float) -> str:
    """Its name stands towards the middle; the outermost come first, so that names do not cross lines."""
    is_right = x > WIDTH / 2
    words = x - 5 if is_right else x + 5
    return (
        f'<g class="row"><line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 10:.1f}" y2="{bottom:.1f}"/>'
        f'<text x="{words:.1f}" y="{y}" text-anchor="{"end" if is_right else "start"}">{escape(name)}</text></g>'
    )
