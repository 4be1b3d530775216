"""A report -> its pictures: measures and differences with their intervals, queries that won or lost, times. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from embedstack.charts.forest import Base, Mark, forest
from embedstack.charts.stacks import stacks
from embedstack.charts.waterfall import waterfall
from embedstack.evals.outcome import Check, Comparison, Report
from embedstack.evals.reports.figures import difference, figure, measured, milliseconds, signed, timed
from embedstack.evals.reports.wording import held, in_words, is_difference, measures, pair, title


def of_checks(report: Report) -> Iterator[tuple[str, str]]:
    """Differences and then times, each kind over one axis: what was found, beside its limit."""
    kinds: tuple[tuple[bool, str, Base], ...] = (
        (True, "differences in measures", "zero"),
        (False, "milliseconds", "free"),
    )
    for is_wanted, name, base in kinds:
        marks = [_check(one) for one in report.checks if is_difference(one) is is_wanted]
        if marks:
            yield f"{name}, and dashed their limits", forest(f"Found and allowed: {name}", marks, base)


def _check(check: Check) -> Mark:
    (found, limit), at = held(check), check.found
    return Mark(check.rule, at.value, at.low, at.high, f"{found}, limit {limit}", check.limit)


def of_measures(report: Report) -> Iterator[tuple[str, str]]:
    """Each measure, and all systems that have it."""
    for name in measures(report):
        marks = [
            Mark(title(one), found.value, found.low, found.high, measured(found))
            for one in report.outcomes
            if (found := one.measures.get(name))
        ]
        yield name, forest(f"{name} of each system, with its interval", marks)


def of_differences(report: Report) -> Iterator[tuple[str, str]]:
    """Each measure, and its differences around zero; with a limit where a check was of this very difference."""
    limits = {check.found: check.limit for check in report.checks if is_difference(check)}
    for name in dict.fromkeys(one.measure for one in report.comparisons):
        marks = [_difference(one, limits.get(one.delta)) for one in report.comparisons if one.measure == name]
        yield name, forest(f"Differences in {name}, with their intervals", marks, "zero")


def _difference(comparison: Comparison, limit: float | None) -> Mark:
    delta = comparison.delta
    text = difference(delta) if limit is None else f"{difference(delta)}, limit {signed(limit)}"
    return Mark(pair(comparison), delta.value, delta.low, delta.high, text, limit)


def of_queries(comparison: Comparison, changes: Sequence[float]) -> str:
    """All queries side by side, from the one that lost most to the one that gained most."""
    ends = (f"worse: {comparison.losses:,}", f"the same: {comparison.ties:,}", f"better: {comparison.wins:,}")
    return waterfall(
        f"{comparison.measure} of each query, {pair(comparison)}: {', '.join(ends)}; {in_words(comparison)}",
        changes,
        figure(max(map(abs, changes), default=0.0)),
        ends,
    )


def of_times(report: Report) -> str:
    """Bars of the 50th and 99th percentile of each system; nothing where none was timed."""
    marks = [
        Mark(f"{title(one)}: {name}", time.value, time.low, time.high, f"{timed(time)} ms")
        for one in report.outcomes
        if one.latency
        for name, time in (("p50", one.latency.p50_ms), ("p99", one.latency.p99_ms))
    ]
    return forest("Milliseconds of one query alone, with intervals", marks, "bars") if marks else ""


def of_stages(report: Report) -> str:
    """What a query waits for, of each system; nothing where no stages were told."""
    rows: list[tuple[str, Mapping[str, float]]] = [
        (title(one), one.latency.stages_ms) for one in report.outcomes if one.latency and one.latency.stages_ms
    ]
    shown = [f"together {milliseconds(sum(parts.values()))} ms" for _, parts in rows]
    return stacks("Milliseconds of each stage of one query, medians", rows, shown) if rows else ""
