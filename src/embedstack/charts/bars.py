"""Named amounts -> bars, upright or lying. Pure."""

from collections.abc import Sequence
from html import escape

from embedstack.charts.frame import BELOW, HEIGHT, LEFT, RIGHT, WIDTH, short, svg

BAR, GAP = 22, 8  # heights of one bar and of what is between two
NAMES = 150  # of the width, for the names of bars that lie
LETTERS = 20  # of a name before a bar that lie in its room; the rest stands in the picture's words


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
    return svg(title, HEIGHT - BELOW + 28, parts)


def bars(title: str, values: Sequence[tuple[str, float]], shown: Sequence[str]) -> str:
    """Bars that lie, each with its name before it and what is said of it behind."""
    most = max((value for _, value in values), default=0) or 1
    room = WIDTH - LEFT - RIGHT - NAMES - 90
    parts = []
    for place, ((name, value), text) in enumerate(zip(values, shown, strict=True)):
        y, wide = place * (BAR + GAP), room * value / most
        parts.append(
            f'<text x="{LEFT + NAMES - 8}" y="{y + BAR * 0.7:.1f}" text-anchor="end">'
            f"{escape(short(name, LETTERS))}</text>"
            f'<rect class="bar" x="{LEFT + NAMES}" y="{y}" width="{max(wide, 1):.1f}" height="{BAR}">'
            f"<title>{escape(name)}: {value:,.0f}</title></rect>"
            f'<text x="{LEFT + NAMES + wide + 8:.1f}" y="{y + BAR * 0.7:.1f}">{escape(text)}</text>'
        )
    return svg(title, max(1, len(values)) * (BAR + GAP), parts)
