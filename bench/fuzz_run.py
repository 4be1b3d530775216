"""A server and requests -> counts and faults; every so often a good request must be answered as before."""

import itertools
from typing import Any

import httpx
import numpy as np

import fuzz_values as values
from fuzz_cases import Case, Cases
from fuzz_judge import Judge
from fuzz_server import Server
from fuzz_tally import Tally
from fuzz_wire import Line, Reply

GOOD_EVERY = 200
NEAR = 1e-3  # between two vectors of one text; a batch may move the last digits
SHOWN_BYTES = 300


def fuzz(server: Server, seed: int, count: int, *, has_all: bool = False) -> Tally:
    """So many requests, after one of each example.

    Args:
        has_all: the server has a model for every path, so that each example must be answered.
    """
    description, good = server.description(), Good(server.url)
    cases, judge, tally = Cases(description, seed, good.model), Judge(description), Tally()
    with Line(server.url) as line:
        for case in cases.examples():
            if not 200 <= _ask(case, line, judge, tally).status < 300:
                judge.refusing.add(case.path)
        for number, case in enumerate(itertools.islice(cases, count), 1):
            _ask(case, line, judge, tally)
            if number % GOOD_EVERY == 0:
                good.ask(tally)
    good.ask(tally)
    if has_all:
        tally.faults += [{"fault": "an example was not answered", "path": path} for path in sorted(judge.refusing)]
    tally.faults += [{"fault": "in the log", "line": one} for one in server.indiscretions()]
    return tally


def _ask(case: Case, line: Line, judge: Judge, tally: Tally) -> Reply:
    reply = line.ask(case.bytes(line.host), is_last=case.is_last, is_all=case.is_unfinished)
    tally.count(case, reply, None if case.is_broken else judge.fit(case))
    tally.faults += [{"fault": fault, **_shown(case)} for fault in judge.faults(case, reply)]
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
        self.model: str = self._asked("GET", "models")["data"][0]["id"]
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
        body = {"input": ["what is a cat?", "rain falls"], "model": self.model}
        return np.array([row["embedding"] for row in self._asked("POST", "embeddings", body)["data"]])

    def _asked(self, method: str, path: str, body: object = None) -> Any:
        headers = {"authorization": f"Bearer {values.KEY}"}
        url = f"{self._url}/openai/v1/{path}"
        return httpx.request(method, url, json=body, headers=headers, timeout=10).raise_for_status().json()
