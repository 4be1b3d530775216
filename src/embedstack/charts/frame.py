"""The parts of a picture -> one SVG that stands in a page, takes its colours from it and says what it is. Pure."""

from collections.abc import Sequence
from html import escape

WIDTH = 720
LEFT, RIGHT = 8, 8
HEIGHT = 220
BELOW = 44  # for the names below

STYLE = """
:root { --better: #0063a8; --worse: #b34700; --part0: #a9d2f0; --part1: #f7cd8b; --part2: #b9e2cd; --part3: #e6c0d8;
  --part4: #dcdcdc; --part5: #f0e79a; }
@media (prefers-color-scheme: dark) { :root { --better: #6cb8f2; --worse: #f09a58; --part0: #1d587f; --part1: #7d5200;
  --part2: #1c6149; --part3: #713f60; --part4: #525a63; --part5: #655e1c; } }
svg .row text { paint-order: stroke; stroke: var(--ground); stroke-width: 4px; stroke-linejoin: round; }
svg .whisker { stroke: var(--ink); stroke-width: 1.6; } svg .arrow { fill: var(--ink); }
svg .dot { fill: var(--bar); stroke: var(--bar); stroke-width: 2; } svg .open { fill: var(--ground); }
svg .zero { stroke: var(--soft); stroke-width: 1.6; }
svg .limit { stroke: var(--ink); stroke-width: 1.8; stroke-dasharray: 5 3; }
svg .better { fill: var(--better); } svg .worse { fill: var(--worse); }
svg [class^=part] { stroke: var(--soft); } svg .part0 { fill: var(--part0); } svg .part1 { fill: var(--part1); }
svg .part2 { fill: var(--part2); } svg .part3 { fill: var(--part3); } svg .part4 { fill: var(--part4); }
svg .part5 { fill: var(--part5); }
"""
"""Of marks, areas and parts, beside the style of all pages: blue and orange, which most people tell apart."""


def svg(title: str, height: float, parts: Sequence[str]) -> str:
    """Args:
    title: for people who do not see the picture.
    parts: markup, names escaped already.
    """
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height:.0f}" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def short(name: str, letters: int) -> str:
    """A name in its room; all of it stands in the words of its mark."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"
