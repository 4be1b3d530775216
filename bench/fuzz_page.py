"""A result of fuzz.py -> criteria, and the page that shows them: by path what came of bodies that fit, and why."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from fuzz_judge import SLOW_S
from fuzz_stated import LATE, why
from fuzz_tally import GOOD

Made = Any  # JSON, and JSON is not typed
BODIES = 10_000


@dataclass(frozen=True, slots=True)
class Criterion:
    """One row."""

    what: str
    value: str
    limit: str
    is_reached: bool

    @property
    def verdict(self) -> str:
        return "yes" if self.is_reached else "**no**"


def criteria(made: Made) -> list[Criterion]:
    """All rows; what a row does not name is among the faults."""
    runs, valid = list(made["runs"].values()), _valid(made)
    unfit = Counter[str]()
    for run in runs:
        unfit.update(run.get("by_fit", {}).get("invalid", {}))
        unfit["4xx"] += run.get("checks_passed", {}).get("negative_data_rejection", 0)
    failed = sum(count for row in made["by_path"].values() for status, count in row.items() if status[0] == "5")
    good = sum(run.get("good_requests_between", 0) for run in runs)
    lost = sum("the good request" in str(fault) for run in runs for fault in run["faults"])
    unstated = sum(count for name, count in valid.items() if name.isdigit())
    refused = valid.total() - valid[GOOD] - valid[LATE] - unstated
    served = [path for path in made["valid_by_path"] if not path.startswith("/admin/")]
    answered = [path for path in served if made["valid_by_path"][path].get(GOOD)]
    return [
        Criterion("requests", f"{made['requests']}", f">= {BODIES}", made["requests"] >= BODIES),
        Criterion(
            "bodies that do not fit the schema and got no 4xx",
            f"{unfit.total() - unfit['4xx']} of {unfit.total()}",
            "0",
            unfit.total() == unfit["4xx"],
        ),
        Criterion(
            "bodies that fit and got no 2xx, in words that are not stated below",
            f"{unstated} of {valid.total()}; in stated words {refused}, too late by their own deadline {valid[LATE]}",
            "0",
            unstated == 0,
        ),
        Criterion(
            "paths of which bodies that fit got a 2xx, but for the admin's",
            f"{len(answered)} of {len(served)}",
            "all",
            len(answered) == len(served),
        ),
        Criterion(
            "5xx, but for 504 where the caller's own deadline passed",
            f"{failed - valid[LATE]}",
            "0",
            failed == valid[LATE],
        ),
        Criterion("the slowest reply", f"{made['slowest_s']:.1f} s", f"<= {SLOW_S:.0f} s", made["slowest_s"] <= SLOW_S),
        Criterion("good requests in between without their answer", f"{lost} of {good}", "0", lost == 0),
        Criterion(
            "faults of any kind: another envelope, a status or header that is not described, a key or a text in an "
            "error or the log",
            f"{made['faults']}",
            "0",
            made["faults"] == 0,
        ),
    ]


def _valid(made: Made) -> Counter[str]:
    """Of all paths together: 2xx, stated refusals by name, and other statuses."""
    total = Counter[str]()
    for row in made["valid_by_path"].values():
        total.update(row)
    return total


def page(made: Made) -> str:
    """Markdown."""
    machine = made["machine"]
    parts = [
        "# Fuzz",
        f"{machine['processor']}, {machine['threads']} threads, {machine['date']}, commit {machine['commit']}. Made by "
        f"`{made['command']}` in {made['seconds']} s: {_runs(made)}.",
        _table(
            "criterion | value | limit | reached",
            [f"{one.what} | {one.value} | {one.limit} | {one.verdict}" for one in criteria(made)],
        ),
        "## What fits and may still be refused",
        "The description says what a body looks like. These refusals are about what it cannot say.",
        _table(
            "refusal | how often | why it is no fault",
            [f"{name} | {count} | {why(name)}" for name, count in _valid(made).most_common() if not _is_status(name)],
        ),
        "Findings of schemathesis that are no faults: " + "; ".join(made["exceptions"]) + ".",
        "## By path",
        _table(
            "path | requests | bodies that fit | of these 2xx | refused in stated words",
            [_row(path, made["by_path"][path], row) for path, row in made["valid_by_path"].items()],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _runs(made: Made) -> str:
    return "; ".join(f"{name}, {run['requests']}" for name, run in made["runs"].items())


def _is_status(name: str) -> bool:
    return name == GOOD or name.isdigit()


def _row(path: str, statuses: dict[str, int], valid: dict[str, int]) -> str:
    others = ", ".join(f"{name} {count}" for name, count in valid.items() if name != GOOD)
    counts = f"{sum(statuses.values())} | {sum(valid.values())} | {valid.get(GOOD, 0)}"
    return f"`{path}` | {counts} | {others}"


def _table(head: str, rows: list[str]) -> str:
    return "\n".join([f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {row} |" for row in rows)])
