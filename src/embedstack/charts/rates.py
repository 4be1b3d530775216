"""Amounts that came over time -> a line of rates. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate

from embedstack.charts.frame import BELOW, HEIGHT, LEFT, RIGHT, WIDTH, svg

SHORT = 0.01  # of the axis: a pause that is no break
Span = tuple[float, float, float]


def steps(title: str, values: Sequence[float], top: str, ends: tuple[str, str], breaks: Sequence[int] = ()) -> str:
    """A line of equal steps over time, filled below.

    Args:
        top: what is said of the highest.
        ends: what is said of the left and the right end.
        breaks: steps before which nobody worked for a while.
    """
    most = max(values, default=0) or 1
    wide = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    floor = HEIGHT - BELOW
    points = [f"M{LEFT},{floor}"]
    for place, value in enumerate(values):
        y = floor - (floor - 24) * value / most
        points.append(f"L{LEFT + place * wide:.1f},{y:.1f} L{LEFT + (place + 1) * wide:.1f},{y:.1f}")
    points.append(f"L{WIDTH - RIGHT},{floor} Z")
    lines = [
        f'<line class="break" x1="{LEFT + place * wide:.1f}" x2="{LEFT + place * wide:.1f}" y1="24" y2="{floor}">'
        "<title>nobody worked for a while</title></line>"
        for place in breaks
    ]
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="24" y2="24"/>',
        f'<text class="soft" x="{LEFT}" y="16">{escape(top)}</text>',
        f'<path class="area" d="{" ".join(points)}"/>',
        *lines,
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}"/>',
        f'<text class="soft" x="{LEFT}" y="{floor + 18}">{escape(ends[0])}</text>',
        f'<text class="soft" x="{WIDTH - RIGHT}" y="{floor + 18}" text-anchor="end">{escape(ends[1])}</text>',
    ]
    return svg(title, HEIGHT - BELOW + 28, parts)


def spread(spans: Sequence[Span], count: int, busy: Sequence[tuple[float, float]]) -> tuple[list[float], list[int]]:
    """Amounts that each came evenly in a span of time -> a rate for each of so many steps, and where there are breaks.

    Args:
        spans: begin, end, amount.
        busy: the times that the axis shows, as `joined` makes them; all else is left out of it.
    """
    if not spans or not busy or count < 1:
        return [], []
    begins = [begin for begin, _ in busy]
    before = list(accumulate((end - begin for begin, end in busy), initial=0.0))
    step = before[-1] / count

    def within(moment: float) -> float:
        """On the axis."""
        place = bisect_right(begins, moment) - 1
        return before[place] + min(moment, busy[place][1]) - begins[place] if place >= 0 else 0.0

    made = [0.0] * count
    for begin, end, amount in spans:
        first, last = within(begin), within(end)
        for place in range(min(count - 1, int(first / step)), min(count - 1, int(last / step)) + 1):
            shared = max(0.0, min(last, (place + 1) * step) - max(first, place * step))
            made[place] += amount * (shared / (last - first) if last > first else 1.0)
    return [amount / step for amount in made], [min(count - 1, round(at / step)) for at in before[1:-1]]


def joined(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that meet, as one; and those with so short a pause between them that nobody would see it."""
    met = _joined(sorted(spans), 0.0)
    return _joined(met, SHORT * sum(end - begin for begin, end in met))


def _joined(spans: Sequence[tuple[float, float]], pause: float) -> list[tuple[float, float]]:
    made: list[tuple[float, float]] = []
    for begin, end in spans:
        if made and begin <= made[-1][1] + pause:
            made[-1] = made[-1][0], max(made[-1][1], end)
        else:
            made.append((begin, end))
    return made
