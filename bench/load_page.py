"""A result of load.py -> the page that shows it: criteria, what was measured, how requests ended."""

from collections.abc import Mapping

from load_verdict import Made, criteria, is_long, slack, taken_by_others

LEGEND = (
    "*refused*: no connection, which is right once the server has stopped listening. *raced*: the server had closed "
    "the connection before the head came. *lost*, *cut*, *hung*: the head reached an open connection, and no reply, "
    "half a reply, or none in time came back."
)


def page(made: Made) -> str:
    """Markdown."""
    parts = ["# Under load", _head(made), _criteria(made), "\n".join(_facts(made))]
    return "\n\n".join([*parts, "## How requests ended", LEGEND, "\n".join(_endings(made))]) + "\n"


def _head(made: Made) -> str:
    machine = made["machine"]
    return (
        f"{machine['processor']}, {machine['threads']} threads, {machine['precision']}, {machine['date']}, commit "
        f"{machine['commit']}. Texts: {made['texts']}. Made by `{made['command']}`."
    )


def _criteria(made: Made) -> str:
    rows = ["| criterion | value | limit | reached | a run fails beyond |", "|---|---|---|---|---|"]
    rows += [
        f"| {one.what} | {one.value} | {one.limit} | {one.verdict} | {one.margin or 'the limit'} |"
        for one in criteria(made)
    ]
    return "\n".join(rows)


def _facts(made: Made) -> list[str]:
    capacity, overload = made["capacity"], made["overload"]
    unloaded, busy, bulk = made["unloaded_ms"], overload["interactive_ms"], overload["bulk_ms"]
    is_wider = slack(made) > 1 and not is_long(made)
    wider = f", so the margins are {slack(made):.0f} times as wide" if is_wider else ""
    return [
        f"- capacity: {capacity['tokens_per_s']:.0f} tokens/s in {capacity['seconds']:.0f} s, "
        f"{capacity['requests']} requests of the same mix over {capacity['callers']} callers who each wait for their "
        f"reply; processors: {_processors(capacity['used'])}",
        f"- offered: {overload['offered_tokens_per_s']:.0f} tokens/s at random times for {overload['seconds']:.0f} s, "
        f"of which {made['mix']}; answered: {overload['tokens_per_s']:.0f} tokens/s; processors: "
        f"{_processors(overload['used'])}",
        f"- an interactive query alone: p50 {unloaded['p50']:.1f} ms, p99 {unloaded['p99']:.1f} ms; under load: p50 "
        f"{busy['p50']:.1f} ms, p90 {busy['p90']:.1f} ms, p99 {busy['p99']:.1f} ms, longest {busy['max']:.1f} ms of "
        f"{busy['count']}",
        f"- a bulk request under load: p50 {bulk['p50'] / 1000:.1f} s, p99 {bulk['p99'] / 1000:.1f} s of "
        f"{bulk['count']}",
        f"- others took up to {taken_by_others(made):.0%} of the processors{wider}",
    ]


def _endings(made: Made) -> list[str]:
    rows = ["| | endings |", "|---|---|"]
    for phase in ("overload", "term"):
        for kind, counts in made[phase]["endings"].items():
            rows.append(f"| {phase}, {kind} | {', '.join(f'{ending}: {n}' for ending, n in counts.items())} |")
    return rows


def _processors(used: Mapping[str, float | None]) -> str:
    shares = ((name, used[f"{name}_processors"]) for name in ("server", "generator", "idle"))
    return ", ".join(f"{name} {'not known' if share is None else f'{share:.2f}'}" for name, share in shares)
