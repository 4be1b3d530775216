"""The nouns of a report: what was measured of which system, on what, and what follows from it. All become JSON."""

from typing import Literal

import msgspec

from embedstack.origin import Identity

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class Interval(msgspec.Struct, frozen=True):
    """A number and where it would mostly lie if other queries like these had been drawn, or other moments."""

    value: float
    low: float
    high: float


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of queries that were sent one at a time, in milliseconds."""

    samples: int
    p50_ms: Interval
    p99_ms: Interval
    stages_ms: dict[str, float]  # stage -> its median


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one system did."""

    system: str
    part_of: str = ""  # the system of which it is a leg
    identities: tuple[Identity, ...] = ()
    measures: dict[str, Interval] = {}  # such as "ndcg@10"
    queries: dict[str, dict[str, float]] = {}  # measure -> query -> value
    latency: Latency | None = None
    prepare_s: float = 0.0  # to take the documents
    search_s: float = 0.0  # for all queries at once
    truncated: int = 0  # queries that were cut
    notes: tuple[str, ...] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two systems, query by query."""

    measure: str
    baseline: str
    candidate: str
    delta: Interval  # of the means: candidate less baseline
    p_value: float  # of a randomisation test: how often chance alone gives a difference as large
    wins: int  # queries for which the candidate is better
    losses: int
    ties: int


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of a gate."""

    rule: str  # for people: "ndcg@10 at least 0.90 of the baseline's"
    verdict: Verdict
    found: Interval  # what is held against `limit`: a difference of measures, or milliseconds
    limit: float
    unit: Literal["", "ms"] = ""
    needed: int | None = None  # so many queries, or samples, would decide; None: they do, or none would
    reason: str  # for people


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of an evaluation."""

    data: str
    digest: str
    documents: int
    judged: int  # queries
    depth: int  # documents of each ranking that were looked at
    outcomes: tuple[Outcome, ...]
    comparisons: tuple[Comparison, ...] = ()
    checks: tuple[Check, ...] = ()
    verdict: Verdict | None = None
    confidence: float = 0.95
    resamples: int = 10_000
    notes: tuple[str, ...] = ()
    version: str = ""
    machine: str = ""
    made_at: str = ""  # ISO 8601, UTC
    took_s: float = 0.0
