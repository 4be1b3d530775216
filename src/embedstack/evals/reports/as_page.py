"""A report -> one HTML page with pictures that loads nothing and runs nothing. Pure."""

from collections.abc import Iterator
from html import escape

from embedstack.evals.outcome import Comparison, Interval, Report
from embedstack.evals.reports.figures import NONE, figure, milliseconds, seconds, signed, span
from embedstack.evals.reports.markup import Cell, bullets, folded, page, paragraph, picture, section, table, with_span
from embedstack.evals.reports.pictures import of_checks, of_differences, of_measures, of_queries, of_stages, of_times
from embedstack.evals.reports.wording import (
    SIGNS,
    advice,
    brackets,
    caution,
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

EXTREMES = 10  # queries that lost most, and as many that gained most
PICTURED = 24  # comparisons that are shown query by query; each is up to 7 kB


def to_html(report: Report) -> str:
    """The verdict first; names are words there, whatever they hold."""
    body = "".join((
        _head(report),
        section("Systems", *_systems(report)),
        section("Differences", *_differences(report)),
        section("Query by query", *_queries(report)),
        section("Times", *_times(report)),
        section("Notes", *([bullets(notes(report))] if any(notes(report)) else [])),
        section("Where this is from", table("Data, models and machine", ("what", "is"), facts(report), 2)),
    ))  # fmt: skip
    return page(f"Evaluation of {report.data}", body)


def _head(report: Report) -> str:
    size = f"{report.judged:,} queries, {report.documents:,} documents"
    parts = [f"<h1>{escape(f'Evaluation of {report.data}')}</h1>", paragraph(size, "soft")]
    if report.verdict:
        parts.append(paragraph(f"{SIGNS[report.verdict]} {headline(report)}", f"verdict {report.verdict}"))
        parts += map(paragraph, advice(report))
    if report.checks:
        rows = [(one.rule, f"{SIGNS[one.verdict]} {one.verdict}", one.reason) for one in report.checks]
        parts.append(table("Limits of the gate", ("limit of the gate", "verdict", "why"), rows, 3))
        parts += [picture(*found) for found in of_checks(report)]
    return "".join(parts)


def _systems(report: Report) -> Iterator[str]:
    if not report.outcomes:
        yield paragraph("No system was measured.")
        return
    names = measures(report)
    if names:
        rows = [(title(one), *(_measure(one.measures.get(name)) for name in names)) for one in report.outcomes]
        yield table("Measures of each system, with intervals", ("system", *names), rows)
        yield paragraph(brackets(report), "soft")
        yield from (picture(*named) for named in of_measures(report))


def _measure(found: Interval | None) -> Cell:
    return with_span(figure(found.value), span(found)) if found else NONE


def _differences(report: Report) -> Iterator[str]:
    if not report.comparisons:
        return
    yield from (picture(f"difference in {name}", drawn) for name, drawn in of_differences(report))
    yield paragraph("Hollow: the interval holds zero, so the two are not told apart.", "soft")
    rows = [
        (one.measure, pair(one), in_words(one), f"{one.wins:,}", f"{one.losses:,}", f"{one.ties:,}")
        for one in report.comparisons
    ]
    head = ("measure", "candidate instead of baseline", "in words", "queries better", "worse", "same")
    yield table("Differences of two systems over all queries", head, rows, 3)
    yield from (paragraph(said, "soft") for said in caution(report))


def _queries(report: Report) -> Iterator[str]:
    values = {one.system: one.queries for one in report.outcomes}
    known = [
        (one, shared)
        for one in report.comparisons
        if (shared := _shared(one, values.get(one.baseline, {}), values.get(one.candidate, {})))
    ]
    for comparison, shared in known[:PICTURED]:
        yield f"<h3>{escape(f'{comparison.measure}: {pair(comparison)}')}</h3>"
        yield picture(
            "all queries, from the one that lost most to the one that gained most",
            of_queries(comparison, [theirs - ours for _, ours, theirs in shared]),
        )
        yield _extremes(shared)
    if len(known) > PICTURED:
        yield paragraph(f"{len(known) - PICTURED:,} more comparisons are not drawn here; the JSON holds their queries.")


Shared = list[tuple[str, float, float]]  # query, value of the baseline, of the candidate


def _shared(comparison: Comparison, ours: dict[str, dict[str, float]], theirs: dict[str, dict[str, float]]) -> Shared:
    """Queries that both have, from the one that lost most to the one that gained most."""
    before, after = ours.get(comparison.measure, {}), theirs.get(comparison.measure, {})
    return sorted(
        ((query, value, after[query]) for query, value in before.items() if query in after),
        key=lambda row: (row[2] - row[1], row[0]),
    )


def _extremes(shared: Shared) -> str:
    lost = [row for row in shared if row[2] < row[1]]
    gained = [row for row in reversed(shared) if row[2] > row[1]]
    tables = [
        table(
            f"{said} most: {min(EXTREMES, len(rows)):,} of {len(rows):,} queries",
            ("query", "baseline", "candidate", "difference"),
            [(query, figure(ours), figure(theirs), signed(theirs - ours)) for query, ours, theirs in rows[:EXTREMES]],
        )
        for said, rows in (("Lost", lost), ("Gained", gained))
        if rows
    ]
    return folded("Which queries lost and gained most", "".join(tables)) if tables else ""


def _times(report: Report) -> Iterator[str]:
    timed = [(title(one), one.latency) for one in report.outcomes if one.latency]
    if timed:
        yield picture("milliseconds of one query alone", of_times(report))
        yield from (paragraph(said, "soft") for said in endless(report))
        yield picture("medians of the stages of one query alone, in milliseconds", of_stages(report))
        rows = [(name, stages(one), f"{one.samples:,}", _time(one.p50_ms), _time(one.p99_ms)) for name, one in timed]
        head = ("system", "medians of its stages, ms", "samples", "p50 ms", "p99 ms")
        yield table("Milliseconds of one query alone", head, rows, 2)
    if report.outcomes:
        spent = [(title(one), seconds(one.prepare_s), seconds(one.search_s)) for one in report.outcomes]
        yield table("Whole runs", ("system", "documents taken in", "all queries at once"), spent)


def _time(found: Interval) -> Cell:
    return with_span(milliseconds(found.value), f"[{milliseconds(found.low)}, {milliseconds(found.high)}]")
