"""A job's storage -> the files in it that no commit names, which are deleted once they are old enough."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from uuid import uuid4

from embedstack.errors import BadRequest, Upstream
from embedstack.jobs.layout import DEAD, PARTS, TABLES
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.plan import Plan
from embedstack.jobs.planning import load_plan
from embedstack.storage.storage import Entry, Storage

GRACE_S = 24 * 3600.0  # by default: far longer than any runner takes from a file to its commit
SHARDS = f"{TABLES}shards-"  # what else lies there, such as an estimate, belongs to the job
PROBES = "_probe/"  # left by whoever died while asking the storage what it can do
FIRST = 10  # keys that are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was deleted, or would be."""

    orphans: int
    bytes: int
    young: int  # that no commit names yet either: left for now
    first: tuple[str, ...]  # keys of the first few orphans
    dry_run: bool


@runtime_checkable
class Sweeps(Protocol):
    """A storage in which killed writers leave files that no listing shows."""

    def sweep(self, before_s: float, *, dry_run: bool = False) -> Sequence[Entry]:
        """Delete those that were last written before, by the storage's clock; or only name them."""
        ...


def collect(storage: Storage, older_than_s: float = GRACE_S, *, dry_run: bool = False) -> Collected:
    """Delete parts and dead letters of attempts that died or came second, tables of plans that were never made, probes.

    What is committed while this runs is safe: the listing comes first and the commits after it, so a file that is in
    the listing and was to be committed is either named by a commit by then or younger than any runner needs.

    Raises:
        Missing: there is no job. BadRequest: a negative age. ConfigError, Upstream: as the storage.
    """
    if not older_than_s >= 0:
        raise BadRequest(f"an age of {older_than_s} seconds is below 0; example: {GRACE_S:.0f}")
    plan = load_plan(storage)
    now = _now(storage)
    found = {entry.key: entry for entry in _candidates(storage)}
    for key in _named(storage, plan):
        found.pop(key, None)
    old = [entry for entry in found.values() if now - entry.modified_s >= older_than_s]
    for entry in () if dry_run else old:
        storage.delete(entry.key)
    orphans = [*old, *_unfinished(storage, now - older_than_s, dry_run=dry_run)]
    return Collected(
        orphans=len(orphans),
        bytes=sum(entry.size for entry in orphans),
        young=len(found) - len(old),
        first=tuple(entry.key for entry in orphans[:FIRST]),
        dry_run=dry_run,
    )


def _candidates(storage: Storage) -> Iterator[Entry]:
    for prefix in (PARTS, DEAD, SHARDS, PROBES):
        yield from storage.list(prefix)


def _named(storage: Storage, plan: Plan) -> Iterator[str]:
    """Keys that are part of the job."""
    yield plan.table
    for commit in Ledger(storage, plan).records():
        yield commit.part
        yield commit.dead


def _unfinished(storage: Storage, before_s: float, *, dry_run: bool) -> Sequence[Entry]:
    """Of a bucket there is nothing to do: parts of an upload that never ended are dropped by its lifecycle rules."""
    return storage.sweep(before_s, dry_run=dry_run) if isinstance(storage, Sweeps) else ()


def _now(storage: Storage) -> float:
    """By the clock that stamped the files: this machine's may be wrong by hours."""
    key = f"{PROBES}{uuid4().hex}"
    storage.put(key, b"")
    try:
        entry = storage.entry(key)
    finally:
        storage.delete(key)
    if entry is None:
        raise Upstream(f"{storage.url!r} does not show an object that was just written; try again later")
    return entry.modified_s
