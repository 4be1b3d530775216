"""A job's storage -> which shards are done and the records of it; each once, whoever else works on the job."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, takewhile
from typing import TypeVar

import msgspec

from embedstack.errors import EmbedstackError, Mismatch
from embedstack.jobs import layout
from embedstack.jobs.commit import Checkpoint, Commit
from embedstack.jobs.plan import Plan
from embedstack.storage.storage import Entry, Missing, Storage

READERS = 16  # records that are fetched at once: from a bucket each takes some 30 ms and hardly a byte
AHEAD = 256  # records that are in memory before they are asked for

Struct = TypeVar("Struct", Commit, Checkpoint)
Item = TypeVar("Item")
log = logging.getLogger(__name__)


class Ledger:
    """The commits of one plan. Every method is safe from any thread and beside other runners.

    A commit is never overwritten. Checkpoints only make reading quick: one is believed as far as the commits that it
    holds are still listed, in the version that they had. So a stale one, which a runner that is killed may leave, is
    slow and not wrong.
    """

    def __init__(self, storage: Storage, plan: Plan) -> None:
        self._storage, self._plan, self._digest = storage, plan, plan.digest
        self.group = max(1, plan.wish.checkpoint_docs // plan.wish.shard_docs)  # shards of one checkpoint
        self._known: set[int] = set()  # done, as far as was seen here
        self._folded: set[int] = set()
        self._no_checkpoint = Checkpoint(plan=self._digest, first=0, commits=())

    # ------------------------------------------------------------------ what is done

    def committed(self) -> set[int]:
        """The shards that are done: one listing, and one commit to see that it is of this plan.

        Raises:
            Mismatch: the commits are of another plan.
        """
        found = {number for number, _ in self._commits()}
        if found:
            self.commit_of(min(found))
        self._known = set(found)
        return found

    def is_committed(self, number: int) -> bool:
        """Whether a shard is done, asked of the storage."""
        if number not in self._known and self._storage.entry(layout.commit_key(number)) is not None:
            self._known.add(number)
        return number in self._known

    def commit_of(self, number: int) -> Commit | None:
        """The record of one shard; None if it is not done.

        Raises:
            Mismatch: it is of another plan or of another shard, or cannot be read.
        """
        key = layout.commit_key(number)
        try:
            data = self._storage.get(key)
        except Missing:
            return None
        return self._own(_decoded(data, key, Commit), key, range(number, number + 1))

    def records(self) -> Iterator[Commit]:
        """Of all shards that are done, in their order; from checkpoints where there are any.

        Raises:
            Mismatch: one is of another plan, or cannot be read.
        """
        folded = set(self._groups())
        listed = groupby(self._commits(), key=lambda found: found[0] // self.group)
        groups = ((group, list(members), group in folded) for group, members in listed)
        seen = set[int]()
        for commit in self._each(lambda one: self._of_group(*one), groups):
            seen.add(commit.shard)
            yield commit
        self._known = seen

    def folded(self) -> Iterator[Commit]:
        """Those in checkpoints alone, of groups that are known to be done: for sums before the end, where reading what
        stands in no checkpoint would take long. No listing.
        """
        groups = range(-(-self._plan.shards // self.group))
        whole = (group for group in groups if self._known.issuperset(self._members(group)))
        return self._each(lambda group: self._checkpoint(group).commits, whole)

    # ------------------------------------------------------------------ doing and undoing

    def commit(self, commit: Commit) -> bool:
        """Create the record; whether this attempt is the one that did the shard. May fold a checkpoint.

        Raises:
            Mismatch: the shard was done by another plan.
        """
        key = layout.commit_key(commit.shard)
        before: Commit | None = commit
        if not self._storage.put_new(key, msgspec.json.encode(commit)):
            before = self.commit_of(commit.shard)  # None: it was withdrawn meanwhile
        if before is not None:
            self._known.add(commit.shard)
        # equal also where an earlier try of this call got through and only its answer was lost
        is_first = before is not None and before.attempt == commit.attempt
        group = commit.shard // self.group
        if is_first and self._known.issuperset(self._members(group)):
            self._fold_quietly(group)
        return is_first

    def withdraw(self, number: int, attempt: str = "") -> bool:
        """Undo a commit, so that its shard is done again; whether there was one.

        No store deletes only what it still has in one version, so the commit is looked at once more right before it
        goes. Whoever replaces it in between loses it, and the shard is done again.

        Args:
            attempt: only if it is still that one's; any if empty.
        """
        commit, group = self.commit_of(number), number // self.group
        self._unfold(group)  # even where another attempt came: then the one that was looked at stood there
        if commit is None or attempt not in ("", commit.attempt):
            if commit is None:
                self._known.discard(number)
            return False
        for key in (layout.SUCCESS, layout.MANIFEST):  # a table without one of its parts is not finished
            self._storage.delete(key)
        if self.commit_of(number) != commit:
            return False
        self._storage.delete(layout.commit_key(number))
        self._unfold(group)  # and whoever folds this commit meanwhile looks again
        for key in filter(None, (commit.part, commit.dead)):
            self._storage.delete(key)
        self._known.discard(number)
        return True

    # ------------------------------------------------------------------ checkpoints

    def fold_rest(self) -> int:
        """Checkpoints of all groups that are done and have none; how many were made. Two listings."""
        folded = {*self._groups(), *self._folded}
        listed = groupby((number for number, _ in self._commits()), key=lambda number: number // self.group)
        whole = (group for group, numbers in listed if len(list(numbers)) == len(self._members(group)))
        return sum(self._fold_quietly(group) for group in whole if group not in folded)

    def _fold_quietly(self, group: int) -> bool:
        """What fails here fails for the next commit, too, which says so; this one is done in any case."""
        try:
            return self._fold(group)
        except EmbedstackError as error:
            log.warning("event=fold_failed group=%d error=%s", group, error.code)
            return False

    def _fold(self, group: int) -> bool:
        """Read the commits of a group and put them in one file; whether that was done here.

        A commit that is withdrawn meanwhile is deleted before its checkpoint is. So either that comes after this
        checkpoint and takes it away, or the second look here finds that a commit changed.
        """
        members = self._members(group)
        before = self._versions(members)
        if len(before) < len(members):
            return False
        commits = [self.commit_of(number) for number in members]
        found = tuple(commit for commit in commits if commit is not None)
        key = layout.checkpoint_key(group)
        versions = tuple(before[number] for number in members)
        made = Checkpoint(plan=self._digest, first=members[0], commits=found, versions=versions)
        if len(found) < len(members) or not self._storage.put_new(key, msgspec.json.encode(made)):
            return False
        if self._versions(members) != before:
            self._storage.delete(key)
            return False
        self._folded.add(group)
        return True

    def _unfold(self, group: int) -> None:
        self._storage.delete(layout.checkpoint_key(group))
        self._folded.discard(group)

    def _members(self, group: int) -> range:
        first = group * self.group
        return range(first, min(first + self.group, self._plan.shards))

    def _versions(self, members: range) -> dict[int, str]:
        """Of the commits of a group; with one listing of them."""
        after = layout.commit_key(members[0] - 1) if members[0] else ""
        listed = takewhile(lambda found: found[0] <= members[-1], self._commits(after))
        return {number: entry.version for number, entry in listed}

    # ------------------------------------------------------------------ reading

    def _commits(self, after: str = "") -> Iterator[tuple[int, Entry]]:
        """Those of shards that the plan has."""
        listed = _numbered(self._storage.list(layout.COMMITS, after))
        return takewhile(lambda found: found[0] < self._plan.shards, listed)

    def _groups(self) -> Iterator[int]:
        """That have a checkpoint."""
        return (group for group, _ in _numbered(self._storage.list(layout.CHECKPOINTS)) if self._members(group))

    def _each(self, read: Callable[[Item], Sequence[Commit]], groups: Iterable[Item]) -> Iterator[Commit]:
        """What is read of each group, in order; of some at once."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="embedstack-ledger") as pool:
            for some in _in_runs(groups, AHEAD // self.group + 1):
                for commits in pool.map(read, some):
                    yield from commits

    def _of_group(self, group: int, listed: Sequence[tuple[int, Entry]], is_folded: bool) -> Sequence[Commit]:
        held = self._checkpoint(group) if is_folded else self._no_checkpoint
        known = {one.shard: (one, version) for one, version in zip(held.commits, held.versions, strict=False)}
        made = [self._one(number, entry, *known.get(number, (None, ""))) for number, entry in listed]
        return [commit for commit in made if commit is not None]

    def _one(self, number: int, entry: Entry, held: Commit | None, version: str) -> Commit | None:
        """The one in the checkpoint, if it is the one that is listed."""
        return held if held is not None and version == entry.version else self.commit_of(number)

    def _checkpoint(self, group: int) -> Checkpoint:
        key = layout.checkpoint_key(group)
        try:
            made = _decoded(self._storage.get(key), key, Checkpoint)
        except Missing:  # withdrawn meanwhile: then each commit is read
            return self._no_checkpoint
        for commit in made.commits:
            self._own(commit, key, self._members(group))
        return made

    def _own(self, commit: Commit, key: str, shards: range) -> Commit:
        if commit.plan != self._digest:
            raise Mismatch(
                f"{key!r} was made by plan {commit.plan[:12]} and this is plan {self._digest[:12]}; "
                "one folder holds one job, so plan into an empty one"
            )
        if commit.shard not in shards:
            raise Mismatch(f"{key!r} holds shard {commit.shard}, so it is damaged: run embedstack job verify --repair")
        return commit


def _numbered(entries: Iterable[Entry]) -> Iterator[tuple[int, Entry]]:
    for entry in entries:
        number = layout.number_of(entry.key)
        if number is not None:
            yield number, entry


def _in_runs(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    run: list[Item] = []
    for item in items:
        run.append(item)
        if len(run) == size:
            yield run
            run = []
    if run:
        yield run


def _decoded(data: bytes, key: str, kind: type[Struct]) -> Struct:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # not JSON, or of other fields
        raise Mismatch(
            f"{key!r} cannot be read ({error}); it was written by another version, or damaged: "
            "delete it and run the job again"
        ) from error
