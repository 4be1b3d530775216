"""A plan and the commits of its shards -> one HTML page for people: totals, pictures, whose vectors they are. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from html import escape
from itertools import accumulate

import msgspec

from embedstack.charts.bars import bars, columns
from embedstack.charts.page import document
from embedstack.charts.rates import Span, joined, spread, steps
from embedstack.jobs.commit import Commit
from embedstack.jobs.estimated import Estimate, Range, amount, time_of
from embedstack.jobs.plan import Plan

STEPS = 60  # of the picture over time
SHORTEST_S = 1e-3  # a shard that took no time by the clock
AT_ONCE = 4  # shards that one process has in hand at most: two in the engine, one that is read, one that is stored
OTHERWISE = (
    "The estimate is of one process on the machine where it was made, with no vector of a job before. This job was "
    "done otherwise, so not all of it can be held against that."
)


@dataclass(slots=True)
class _Sums:
    """Of all commits; some numbers and two spans of time for each shard."""

    counts: Counter[str] = field(default_factory=Counter)
    lengths: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    machines: Counter[str] = field(default_factory=Counter)
    spans: list[tuple[float, float]] = field(default_factory=list)  # from its reading to its commit
    made: list[Span] = field(default_factory=list)  # when its vectors were made, and of how many tokens
    encode_s: float = 0.0
    store_s: float = 0.0
    took_s: float = 0.0


COUNTED = (
    "docs", "docs_out", "docs_dead", "docs_failed", "chunks", "rows", "chunks_dead", "reused", "tokens", "input_bytes",
    "part_bytes", "dead_bytes",
)  # fmt: skip


def report(records: Iterable[Commit], plan: Plan, estimate: Estimate | None = None) -> str:
    """A document that loads nothing and runs nothing.

    Args:
        records: in any order; they are read once and not kept.
        estimate: what was expected, to stand beside what it was; one for another input is left out.
    """
    sums = _summed(records)
    body = "".join((
        _head(plan, sums),
        _totals(sums),
        _expected(estimate, sums, plan) if estimate is not None and estimate.bytes == plan.bytes else "",
        _lengths(sums),
        _speed(sums),
        _dead(sums),
        _identity(plan),
        _where(plan, sums),
    ))  # fmt: skip
    return document(f"{plan.identity.model}: report of a job", body)


def _summed(records: Iterable[Commit]) -> _Sums:
    sums = _Sums()
    for commit in records:
        sums.counts["shards"] += 1
        sums.counts.update({name: getattr(commit, name) for name in COUNTED})
        sums.lengths.update(commit.lengths)
        sums.reasons.update(commit.reasons)
        sums.machines[commit.exact] += 1
        took_s = max(commit.took_s, SHORTEST_S)
        span = (commit.began_at, commit.began_at + took_s)
        sums.spans.append(span)
        sums.made.append((*(commit.made if any(commit.made) else span), float(commit.tokens)))
        sums.encode_s += commit.encode_s
        sums.store_s += commit.store_s
        sums.took_s += took_s
    return sums


# ------------------------------------------------------------------------------------------------ the parts


def _head(plan: Plan, sums: _Sums) -> str:
    done = sums.counts["shards"]
    inputs = ", ".join(plan.wish.inputs)
    state = "" if done >= plan.shards else f'<p class="warn">Not finished: {done:,} of {plan.shards:,} shards.</p>'
    first = min((begin for begin, _ in sums.spans), default=0.0)
    last = max((end for _, end in sums.spans), default=0.0)
    when = f"<p class=soft>{_clock(first)} to {_clock(last)}, by the clocks of those who worked.</p>" if done else ""
    return f"<h1>{escape(plan.identity.model)}</h1><p>{escape(inputs)}</p>{state}{when}"


def _totals(sums: _Sums) -> str:
    counts = sums.counts
    busy_s = _busy_s(sums)
    rows = [
        ("documents", f"{counts['docs']:,}"),
        ("of these with rows", f"{counts['docs_out']:,}"),
        ("dead or skipped", f"{counts['docs_dead']:,}"),
        ("counted against the error budget", f"{counts['docs_failed']:,}"),
        ("rows", f"{counts['rows']:,}"),
        ("with vectors of the job before", f"{counts['reused']:,}"),
        ("tokens that the model read", f"{counts['tokens']:,}"),
        ("input", f"{amount(counts['input_bytes'])}B"),
        ("Parquet", f"{amount(counts['part_bytes'])}B"),
        ("shards", f"{counts['shards']:,}"),
        ("time in which something ran", time_of(busy_s / 3600)),
        ("tokens/s", amount(counts["tokens"] / busy_s) if busy_s else "–"),
        ("documents/s", f"{counts['docs'] / busy_s:,.2f}" if busy_s else "–"),
        ("of a shard's time, waiting for vectors", _share(sums.encode_s, sums.took_s)),
        ("of a shard's time, in calls to the storage", _share(sums.store_s, sums.took_s)),
    ]
    return f"<h2>Totals</h2>{_table(rows, 'number')}"


def _expected(estimate: Estimate, sums: _Sums, plan: Plan) -> str:
    hours = (_busy_s(sums) + estimate.start_s) / 3600
    is_fresh = not sums.counts["reused"]
    is_alike = is_fresh and _is_one_process(sums, plan)
    lines = [
        ("tokens", estimate.tokens, float(sums.counts["tokens"]), amount, is_fresh),
        ("chunks", estimate.chunks, float(sums.counts["chunks"]), amount, True),
        ("output, bytes", estimate.output_bytes, float(sums.counts["part_bytes"]), amount, True),
        ("time, with a start", estimate.hours, hours, time_of, is_alike),
    ]
    rows = "".join(
        f"<tr><th scope=row>{name}</th><td class=number>{shown(of.likely)}</td>"
        f"<td class=number>{shown(of.low)} to {shown(of.high)}</td><td class=number>{shown(was)}</td>"
        f"<td>{_verdict(of, was) if can_be_held else '–'}</td></tr>"
        for name, of, was, shown, can_be_held in lines
    )
    note = "" if is_alike else f"<p class=soft>{OTHERWISE}</p>"
    head = (
        "<tr><th></th>"
        + "".join(f"<th class=number>{name}</th>" for name in ("likely", "range", "it was"))
        + "<th></th></tr>"
    )
    return f"<h2>Estimate</h2><table>{head}{rows}</table>{note}"


def _is_one_process(sums: _Sums, plan: Plan) -> bool:
    """As far as commits tell: who did them, and how many at a time."""
    changes = sorted(change for begin, end in sums.spans for change in ((begin, 1), (end, -1)))
    most = max(accumulate(step for _, step in changes), default=0)
    return set(sums.machines) <= {plan.exact.digest} and most <= AT_ONCE


def _verdict(of: Range, was: float) -> str:
    return "in the range" if of.holds(was) else "<span class=warn>outside</span>"


def _lengths(sums: _Sums) -> str:
    ordered = sorted(sums.lengths.items(), key=lambda pair: int(pair[0].removeprefix("<=")))
    if not ordered:
        return ""
    named = [(f"≤ {name.removeprefix('<=')}", float(count)) for name, count in ordered]
    picture = columns("Chunks by their tokens", named, [amount(count) for _, count in ordered])
    return f"<h2>Chunks by their tokens</h2>{picture}"


def _speed(sums: _Sums) -> str:
    busy = joined(sums.spans)
    rates, breaks = spread(sums.made, min(STEPS, max(1, len(sums.spans) * 4)), busy)
    if not rates:
        return ""
    picture = steps(
        "Tokens a second over time",
        rates,
        f"{amount(max(rates))} tokens/s",
        ("0", time_of(sum(end - begin for begin, end in busy) / 3600)),
        breaks,
    )
    note = "<p class=soft>Dashed: nobody worked there for a while.</p>" if breaks else ""
    return f"<h2>Tokens a second over time</h2>{picture}{note}"


def _dead(sums: _Sums) -> str:
    if not sums.reasons:
        return "<h2>Dead letters</h2><p>None.</p>"
    ordered = sums.reasons.most_common()
    picture = bars(
        "Dead letters by reason", [(name, float(count)) for name, count in ordered], [amount(n) for _, n in ordered]
    )
    return f"<h2>Dead letters by reason</h2>{picture}<p class=soft>Each has a line in dead/.</p>"


def _identity(plan: Plan) -> str:
    wish = plan.wish
    rows = [
        *_fields(plan.identity),
        ("role", wish.role),
        ("stored as", f"{wish.storing}, {wish.compression}"),
        *((f"chunking: {name}", value) for name, value in _fields(wish.chunking)),
        ("plan", plan.digest),
    ]
    return f"<h2>Whose vectors these are</h2>{_table(rows)}"


def _where(plan: Plan, sums: _Sums) -> str:
    rows = _fields(plan.exact)
    ways = [(f"shards done by {name[:12] or 'nobody knows whom'}", f"{n:,}") for name, n in sums.machines.most_common()]
    note = "" if len(sums.machines) < 2 else "<p>Machines differ, and so may the last bits of their vectors.</p>"
    return f"<h2>Where it was planned and ran</h2>{_table([*rows, *ways])}{note}"


# ------------------------------------------------------------------------------------------------ words


def _busy_s(sums: _Sums) -> float:
    """Seconds in which at least one shard was being done."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(sums.spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _fields(struct: msgspec.Struct) -> list[tuple[str, str]]:
    said: Mapping[str, object] = msgspec.to_builtins(struct)
    return [(name, str(value)) for name, value in said.items() if value != ""]


def _table(rows: Sequence[tuple[str, str]], kind: str = "") -> str:
    """Args:
    kind: a class of all values.
    """
    lines = (
        f'<tr><th scope=row>{escape(name)}</th><td class="{kind}">{escape(value)}</td></tr>' for name, value in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
