"""A report -> Markdown for a comment in CI or a page of docs. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence

from embedstack.evals.outcome import Latency, Report
from embedstack.evals.reports.columns import plain
from embedstack.evals.reports.figures import NONE, measured, timed
from embedstack.evals.reports.wording import (
    SIGNS,
    advice,
    brackets,
    caution,
    endless,
    facts,
    headline,
    held,
    in_words,
    measures,
    notes,
    pair,
    stages,
    title,
)

MARKUP = re.compile(
    r"[\\`*<|~]"
    r"|&(?=#?\w+;)"  # of a letter's name
    r"|\](?=[(\[:])"  # of a link; an interval stays as it is
    r"|(?<![^\W_])_|_(?![^\W_])"
)
OPENING = re.compile(r"^(\d*)([#+.)>\[-])(?!\d)")  # of a heading, a list, a quote, a line, a box to tick


def to_markdown(report: Report) -> str:
    """The verdict first; it ends with a line break. Names are words there, whatever they hold."""
    middle = (part for of in (_systems, _comparisons, _times, _notes) for part in of(report))
    return "\n\n".join((_verdict(report), *middle, _facts(report))) + "\n"


def words(text: str) -> str:
    """A name or a sentence as one line without markup."""
    return OPENING.sub(r"\1\\\2", MARKUP.sub(r"\\\g<0>", plain(text)))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], lefts: int = 1) -> str:
    """So many columns stand left, those after them right. Cells are plain text."""
    return "\n".join((_row(head), f"|{'---|' * lefts}{'---:|' * (len(head) - lefts)}", *map(_row, rows)))


def bullets(sentences: Iterable[str]) -> str:
    """A list of plain sentences."""
    return "\n".join(f"- {words(sentence)}" for sentence in sentences)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(words(cell) for cell in cells)} |"


def _verdict(report: Report) -> str:
    sign = f"{SIGNS[report.verdict]} " if report.verdict else ""
    parts = [f"## {sign}{words(headline(report))}"]
    parts += [f"**{words(sentence)}**" for sentence in advice(report)]
    if report.checks:
        rows = [(one.rule, f"{SIGNS[one.verdict]} {one.verdict}", *held(one), one.reason) for one in report.checks]
        parts.append(table(("limit of the gate", "verdict", "found", "limit", "why"), rows, 5))
    return "\n\n".join(parts)


def _systems(report: Report) -> Iterator[str]:
    names = measures(report)
    if not report.outcomes:
        yield "No system was measured."
        return
    has_times = any(one.latency for one in report.outcomes)
    head = ("system", *names, *(("p50 ms", "p99 ms") if has_times else ()))
    rows = [
        (title(one), *(measured(one.measures.get(name)) for name in names), *(_both(one.latency) if has_times else ()))
        for one in report.outcomes
    ]
    yield "### Systems"
    yield table(head, rows)
    yield words(" ".join((brackets(report), *endless(report))))


def _both(latency: Latency | None) -> tuple[str, str]:
    return (timed(latency.p50_ms), timed(latency.p99_ms)) if latency else (NONE, NONE)


def _comparisons(report: Report) -> Iterator[str]:
    if not report.comparisons:
        return
    yield "### Differences, query by query"
    head = ("measure", "candidate instead of baseline", "in words", "queries better", "worse", "same")
    rows = [
        (one.measure, pair(one), in_words(one), f"{one.wins:,}", f"{one.losses:,}", f"{one.ties:,}")
        for one in report.comparisons
    ]
    yield table(head, rows, 3)
    yield from map(words, caution(report))


def _times(report: Report) -> Iterator[str]:
    told = [
        f"{one.system}: {stages(one.latency)} ms, {one.latency.samples:,} samples"
        for one in report.outcomes
        if one.latency and one.latency.stages_ms
    ]
    if told:
        yield "### Medians of the stages of one query alone"
        yield bullets(told)


def _notes(report: Report) -> Iterator[str]:
    told = list(notes(report))
    if told:
        yield "### Notes"
        yield bullets(told)


def _facts(report: Report) -> str:
    return f"### Where this is from\n\n{table(('what', 'is'), facts(report), 2)}"
