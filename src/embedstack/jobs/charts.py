"""Numbers become pictures: SVG that stands in an HTML page, takes its colours from it and needs no script. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate

WIDTH = 720
LEFT, RIGHT = 8, 8
BAR, GAP = 22, 8  # heights of one bar and of what is between two
NAMES = 150  # of the width, for the names of bars that lie
HEIGHT = 220
BELOW = 44  # for the names below
LETTERS = 20  # of a name before a bar that lie in its room; the rest stands in the picture's words
SHORT = 0.01  # of the axis: a pause that is no break
Span = tuple[float, float, float]


def columns(title: str, values: Sequence[tuple[str, float]], shown: Sequence[str]) -> str:
    """Upright bars, each with its name below it and what is said of it above.

    Args:
        shown: of each value, in a few letters; the number itself stands in the words of its bar.
    """
    most = max((value for _, value in values), default=0) or 1
    step = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    parts = []
    for place, ((name, value), text) in enumerate(zip(values, shown, strict=True)):
        high = (HEIGHT - BELOW - 22) * value / most
        x, y = LEFT + place * step, HEIGHT - BELOW - high
        middle = x + step / 2
        parts.append(
            f'<rect class="bar" x="{x + step * 0.12:.1f}" y="{y:.1f}" width="{step * 0.76:.1f}" height="{high:.1f}">'
            f"<title>{escape(name)}: {value:,.0f}</title></rect>"
            f'<text x="{middle:.1f}" y="{y - 5:.1f}" text-anchor="middle">{escape(text)}</text>'
            f'<text class="soft" x="{middle:.1f}" y="{HEIGHT - BELOW + 16}" text-anchor="middle">{escape(name)}</text>'
        )
    return _svg(title, HEIGHT - BELOW + 28, parts)


def bars(title: str, values: Sequence[tuple[str, float]], shown: Sequence[str]) -> str:
    """Bars that lie, each with its name before it and what is said of it behind."""
    most = max((value for _, value in values), default=0) or 1
    room = WIDTH - LEFT - RIGHT - NAMES - 90
    parts = []
    for place, ((name, value), text) in enumerate(zip(values, shown, strict=True)):
        y, wide = place * (BAR + GAP), room * value / most
        parts.append(
            f'<text x="{LEFT + NAMES - 8}" y="{y + BAR * 0.7:.1f}" text-anchor="end">{escape(_short(name))}</text>'
            f'<rect class="bar" x="{LEFT + NAMES}" y="{y}" width="{max(wide, 1):.1f}" height="{BAR}">'
            f"<title>{escape(name)}: {value:,.0f}</title></rect>"
            f'<text x="{LEFT + NAMES + wide + 8:.1f}" y="{y + BAR * 0.7:.1f}">{escape(text)}</text>'
        )
    return _svg(title, max(1, len(values)) * (BAR + GAP), parts)


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
    return _svg(title, HEIGHT - BELOW + 28, parts)


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


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height:.0f}" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
