"""Differences of many things -> a picture of all of them side by side, from the worst to the best. Pure."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from embedstack.charts.frame import BELOW, HEIGHT, LEFT, RIGHT, WIDTH, svg

FINEST = 0.5  # of the picture's units: steps that nobody can see are drawn as one
TOP = 24


def waterfall(title: str, differences: Sequence[float], shown: str, ends: tuple[str, str, str]) -> str:
    """Areas below and above zero; as few steps as there are heights that can be seen, however many the differences are.

    Args:
        differences: in any order.
        shown: the largest of them, in words.
        ends: what is said of those below zero, of zero, and above.
    """
    ordered = sorted(differences)
    most = max((abs(value) for value in ordered), default=0.0) or 1.0
    wide = (WIDTH - LEFT - RIGHT) / max(1, len(ordered))
    floor = HEIGHT - BELOW
    half = (floor - TOP) / 2
    zero = TOP + half
    paths: dict[str, list[str]] = {"worse": [], "better": []}
    at = 0
    for (side, y), group in groupby(ordered, lambda value: _step(value / most * half, zero)):
        begin, at = at, at + len(list(group))
        if side in paths:
            start = "" if paths[side] else f"M{LEFT + begin * wide:.1f},{zero:g}"
            paths[side].append(f"{start}V{y:g}H{LEFT + at * wide:.1f}")
    parts = [
        *(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>' for y in (TOP, floor)),
        f'<text class="soft" x="{LEFT}" y="{TOP - 8}">+{escape(shown)}</text>',
        f'<text class="soft" x="{WIDTH - RIGHT}" y="{floor - 6}" text-anchor="end">-{escape(shown)}</text>',
        *(f'<path class="{side}" d="{"".join(drawn)}V{zero:g}Z"/>' for side, drawn in paths.items() if drawn),
        f'<line class="zero" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{zero}" y2="{zero}"/>',
        *(
            f'<text x="{x}" y="{floor + 18}" text-anchor="{anchor}">{escape(text)}</text>'
            for x, anchor, text in zip((LEFT, WIDTH / 2, WIDTH - RIGHT), ("start", "middle", "end"), ends, strict=True)
        ),
    ]
    return svg(title, HEIGHT - BELOW + 28, parts)


def _step(rise: float, zero: float) -> tuple[str, float]:
    """Which side, and the height in the picture; the smallest difference is still seen."""
    side = "better" if rise > 0 else "worse" if rise < 0 else "same"
    return side, zero - round(max(abs(rise), FINEST) / FINEST) * FINEST * (1 if rise > 0 else -1)
