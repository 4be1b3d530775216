"""Shards that are all committed -> the manifest of the table; or the commits that had to be withdrawn first."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from embedstack.errors import ConfigError, TooManyDead
from embedstack.jobs.commit import Commit, Manifest
from embedstack.jobs.counting import Failed
from embedstack.jobs.dead import DUPLICATE
from embedstack.jobs.deletions import DELETED, write_deleted
from embedstack.jobs.layout import DEAD, MANIFEST, PARTS, SUCCESS
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.manifest import manifest_of
from embedstack.jobs.plan import Plan
from embedstack.jobs.unique import check_unique
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Entry, Storage

MOST_DEAD = 0.01  # of the documents
SURE = 6  # digits behind the point: 29 % of 100 is 28.999999999999996
ROUNDS = 3  # a table of which parts go missing while it is made is not mended for ever


@dataclass(slots=True)
class Looked:
    """What was noticed while the commits went by."""

    done: set[int] = field(default_factory=set)  # of which every file is there
    failed: Failed = field(default_factory=Failed)  # in these
    torn: list[Commit] = field(default_factory=list)

    def each(self, commits: Iterable[Commit], storage: Storage) -> Iterator[Commit]:
        stored = Stored(storage)
        for commit in commits:
            if stored.is_torn(commit):
                self.torn.append(commit)
            else:
                self.done.add(commit.shard)
                self.failed.add(commit)
            yield commit

    def withdraw(self, ledger: Ledger) -> None:
        """What is torn, unless somebody else did so."""
        for commit in self.torn:
            ledger.withdraw(commit.shard, commit.attempt)


def finish(
    storage: Storage, plan: Plan, *, error_budget: float = MOST_DEAD, folder: Path, ledger: Ledger | None = None
) -> Manifest | None:
    """See to it that every file of the table is there, and write its manifest.

    Args:
        error_budget: as `most_failed` takes it.
        folder: where ids lie while they are compared.
    Returns:
        None where shards are left to do: of some a file was missing, so that their commits were withdrawn.
    Raises:
        TooManyDead: all is done, and more documents failed than allowed. Mismatch: two documents have one id.
    """
    ledger = ledger or Ledger(storage, plan)
    ledger.fold_rest()
    seen = Looked()
    made = manifest_of(plan, seen.each(ledger.records(), storage))
    seen.withdraw(ledger)
    if len(seen.done) < plan.shards:
        return None
    check_failed(seen.failed, error_budget, plan)
    check_unique(storage, plan, made.parts, folder)
    if plan.lists_deleted:
        wrote = write_deleted(open_storage(plan.wish.since), storage, made, folder)
        made = msgspec.structs.replace(made, deleted=DELETED, deleted_sha256=wrote.sha256)
    storage.put(MANIFEST, msgspec.json.encode(made))
    storage.put(SUCCESS, b"")
    return made


def look(storage: Storage, ledger: Ledger) -> Looked:
    """At every record and every file; the commits of which one is missing are withdrawn.

    It takes long where the storage is far away.
    """
    seen = Looked()
    for _ in seen.each(ledger.records(), storage):
        pass
    seen.withdraw(ledger)
    return seen


def most_failed(error_budget: float, docs: int) -> int:
    """Documents that may fail: below 1 a share of all, and of a few documents still one; else a number.

    Raises:
        ConfigError: below 0.
    """
    if error_budget < 0:
        raise ConfigError(f"an error budget of {error_budget} is below 0; give a share such as 0.01, or a number")
    if error_budget >= 1 or not error_budget:
        return int(error_budget)
    return max(1, int(round(error_budget * docs, SURE)))


def check_failed(failed: Failed, error_budget: float, plan: Plan) -> None:
    """Raises: TooManyDead: more failed than allowed, or by a share all that there are."""
    most = most_failed(error_budget, plan.docs)
    is_nothing_left = error_budget < 1 and sum(failed.reasons.values()) >= plan.docs
    if failed.docs > (0 if is_nothing_left else most):
        reasons = sorted(failed.reasons.items(), key=lambda one: -one[1])[:5]
        told = ", ".join(f"{code} {count}" for code, count in reasons)
        may = "none is left" if is_nothing_left else f"{most} may"
        ids = f"; for {DUPLICATE} name a column that differs in every row with --id-field"
        way_out = ids if DUPLICATE in failed.reasons else ""
        raise TooManyDead(
            f"{failed.docs} of {plan.docs} documents failed ({told}) and {may}; why stands in {DEAD}, and what is "
            f"committed stays: mend the input and plan again, or allow more with --max-dead{way_out}"
        )


class Stored:
    """The files of a job beside its commits, which come in order."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._parts, self._dead = _Sizes(storage.list(PARTS)), _Sizes(storage.list(DEAD))

    def is_torn(self, commit: Commit) -> bool:
        """Whether one of its files is missing or has another size."""
        files = ((self._parts, commit.part, commit.part_bytes), (self._dead, commit.dead, commit.dead_bytes))
        return any(sizes.of(key) != size and _size(self._storage, key) != size for sizes, key, size in files if key)


class _Sizes:
    """A listing, asked for keys in its order."""

    def __init__(self, listed: Iterator[Entry]) -> None:
        self._listed = listed
        self._last = next(listed, None)

    def of(self, key: str) -> int | None:
        while self._last is not None and self._last.key < key:
            self._last = next(self._listed, None)
        return self._last.size if self._last is not None and self._last.key == key else None


def _size(storage: Storage, key: str) -> int | None:
    """A commit may be younger than the listing."""
    entry = storage.entry(key)
    return None if entry is None else entry.size
