"""serving.json -> a page beside it: what was aimed at, what was reached, and all rates.

python bench/serving_report.py bench/results/serving.json      # writes serving.md anew
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from aims import NONE, Aim

Made = dict
CPU_RATIO, RATE_RATIO, EXTRA_MS = 1.4, 4.0, 0.7
MANY, ONE = "64", "1"


def write(path: Path) -> None:
    """The page."""
    path.with_suffix(".md").write_text(page(json.loads(path.read_text())))


def aims(made: Made) -> Iterator[Aim]:
    """What the server was meant to reach."""
    cpu = {name: _median(made, name, MANY, "cpu_ms") for name in ("embedstack", "engine")}
    rate = _ratio(*cpu.values())
    shown = NONE if rate is None else f"{rate:.2f} x ({cpu['embedstack']:.2f} and {cpu['engine']:.2f} ms)"
    yield Aim(
        "processor time for a query at 64 connections, to the engine's own",
        f"<= {CPU_RATIO} x", shown, None if rate is None else rate <= CPU_RATIO,
    )  # fmt: skip
    yield _beside_infinity(made)
    extra = [_median(made, name, ONE, "p50_ms") for name in ("embedstack", "engine")]
    more = None if None in extra else extra[0] - extra[1]
    yield Aim(
        "p50 over one connection, above the engine's own",
        f"<= {EXTRA_MS} ms",
        NONE if more is None else f"{more:.2f} ms ({extra[0]:.2f} and {extra[1]:.2f})",
        None if more is None else more <= EXTRA_MS,
    )


def _beside_infinity(made: Made) -> Aim:
    peers = {name: _median(made, name, MANY, "requests_per_s") for name in made["contenders"] if "Infinity" in name}
    peers = {name: rate for name, rate in peers.items() if rate}
    what, aim = "requests/s at 64 connections, to Infinity at its best", f">= {RATE_RATIO:g} x"
    if not peers:
        return Aim(what, aim, NONE)
    best = max(peers, key=lambda name: peers[name])
    ratio = _median(made, "embedstack", MANY, "requests_per_s") / peers[best]
    return Aim(what, aim, f"{ratio:.2f} x ({best})", ratio >= RATE_RATIO)


def page(made: Made) -> str:
    """All of it."""
    return "\n\n".join(["# The server, socket to socket", *_head(made), *_aims(made), *_rates(made)]) + "\n"


def _head(made: Made) -> list[str]:
    machine, queries = made["machine"], made["queries"]
    quick = " **A trial run (`--quick`): no result.**" if made["quick"] else ""
    return [
        f"{made['model']}, {made['threads']} threads of {machine['processor']} ({', '.join(machine['flags'])}), "
        f"{machine['precision']}; {machine['date']}, commit {machine['commit']}; medians of {made['rounds']} "
        f"interleaved rounds of {made['seconds']:g} s, with the range.{quick} Made by `{made['command']}`.",
        f"{queries['count']} short queries ({queries['distinct']} of them distinct; {queries['mean_tokens']} tokens on "
        f"average, {queries['least_tokens']} to {queries['most_tokens']}), one to a request, as OpenAI's JSON with "
        "numbers. Each connection waits for its reply; the generator runs on the same processors.",
    ]


def _aims(made: Made) -> list[str]:
    rows = ["| | aim | measured | reached |", "|---|---|---|---|"]
    rows += [f"| {aim.what} | {aim.aim} | {aim.measured} | {aim.verdict} |" for aim in aims(made)]
    return ["## Aims", "\n".join(rows)]


def _rates(made: Made) -> list[str]:
    parts = []
    for count in (MANY, "8", ONE):
        rows = [
            "| | requests/s | p50 ms | p99 ms | processor ms/request | generator's share | not 200 |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, one in made["contenders"].items():
            seen = one["connections"].get(count)
            if seen is None:
                continue
            share = f"{seen['generator_share']['median']:.1%}" if "generator_share" in seen else NONE
            wrong = ", ".join(f"{number} x {status}" for status, number in seen["not_200"].items()) or "0"
            rates, p50, p99, cpu = (_range(seen[key]) for key in ("requests_per_s", "p50_ms", "p99_ms", "cpu_ms"))
            rows.append(f"| {name} | {rates} | {p50} | {p99} | {cpu} | {share} | {wrong} |")
        parts += [f"## {count} connection{'' if count == ONE else 's'}", "\n".join(rows)]
    return parts + _commands(made)


def _commands(made: Made) -> list[str]:
    lines = []
    for name, one in made["contenders"].items():
        tried = ", ".join(f"`{setting}` {rate:.0f}" for setting, rate in one.get("tried", {}).items())
        note = f" (requests/s tried: {tried})" if tried else ""
        versions = ", ".join(f"{package} {number}" for package, number in one.get("versions", {}).items())
        lines.append(
            f"- {name}: `{one['command']}`{note}; {versions}" if "command" in one else f"- {name}: {one['what']}"
        )
    lines += [f"- {name}: skipped: {reason}" for name, reason in made["skipped"].items()]
    return ["## What ran", "\n".join(lines)]


def _median(made: Made, name: str, count: str, column: str) -> float | None:
    seen = made["contenders"].get(name, {}).get("connections", {}).get(count)
    return None if seen is None else seen[column]["median"]


def _ratio(value: float | None, other: float | None) -> float | None:
    return value / other if value and other else None


def _range(value: Made) -> str:
    digits = 0 if value["median"] >= 100 else 1 if value["median"] >= 20 else 2
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f}–{value['max']:.{digits}f})"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
