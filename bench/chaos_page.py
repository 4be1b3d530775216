"""A result of chaos.py -> the page that shows it: criteria, how submissions ended, what went wrong on the way."""

from collections.abc import Mapping

from chaos_count import LEAST_COSINE, PRECISION, Made, criteria

WHAT = (
    "Real worker processes (`embedstack worker runpod` with the SDK, the default model) that the emulator's autoscaler "
    "starts, our client, and faults by chance in the calls of both: statuses 500, 502, 503, 524 and 429, connections "
    "closed before and after what was asked is done, replies that break off, web pages instead of replies, delays, "
    "jobs handed out twice, heartbeats that are not noted; and workers are killed (SIGKILL) with jobs in hand. A job "
    "may run twice; a submission must end once."
)


def page(made: Made) -> str:
    """Markdown."""
    parts = ["# Faults on the way to RunPod", _head(made), WHAT, _criteria(made), "\n".join(_facts(made))]
    return "\n\n".join(parts) + "\n"


def _head(made: Made) -> str:
    machine = made["machine"]
    return (
        f"{machine['processor']}, {machine['threads']} threads, {PRECISION}, {machine['date']}, commit "
        f"{machine['commit']}. Made by `{made['command']}`."
    )


def _criteria(made: Made) -> str:
    rows = ["| criterion | value | limit | reached |", "|---|---|---|---|"]
    rows += [f"| {one.what} | {one.value} | {one.limit} | {one.verdict} |" for one in criteria(made)]
    return "\n".join(rows)


def _facts(made: Made) -> list[str]:
    faults, kills, waits = made["faults"], made["kills"], made["waits_s"]
    cosine = "none" if made["least_cosine"] is None else f"{made['least_cosine']:.8f}"
    wait = f"p50 {waits['p50']} s, p99 {waits['p99']} s, longest {waits['longest']} s" if waits else "none"
    return [
        f"- {made['submissions']} submissions in {made['seconds']} s, {made['at_once']} at a time, of which the "
        f"platform took {made['accepted']}; they ended as: {_listed(made['endings'])}",
        f"- errors by name: {_listed(made['errors']) or 'none'}",
        f"- least cosine of a vector to that of the engine here: {cosine} (limit of {PRECISION}: {LEAST_COSINE})",
        f"- faults: {faults['fired']} in {faults['calls']} calls ({faults['fired'] / max(faults['calls'], 1):.1%}); by "
        f"route, calls: {_listed(faults['by_route'])}",
        f"- workers: {made['workers_started']} started, {len(kills)} killed with {sum(kills)} jobs in hand",
        f"- times that the jobs of a submission were handed out: {_listed(made['executions'])}; jobs of a submission: "
        f"{_listed(made['jobs'])}",
        f"- until proven vectors were here: {wait}",
    ]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
