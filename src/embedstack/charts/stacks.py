"""Amounts that consist of parts -> lying bars, each part in its own colour and with its name. Pure."""

from collections.abc import Mapping, Sequence
from html import escape

from embedstack.charts.axis import axis_of, grid
from embedstack.charts.frame import LEFT, RIGHT, WIDTH, short, svg

ROW, BAR, WORDS = 50, 22, 15
LETTERS = 90
LETTER = 7.2  # about as wide, of 13 px
FILLS = 6  # there is a style for each; more parts begin again


def stacks(title: str, rows: Sequence[tuple[str, Mapping[str, float]]], shown: Sequence[str]) -> str:
    """Bars, each with its name above it.

    Args:
        rows: name, part -> amount of 0 or more; a part has the same colour in all rows.
        shown: what is said of each row.
    """
    fills = {part: number % FILLS for number, part in enumerate(dict.fromkeys(p for _, parts in rows for p in parts))}
    axis = axis_of([sum(parts.values()) for _, parts in rows], from_zero=True)
    bottom = len(rows) * ROW + 4
    drawn = [*grid(axis, 0, bottom)]
    for place, ((name, parts), text) in enumerate(zip(rows, shown, strict=True)):
        top, before = place * ROW, 0.0
        drawn.append(
            f'<text x="{LEFT}" y="{top + WORDS}">{escape(short(name, max(12, LETTERS - len(text))))}</text>'
            f'<text class="soft" x="{WIDTH - RIGHT}" y="{top + WORDS}" text-anchor="end">{escape(text)}</text>'
        )
        for part, amount in parts.items():
            x, end = axis.place(before), axis.place(before + amount)
            words = part if len(part) * LETTER + 8 < end - x else ""
            drawn.append(
                f'<g><title>{escape(name)}, {escape(part)}: {amount:,.1f}</title><rect class="part{fills[part]}" '
                f'x="{x:.1f}" y="{top + WORDS + 7}" width="{end - x:.1f}" height="{BAR}"/>'
                f'<text x="{x + 5:.1f}" y="{top + WORDS + 22}">{escape(words)}</text></g>'
            )
            before += amount
    return svg(title, bottom + 50, [*drawn, *_legend(fills, bottom + 28)])


def _legend(fills: Mapping[str, int], top: float) -> list[str]:
    """What each colour is, side by side."""
    parts, x = [], float(LEFT)
    for part, fill in fills.items():
        parts.append(
            f'<rect class="part{fill}" x="{x:.1f}" y="{top}" width="12" height="12"/>'
            f'<text x="{x + 17:.1f}" y="{top + 11}">{escape(part)}</text>'
        )
        x += len(part) * LETTER + 36
    return parts
