"""A job's storage -> whether every number and digest in it is borne out by the files; bad shards can be withdrawn."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from embedstack.errors import Mismatch
from embedstack.jobs import layout
from embedstack.jobs.commit import Commit, Manifest
from embedstack.jobs.dead import read_dead
from embedstack.jobs.digests import BLOCK
from embedstack.jobs.ending import End, end_faults
from embedstack.jobs.finished import read_manifest
from embedstack.jobs.finishing import Stored
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.manifest import manifest_of
from embedstack.jobs.plan import Plan
from embedstack.jobs.planning import load_plan
from embedstack.jobs.rereading import letters_faults, number_faults, part_faults
from embedstack.jobs.scratch import scratch, unwritten
from embedstack.jobs.shards import Shards, shards_of
from embedstack.jobs.twice import Seen
from embedstack.storage.storage import Missing, Storage

FEW = 3  # commits of one other plan: more of them than that, and it is plan.json that is the odd one out


class _Named(msgspec.Struct):
    """Of a commit the one field that says whose it is."""

    plan: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not agree."""

    code: str
    message: str  # a sentence
    shard: int | None = None  # None: of the job as a whole
    is_mendable: bool = False  # whether withdrawing and doing it again mends it


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was looked at and what was found."""

    shards: int
    committed: int
    is_finished: bool  # whether there is a manifest
    docs: int
    rows: int
    bytes: int  # of all parts
    deep: bool
    problems: tuple[Problem, ...]
    repair: bool
    withdrawn: tuple[int, ...]  # shards that are to be done again

    @property
    def left(self) -> list[Problem]:
        """What is still wrong."""
        return [one for one in self.problems if not (self.repair and one.is_mendable and self._is_gone(one))]

    def _is_gone(self, problem: Problem) -> bool:
        return problem.shard is None or problem.shard in self.withdrawn


def verify(
    storage: Storage,
    *,
    deep: bool = False,
    repair: bool = False,
    folder: Path | None = None,
    say: Callable[[int, int], None] | None = None,
) -> Verified:
    """Compare commits with the plan and with the files.

    Args:
        deep: read every part: its digest, its rows, every vector, ids over the whole job.
        repair: withdraw the commits of shards that have a problem, so that `job run` does them again.
        folder: where parts lie while they are read; that of the system for such files if None.
        say: told how many commits were looked at, and of how many shards.
    Raises:
        Missing: there is no job. Mismatch: its plan cannot be read. ConfigError, Upstream: as the storage.
    """
    plan = load_plan(storage)
    with scratch(folder, "verify") as made:
        look = _Look(storage, plan, made if deep else None, say)
        try:
            look.run()
        except OSError as error:  # the storage has errors of its own
            raise unwritten(made, error) from error
    withdrawn = look.mend() if repair else ()
    return Verified(
        shards=plan.shards,
        committed=look.committed,
        is_finished=look.manifest is not None,
        docs=look.docs,
        rows=look.rows,
        bytes=look.bytes,
        deep=deep,
        repair=repair,
        problems=tuple(look.problems),
        withdrawn=withdrawn,
    )


class _Look:
    """One verification: what it counted and found so far.

    Args:
        folder: parts are read there; None if nothing is read.
    """

    def __init__(
        self, storage: Storage, plan: Plan, folder: Path | None, say: Callable[[int, int], None] | None
    ) -> None:
        self._storage, self._plan, self._folder, self._say = storage, plan, folder, say
        self._ledger = Ledger(storage, plan)
        self._seen = Seen(folder) if folder else None
        self._attempts: dict[int, str] = {}  # of shards that have a problem
        self._others: Counter[str] = Counter()  # commits by the digests of other plans
        self.manifest: Manifest | None = None
        self.problems: list[Problem] = []
        self.committed = self.docs = self.rows = self.bytes = 0

    def run(self) -> None:
        """All of it; what it finds is in `problems`."""
        is_done = self._storage.entry(layout.SUCCESS) is not None  # first: a run that ends meanwhile makes it last
        is_bad = self._read_manifest()
        said = self.manifest
        made = manifest_of(self._plan, self._walk(), said.deleted if said else "", said.deleted_sha256 if said else "")
        if other := self._other_plan():
            message = (
                f"{layout.PLAN} is not the plan that these shards were made by, {other[:12]}; bring that back, "
                "or plan into an empty place"
            )
            self.problems = [Problem("other_plan", message)]  # whatever else is wrong comes of that
            return
        self._look_for_strays()
        self._look_for_twice()
        if not is_bad:
            self._look_at_end(End(made, said, is_done, self.committed))

    def mend(self) -> tuple[int, ...]:
        """Withdraw what is bad; the shards for which that was done."""
        numbers = sorted({p.shard for p in self.problems if p.is_mendable and p.shard is not None})
        withdrawn = tuple(number for number in numbers if self._withdraw(number))
        if any(p.is_mendable and p.shard is None for p in self.problems):  # made again from the commits
            for key in (layout.SUCCESS, layout.MANIFEST, *(e.key for e in self._storage.list(layout.CHECKPOINTS))):
                self._storage.delete(key)
        return withdrawn

    # ------------------------------------------------------------------ shard by shard

    def _walk(self) -> Iterator[Commit]:
        """The commits in order, each of them looked at."""
        shards, stored = shards_of(self._storage, self._plan), Stored(self._storage)
        for commit in self._commits():
            self._count(commit)
            self._look(commit, shards, stored)
            if self._say:
                self._say(self.committed, self._plan.shards)
            yield commit

    def _look(self, commit: Commit, shards: Shards, stored: Stored) -> None:
        """Its numbers, its files, what stands in them."""
        for code, message in number_faults(commit, shards.docs_of(commit.shard), shards.bytes_of(commit.shard)):
            self._note(commit, code, message)
        if stored.is_torn(commit):
            named = " or ".join(filter(None, (commit.part, commit.dead)))
            self._note(commit, "torn", f"{named} is missing, or has another size than the commit says")
        elif self._folder:
            self._reread(commit, self._folder)

    def _commits(self) -> Iterator[Commit]:
        """What cannot be read is a problem and no end: then each is read by itself."""
        last = -1
        try:
            for held in self._ledger.records():
                yield self._own(held) if self._folder else held
                last = held.shard
        except Mismatch as error:
            yield from self._one_by_one(last, error)

    def _own(self, held: Commit) -> Commit:
        """A shard's own record, where its checkpoint says something else."""
        own = self._ledger.commit_of(held.shard)
        if own is None or own == held:
            return held
        message = f"the checkpoint of shard {held.shard} says something else than its commit"
        self.problems.append(Problem("bad_checkpoint", message, is_mendable=True))
        return own

    def _one_by_one(self, last: int, error: Mismatch) -> Iterator[Commit]:
        """From behind the last one on; it is a checkpoint that is bad where all commits are well."""
        are_well = True
        for entry in self._storage.list(layout.COMMITS, after=layout.commit_key(last) if last >= 0 else ""):
            number = layout.number_of(entry.key)
            if number is None or number >= self._plan.shards or max(self._others.values(), default=0) > FEW:
                continue
            try:
                commit = self._ledger.commit_of(number)
            except Mismatch as bad:
                are_well = False
                self._others.update(self._other_plan_of(number))
                self.problems.append(Problem("bad_commit", bad.message, number, is_mendable=True))
            else:
                yield from [commit] if commit else []
        if are_well:
            self.problems.append(Problem("bad_checkpoint", error.message, is_mendable=True))

    def _other_plan_of(self, number: int) -> list[str]:
        """By which one a commit was made, if that is another one and can be read."""
        try:
            plan = msgspec.json.decode(self._storage.get(layout.commit_key(number)), type=_Named).plan
        except (Missing, msgspec.DecodeError, UnicodeDecodeError):
            return []
        return [plan] if plan not in ("", self._plan.digest) else []

    def _other_plan(self) -> str:
        """The digest of a plan that the commits are of, instead of this one."""
        (digest, count), *_ = [*self._others.most_common(1), ("", 0)]
        return digest if count > FEW or not self.committed else ""

    def _count(self, commit: Commit) -> None:
        self.committed += 1
        self.docs += commit.docs
        self.rows += commit.rows
        self.bytes += commit.part_bytes

    def _reread(self, commit: Commit, folder: Path) -> None:
        """Every byte of its files."""
        try:
            if commit.part:
                with self._opened(commit.part, folder) as file:
                    faults, chunk_ids = part_faults(file, self._plan, commit)
                for code, message in faults:
                    self._note(commit, code, f"{commit.part}: {message}")
                if self._seen:
                    self._seen.add(commit.shard, chunk_ids)
            if commit.dead:
                data = self._storage.get(commit.dead)
                for code, message in letters_faults(data, read_dead(data, commit.dead), commit):
                    self._note(commit, code, f"{commit.dead}: {message}")
        except (Mismatch, Missing) as error:
            self._note(commit, "unreadable", str(error))

    @contextmanager
    def _opened(self, key: str, folder: Path) -> Iterator[BinaryIO]:
        """It is read twice, for its digest and for its rows: what is far away is copied first."""
        with self._storage.open(key) as source:
            if self._storage.url.startswith("file:"):
                yield source
                return
            path = folder / "part"
            with path.open("wb") as copy:
                while block := source.read(BLOCK):
                    copy.write(block)
        with path.open("rb") as file:
            yield file

    # ------------------------------------------------------------------ the whole job

    def _look_for_twice(self) -> None:
        count, shards = self._seen.twice() if self._seen else (0, [])
        if count:
            where = ", ".join(f"{before} and {again}" for before, again in shards)
            message = f"{count} chunk ids come twice, the first in shards {where}: documents with equal ids"
            self.problems.append(Problem("chunk_id_twice", message))

    def _look_at_end(self, end: End) -> None:
        found = end_faults(self._storage, self._plan, end, deep=self._folder is not None)
        self.problems += [Problem(code, message, is_mendable=True) for code, message in found]

    def _look_for_strays(self) -> None:
        """Commits behind the last shard."""
        for entry in self._storage.list(layout.COMMITS, after=layout.commit_key(self._plan.shards - 1)):
            if (number := layout.number_of(entry.key)) is not None:
                message = f"{entry.key} is of a shard that the plan has not: there are {self._plan.shards}"
                self.problems.append(Problem("stray", message, number, is_mendable=True))

    def _read_manifest(self) -> bool:
        """Whether there is one that cannot be read."""
        try:
            self.manifest = read_manifest(self._storage)
        except Mismatch as error:
            self.problems.append(Problem("bad_manifest", error.message, is_mendable=True))
            return True
        return False

    # ------------------------------------------------------------------ what is wrong

    def _note(self, commit: Commit, code: str, message: str) -> None:
        self._attempts[commit.shard] = commit.attempt
        self.problems.append(Problem(code, message, commit.shard, is_mendable=True))

    def _withdraw(self, number: int) -> bool:
        """Only what was looked at, and whether that was still there; a record that cannot be read goes unread."""
        if number in self._attempts:
            return self._ledger.withdraw(number, self._attempts[number])
        checkpoint = layout.checkpoint_key(number // self._ledger.group)
        for key in (layout.SUCCESS, layout.MANIFEST, layout.commit_key(number), checkpoint):
            self._storage.delete(key)
        return True
