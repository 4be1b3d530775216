"""A server and requests -> counts and faults; every so often a good request must be answered as before."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

import fuzz_values as values
from fuzz_cases import Case, Cases
from fuzz_judge import Judge, stated
from fuzz_server import Server
from fuzz_wire import Line, Reply

GOOD_EVERY = 200
NEAR = 1e-3  # between two vectors of one text; a batch may move the last digits
SHOWN_BYTES = 300


@dataclass
class Tally:
    """What came of the requests."""

    by_path: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_kind: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_fit: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    refusals: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, object]] = field(default_factory=list)
    slowest_s: float = 0.0
    good: int = 0

    def count(self, case: Case, reply: Reply, fit: str) -> None:
        """One more."""
        status = str(reply.status) if reply.status else "closed"
        self.by_path[case.path.rstrip("/") or "/"][status] += 1
        self.by_kind[case.kind][status] += 1
        self.by_fit[fit][f"{status[0]}xx" if reply.status else status] += 1
        self.slowest_s = max(self.slowest_s, reply.took_s)

    def shown(self) -> dict[str, object]:
        """For the result."""
        return {
            "requests": sum(sum(one.values()) for one in self.by_path.values()),
            "faults": self.faults,
            "good_requests_between": self.good,
            "slowest_s": round(self.slowest_s, 3),
            "by_fit": _plain(self.by_fit),
            "by_kind": _plain(self.by_kind),
            "stated_refusals_of_what_fits": dict(self.refusals.most_common()),
            "by_path": _plain(self.by_path),
        }


def _plain(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(counts[name].items())) for name in sorted(counts)}


def fuzz(server: Server, seed: int, count: int) -> Tally:
    """So many requests, after one of each example."""
    description = server.description()
    cases, judge, tally, good = Cases(description, seed), Judge(description), Tally(), Good(server.url)
    with Line(server.url) as line:
        for case in cases.examples():
            if not 200 <= _ask(case, line, judge, tally).status < 300:
                judge.refusing.add(case.path)
        for number, case in enumerate(itertools.islice(cases, count), 1):
            _ask(case, line, judge, tally)
            if number % GOOD_EVERY == 0:
                good.ask(tally)
    good.ask(tally)
    tally.faults += [{"fault": "in the log", "line": one} for one in server.indiscretions()]
    return tally


def _ask(case: Case, line: Line, judge: Judge, tally: Tally) -> Reply:
    reply = line.ask(case.bytes(line.host), is_last=case.is_last, is_all=case.is_unfinished)
    faults = list(judge.faults(case, reply))
    fit = "no HTTP" if case.is_broken else judge.fit(case)
    tally.count(case, reply, fit)
    if fit == "valid" and reply.status >= 300:
        tally.refusals[stated(reply) or str(reply.status)] += 1
    tally.faults += [{"fault": fault, **_shown(case)} for fault in faults]
    return reply


def _shown(case: Case) -> dict[str, object]:
    return {
        "kind": case.kind,
        "path": case.path,
        "wire": case.wire,
        "headers": {name.decode("latin-1"): value[:80].decode("latin-1") for name, value in case.headers.items()},
        "body": case.body[:SHOWN_BYTES].decode("utf-8", "replace"),
    }


class Good:
    """One request whose answer is known."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._model = self._asked("GET", "models")["data"][0]["id"]
        self._first = self._vectors()

    def ask(self, tally: Tally) -> None:
        """It must get the same answer again."""
        tally.good += 1
        try:
            far = float(np.abs(self._vectors() - self._first).max())
        except (httpx.HTTPError, KeyError, ValueError) as error:
            tally.faults.append({"fault": f"the good request was not answered: {type(error).__name__}: {error}"})
            return
        if far > NEAR:
            tally.faults.append({"fault": f"the good request was answered otherwise, by {far:g}"})

    def _vectors(self) -> Any:
        body = {"input": ["what is a cat?", "rain falls"], "model": self._model}
        return np.array([row["embedding"] for row in self._asked("POST", "embeddings", body)["data"]])

    def _asked(self, method: str, path: str, body: object = None) -> Any:
        headers = {"authorization": f"Bearer {values.KEY}"}
        url = f"{self._url}/openai/v1/{path}"
        return httpx.request(method, url, json=body, headers=headers, timeout=10).raise_for_status().json()


def merged(counts: Iterable[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Counts of several runs, added up."""
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for one in counts:
        for name, row in one.items():
            total[name].update(row)
    return _plain(total)
