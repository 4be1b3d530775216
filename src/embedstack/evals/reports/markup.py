"""Words and figures -> HTML with names escaped: a page, its sections, tables and lists. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from embedstack.charts.frame import STYLE as PICTURES
from embedstack.charts.page import document
from embedstack.evals.reports.columns import plain

STYLE = """
.verdict { font-size: 1.35rem; font-weight: 700; border-left: .5rem solid var(--soft); padding: .4rem .8rem;
  margin: 1rem 0 .5rem; }
.verdict.PASS { border-color: var(--better); } .verdict.FAIL { border-color: var(--worse); }
.verdict.INCONCLUSIVE { border-left-style: dashed; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; } .wide svg { min-width: 34rem; margin: .3rem 0 0; }
th[scope=row] { min-width: 8rem; overflow-wrap: anywhere; }
td:not(.number) { min-width: 6rem; overflow-wrap: break-word; } figcaption { color: var(--soft); }
caption { padding-bottom: .3rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .3rem; overflow-wrap: anywhere; }
summary { cursor: pointer; margin: .3rem 0; } ul { padding-left: 1.2rem; }
"""


@dataclass(frozen=True, slots=True)
class Html:
    """Markup; plain text is escaped wherever it comes together with it."""

    text: str


Cell = str | Html


def page(title: str, body: str) -> str:
    """A document that loads nothing and runs nothing."""
    return document(plain(title), f"<main>{plain(body)}</main>", PICTURES + STYLE)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], lefts: int = 1) -> str:
    """So many columns stand left, those after them right. The first cell of a row is its name.

    It can be moved sideways where it is too wide, by the keyboard as well.
    """
    names = "".join(f'<th scope="col"{_kind(place, lefts)}>{escape(name)}</th>' for place, name in enumerate(head))
    lines = "".join(f"<tr>{_cells(row, lefts)}</tr>" for row in rows)
    return (
        f'<div class="wide" role="group" tabindex="0" aria-label="{escape(caption)}"><table><caption>{escape(caption)}'
        f"</caption><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def paragraph(text: str, kind: str = "") -> str:
    """Of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(sentences: Iterable[str]) -> str:
    """A list of plain sentences."""
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def picture(name: str, drawn: str) -> str:
    """A picture with its name above it; on a narrow screen it can be moved sideways."""
    if not drawn:
        return ""
    return f'<figure class="wide" tabindex="0"><figcaption>{escape(name)}</figcaption>{drawn}</figure>'


def section(name: str, *parts: str) -> str:
    """A heading and what belongs to it; nothing where there is nothing."""
    body = "".join(parts)
    return f"<section><h2>{escape(name)}</h2>{body}</section>" if body else ""


def folded(name: str, body: str) -> str:
    """Shown when asked for."""
    return f"<details><summary>{escape(name)}</summary>{body}</details>"


def with_span(value: str, span: str) -> Html:
    """A figure, and its interval in a line below."""
    return Html(f'{escape(value)}<br><span class="soft">{escape(span)}</span>')


def _cells(row: Sequence[Cell], lefts: int) -> str:
    first = f'<th scope="row">{_text(row[0])}</th>'
    return first + "".join(f"<td{_kind(place, lefts)}>{_text(cell)}</td>" for place, cell in enumerate(row[1:], 1))


def _text(cell: Cell) -> str:
    return cell.text if isinstance(cell, Html) else escape(cell)


def _kind(place: int, lefts: int) -> str:
    return "" if place < lefts else ' class="number"'
