"""A report -> plain text for a terminal, at most 110 columns wide. Pure."""

from collections.abc import Iterator

from embedstack.evals.outcome import Report
from embedstack.evals.reports.columns import aligned, filled
from embedstack.evals.reports.figures import measured, seconds, timed
from embedstack.evals.reports.wording import (
    SIGNS,
    advice,
    brackets,
    caution,
    counted,
    endless,
    facts,
    headline,
    in_words,
    measures,
    notes,
    pair,
    stages,
    title,
)


def to_text(report: Report) -> str:
    """The verdict first; it ends with a line break."""
    middle = (part for of in (_systems, _comparisons, _times, _notes) for part in of(report))
    return "\n\n".join((_verdict(report), *middle, _facts(report))) + "\n"


def _verdict(report: Report) -> str:
    lines = [filled(headline(report)), *map(filled, advice(report))]
    for check in report.checks:
        lines += [filled(f"{SIGNS[check.verdict]} {check.verdict} {check.rule}"), filled(check.reason, "    ")]
    return "\n".join(lines)


def _systems(report: Report) -> Iterator[str]:
    names = measures(report)
    if not report.outcomes:
        yield "No system was measured."
    elif names:
        rows = [[title(one), *(measured(one.measures.get(name)) for name in names)] for one in report.outcomes]
        yield f"{aligned(['system', *names], rows)}\n{filled(brackets(report))}"


def _comparisons(report: Report) -> Iterator[str]:
    if not report.comparisons:
        return
    lines = []
    for one in report.comparisons:
        lines += [filled(f"{one.measure}, {pair(one)}:"), filled(in_words(one), "    "), filled(counted(one), "    ")]
    yield "\n".join((*lines, *map(filled, caution(report))))


def _times(report: Report) -> Iterator[str]:
    rows = [
        [title(one), timed(one.latency.p50_ms), timed(one.latency.p99_ms), f"{one.latency.samples:,}"]
        for one in report.outcomes
        if one.latency
    ]
    if rows:
        parts = [
            filled(f"{one.system}: {stages(one.latency)}", "    ")
            for one in report.outcomes
            if one.latency and one.latency.stages_ms
        ]
        lines = [
            "Milliseconds of one query alone:",
            aligned(["system", "p50 ms", "p99 ms", "samples"], rows),
            *(["medians of its stages:", *parts] if parts else []),
            *map(filled, endless(report)),
        ]
        yield "\n".join(lines)
    if report.outcomes:
        spent = [[title(one), seconds(one.prepare_s), seconds(one.search_s)] for one in report.outcomes]
        yield aligned(["system", "documents taken in", "all queries at once"], spent)


def _notes(report: Report) -> Iterator[str]:
    lines = [filled(f"- {note}") for note in notes(report)]
    if lines:
        yield "\n".join(("Notes", *lines))


def _facts(report: Report) -> str:
    return "\n".join(filled(f"{name}: {value}") for name, value in facts(report))
