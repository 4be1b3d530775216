"""What a report holds -> the words and figures in which all its forms say it. Pure."""

from collections.abc import Iterator
from math import isinf

from embedstack.evals.outcome import Check, Comparison, Interval, Latency, Outcome, Report, Verdict
from embedstack.evals.reports.figures import NONE, difference, measured, milliseconds, seconds, share, signed, timed
from embedstack.origin import Identity

DIGITS = 12  # of a space
SIGNS: dict[Verdict, str] = {"PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?"}


# ------------------------------------------------------------------------------------------------ the gate


def headline(report: Report) -> str:
    """The verdict and why, in one line; without a gate, what was evaluated."""
    found = [check.verdict for check in report.checks]
    limits = f"{len(found):,} {_many(len(found), 'limit', 'limits')}"
    match report.verdict:
        case None:
            return f"Evaluation of {report.data}"
        case "PASS":
            return "PASS: the limit is kept" if len(found) == 1 else f"PASS: all {limits} are kept"
        case "FAIL":
            count = found.count("FAIL")
            return f"FAIL: {count:,} of {limits} {_many(count, 'is', 'are')} not kept"
        case "INCONCLUSIVE":
            return f"INCONCLUSIVE: of {limits} {found.count('INCONCLUSIVE'):,} can be called neither kept nor broken"


def advice(report: Report) -> list[str]:
    """What to do now, in sentences; none where nothing is, or where there is no gate."""
    match report.verdict:
        case None | "PASS":
            return []
        case "FAIL":
            broken = "; ".join(check.rule for check in report.checks if check.verdict == "FAIL")
            return [f"Do not go on with the candidate as it is. Not kept: {broken}."]
        case "INCONCLUSIVE":
            open_checks = [check for check in report.checks if check.verdict == "INCONCLUSIVE"]
            return list(dict.fromkeys(_wish(check, report) for check in open_checks))


def _wish(check: Check, report: Report) -> str:
    if check.needed is None:
        return f"No more queries or samples would decide this: {check.rule}. Choose a wider limit, or leave it open."
    if is_difference(check):
        needed, there = f"{check.needed:,}", f"{report.judged:,}"
        return f"You need about {needed} judged queries, not {there}, to decide this: {check.rule}."
    return f"You need about {check.needed:,} timed samples to decide this: {check.rule}."


def is_difference(check: Check) -> bool:
    """Of measures, not a latency."""
    return not check.unit


def held(check: Check) -> tuple[str, str]:
    """What was found with its interval, and the limit."""
    found = check.found
    if is_difference(check):
        return difference(found), signed(check.limit)
    return f"{timed(found)} ms", f"{milliseconds(check.limit)} ms"


# ------------------------------------------------------------------------------------------------ comparisons


def pair(comparison: Comparison) -> str:
    """Who is held against whom."""
    return f"{comparison.candidate} instead of {comparison.baseline}"


def in_words(comparison: Comparison) -> str:
    """Better or worse, by how much, and how likely by chance."""
    delta = comparison.delta
    if not comparison.wins and not comparison.losses:
        return "the same for every query"
    if delta.low > 0:
        said = f"better by {measured(delta)}"
    elif delta.high < 0:
        said = f"worse by {measured(Interval(-delta.value, -delta.high, -delta.low))}"
    else:
        said = f"not told apart: {difference(delta)}"
    return f"{said}; {_chance(comparison.p_value)}"


def counted(comparison: Comparison) -> str:
    """Queries that won, lost, stayed."""
    wins = f"{comparison.wins:,} {_many(comparison.wins, 'query', 'queries')}"
    return f"better for {wins}, worse for {comparison.losses:,}, the same for {comparison.ties:,}"


def _chance(p_value: float) -> str:
    if p_value <= 0:
        return "chance alone gave a difference as large in none of the draws"
    return f"chance alone gives a difference as large in {share(p_value)} of draws"


def caution(report: Report) -> list[str]:
    """What a reader of many comparisons must know."""
    count = len(report.comparisons)
    if count < 2 or not 0 < report.confidence < 1:
        return []
    wrong = 1 / (1 - report.confidence)
    return [f"{count:,} comparisons: where nothing differs, about one in {wrong:.0f} looks as if something did."]


# ------------------------------------------------------------------------------------------------ the rest


def measures(report: Report) -> list[str]:
    """All there are, in the order in which they come."""
    return list(dict.fromkeys(name for outcome in report.outcomes for name in outcome.measures))


def title(outcome: Outcome) -> str:
    """A system, and whose leg it is."""
    return f"{outcome.system} (leg of {outcome.part_of})" if outcome.part_of else outcome.system


def stages(latency: Latency) -> str:
    """embed 3.1, search 0.8."""
    return ", ".join(f"{stage} {milliseconds(median)}" for stage, median in latency.stages_ms.items()) or NONE


def endless(report: Report) -> list[str]:
    """What ∞ means, where an interval has no end."""
    found = [check.found for check in report.checks]
    times = [time for one in report.outcomes if one.latency for time in (one.latency.p50_ms, one.latency.p99_ms)]
    is_there = any(isinf(interval.high) for interval in (*found, *times))
    return ["∞: too few samples to say how high it may be."] if is_there else []


def brackets(report: Report) -> str:
    """How to read an interval."""
    return (
        f"Behind a figure, [low, high] is where it would lie {share(report.confidence)} of the time "
        "if other queries like these had been drawn, and of times if they had been taken at other moments."
    )


def notes(report: Report) -> Iterator[str]:
    """Of the whole, then of each system."""
    yield from report.notes
    for outcome in report.outcomes:
        yield from (f"{outcome.system}: {note}" for note in outcome.notes)
        if outcome.truncated:
            yield f"{outcome.system}: {outcome.truncated:,} queries were cut, as they are longer than its model reads"


def whose(identity: Identity) -> str:
    """A model and the first digits of its space."""
    parts = [identity.model, f"space {identity.space[:DIGITS]}" if identity.space else "", f"{identity.dim} numbers"]
    return ", ".join(part for part in parts if part)


def facts(report: Report) -> list[tuple[str, str]]:
    """Where the figures are from."""
    said = [
        ("data", report.data),
        ("digest of the data", report.digest),
        ("judged queries", f"{report.judged:,}"),
        ("documents", f"{report.documents:,}"),
        ("of each ranking were looked at", f"{report.depth:,}"),
        *((f"model of {one.system}", whose(identity)) for one in report.outcomes for identity in one.identities),
        ("intervals", f"{share(report.confidence)}, from {report.resamples:,} draws"),
        ("embedstack", report.version),
        ("machine", report.machine),
        ("made", report.made_at),
        ("took", seconds(report.took_s)),
    ]
    return [(name, value) for name, value in said if value]


def _many(count: int, one: str, more: str) -> str:
    return one if count == 1 else more
