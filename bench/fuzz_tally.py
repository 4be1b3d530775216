"""Requests and their replies, one by one -> counts by path, kind and fit, and what came of bodies that fit."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fuzz_cases import Case
from fuzz_judge import Fit, refusal
from fuzz_wire import Reply

GOOD = "2xx"
Faults = list[dict[str, object]]
Counts = dict[str, dict[str, int]]


def _counts() -> dict[str, Counter[str]]:
    return defaultdict(Counter)


@dataclass
class Tally:
    """What came of the requests."""

    by_path: dict[str, Counter[str]] = field(default_factory=_counts)
    by_kind: dict[str, Counter[str]] = field(default_factory=_counts)
    by_fit: dict[str, Counter[str]] = field(default_factory=_counts)
    valid: dict[str, Counter[str]] = field(default_factory=_counts)  # by path: 2xx, and the stated refusals
    faults: Faults = field(default_factory=list)
    slowest_s: float = 0.0
    good: int = 0

    def count(self, case: Case, reply: Reply, fit: Fit | None) -> None:
        """One more.

        Args:
            fit: None for what is no HTTP.
        """
        status = str(reply.status) if reply.status else "closed"
        path = case.path.rstrip("/") or "/"
        self.by_path[path][status] += 1
        self.by_kind[case.kind][status] += 1
        self.by_fit[fit or "no HTTP"][f"{status[0]}xx" if reply.status else status] += 1
        if fit == "valid":
            self.valid[path][GOOD if 200 <= reply.status < 300 else refusal(case, reply) or status] += 1
        self.slowest_s = max(self.slowest_s, reply.took_s)

    def shown(self) -> dict[str, Any]:
        """For the result."""
        return {
            "requests": sum(one.total() for one in self.by_path.values()),
            "faults": self.faults,
            "good_requests_between": self.good,
            "slowest_s": round(self.slowest_s, 3),
            "by_fit": plain(self.by_fit),
            "by_kind": plain(self.by_kind),
            "valid_by_path": plain(self.valid),
            "by_path": plain(self.by_path),
        }


def plain(counts: Mapping[str, Counter[str]]) -> Counts:
    """Sorted, as JSON has it."""
    return {name: dict(sorted(counts[name].items())) for name in sorted(counts)}


def merged(counts: Iterable[Counts]) -> Counts:
    """Counts of several runs, added up."""
    total = _counts()
    for one in counts:
        for name, row in one.items():
            total[name].update(row)
    return plain(total)
