"""A plan and the records of its shards -> how the job stands, in numbers."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from embedstack.jobs.commit import Commit
from embedstack.jobs.plan import Plan
from embedstack.origin import Identity

State: TypeAlias = Literal["finished", "all_committed", "not_finished"]
"""all_committed: no manifest, since two documents have one id, since more of them failed than the last run allowed, or
since it was ended before."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Of all that is committed; `shards` and `docs` of the whole plan."""

    plan: str  # digest
    model: str
    identity: Identity
    is_finished: bool  # whether the manifest is there
    state: State
    shards: int
    shards_done: int
    docs: int
    docs_done: int
    docs_out: int
    docs_dead: int
    docs_failed: int  # of the dead, those that count against the error budget
    rows: int
    reused: int
    tokens: int
    tokens_expected: int  # of the whole job; 0 where nobody knows
    bytes: int  # of input
    bytes_done: int
    part_bytes: int
    took_s: float  # of all shards, one after the other
    machines: int  # that differ in what decides the last bits of vectors
    reasons: dict[str, int]  # dead letters by code


def standing(plan: Plan, records: Iterable[Commit], *, is_finished: bool) -> Standing:
    """How it stands."""
    sums: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    machines: set[str] = set()
    took_s = 0.0
    for commit in records:
        sums.update({name: getattr(commit, name) for name in ADDED})
        sums["shards"] += 1
        reasons.update(commit.reasons)
        machines.add(commit.exact)
        took_s += commit.took_s
    return Standing(
        plan=plan.digest,
        model=plan.wish.model,
        identity=plan.identity,
        is_finished=is_finished,
        state=_state(plan, sums["shards"], is_finished=is_finished),
        shards=plan.shards,
        shards_done=sums["shards"],
        docs=plan.docs,
        docs_done=sums["docs"],
        docs_out=sums["docs_out"],
        docs_dead=sums["docs_dead"],
        docs_failed=sums["docs_failed"],
        rows=sums["rows"],
        reused=sums["reused"],
        tokens=sums["tokens"],
        tokens_expected=_expected(plan, sums["tokens"], sums["input_bytes"]),
        bytes=plan.bytes,
        bytes_done=sums["input_bytes"],
        part_bytes=sums["part_bytes"],
        took_s=took_s,
        machines=len(machines),
        reasons=dict(reasons.most_common()),
    )


def _state(plan: Plan, shards_done: int, *, is_finished: bool) -> State:
    if shards_done < plan.shards:
        return "not_finished"
    return "finished" if is_finished else "all_committed"


ADDED = ("docs", "docs_out", "docs_dead", "docs_failed", "rows", "reused", "tokens", "input_bytes", "part_bytes")


def _expected(plan: Plan, tokens: int, size: int) -> int:
    """As the plan says, else as what is done had them for its bytes."""
    return plan.tokens or (round(tokens * plan.bytes / size) if size else 0)
