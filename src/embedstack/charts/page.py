"""A title and a body become one HTML page that loads nothing, runs nothing and is for light and dark. Pure."""

from html import escape

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c2733; --soft: #5b6b7b; --line: #d5dde5; --bar: #2f6fb0;
  --area: #bcd5ee; --warn: #9a4a00; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181d; --ink: #e4eaf0; --soft: #9aa9b8; --line: #333d47;
  --bar: #6ca6e0; --area: #274766; --warn: #f0a860; } }
body { margin: 0 auto; max-width: 46rem; padding: 1.5rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .soft, caption { color: var(--soft); } .warn { color: var(--warn); font-weight: 600; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 500; } .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td { overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 13px; fill: var(--ink); }
svg text.soft { fill: var(--soft); } svg .bar { fill: var(--bar); } svg .area { fill: var(--area); stroke: var(--bar); }
svg .grid { stroke: var(--line); } svg .break { stroke: var(--warn); stroke-dasharray: 3 3; }
"""


def document(title: str, body: str, style: str = "") -> str:
    """Args:
    title: plain text.
    body: markup, names escaped already.
    style: CSS of this page, after that of all pages.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width"><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body>{body}</body></html>\n"
    )
