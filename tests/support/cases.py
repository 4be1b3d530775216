"""A place and a library -> one job there, its runs in processes of their own, and what is wrong with what they left."""

import hashlib
import io
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from embedstack.jobs.commit import Manifest
from embedstack.jobs.running import IN_FLIGHT
from embedstack.jobs.shift import BESIDE
from embedstack.jobs.verifying import verify
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Storage
from support.buckets import Act, Bucket, Call, Door, Rule, passes
from support.killing import At, Order
from support.runs import PATIENCE_S, Run

IN_HAND = IN_FLIGHT + BESIDE  # shards at most that a process works on: read, encoded, stored


class Place(Protocol):
    """Where jobs can be written."""

    @property
    def name(self) -> str: ...

    def url(self, prefix: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder of this machine."""

    root: Path
    name: str = "file"

    def url(self, prefix: str) -> str:
        """A place below it."""
        return (self.root / prefix).as_uri()


@dataclass(frozen=True, slots=True)
class Truth:
    """What an undisturbed run leaves."""

    manifest: Manifest
    table: pa.Table
    reasons: Mapping[str, int]  # dead letters by code

    @property
    def parts(self) -> list[str]:
        """The digest of each file."""
        return [part.sha256 for part in self.manifest.parts]


def truth_of(storage: Storage) -> Truth:
    """The table that a manifest names, read by somebody else's reader, and the dead letters."""
    manifest = msgspec.json.decode(storage.get("_manifest.json"), type=Manifest)
    data = [storage.get(part.key) for part in manifest.parts]
    digests = [hashlib.sha256(one).hexdigest() for one in data]
    assert digests == [part.sha256 for part in manifest.parts]
    letters = [msgspec.json.decode(line) for key in manifest.dead for line in storage.get(key).splitlines()]
    table = pa.concat_tables([pq.read_table(io.BytesIO(one)) for one in data])
    return Truth(manifest, table, Counter(letter["code"] for letter in letters))


class Case:
    """One job; closed by whoever made it.

    Args:
        folder: of this case alone: logs and spools.
        given: what its orders have that others have not.
    """

    def __init__(self, place: Place, folder: Path, library: Path, name: str, **given: object) -> None:
        folder.mkdir(parents=True)
        self.place, self.folder, self.library, self.name = place, folder, library, name
        self.out = place.url(name)
        self.runs: list[Run] = []
        self.doors: list[Door] = []
        self.goes_on = threading.Event()
        self._given = given

    def __enter__(self) -> "Case":
        return self

    def __exit__(self, *given: object) -> None:
        self.goes_on.set()
        for run in self.runs:
            run.send(signal.SIGKILL)
            run.ended()
        for door in self.doors:
            door.close()

    def start(self, rule: Rule = passes, **changes: object) -> Run:
        """A process more that works on it, through a door of its own if it comes to a bucket."""
        number = len(self.runs)
        spool = self.folder / f"spool-{number}"
        spool.mkdir()
        usual = {"log": self.folder / f"log-{number}.jsonl", "spool": spool, "inputs": (str(self.library),)}
        order = Order(out=self.out, **{**usual, **self._given, **changes})
        run = self._behind_door(self.place, order, rule) if isinstance(self.place, Bucket) else Run(order)
        self.runs.append(run)
        return run

    def run(self, rule: Rule = passes, **changes: object) -> int:
        """The same, to its end: the exit code."""
        return self.start(rule, **changes).ended()

    def _behind_door(self, bucket: Bucket, order: Order, rule: Rule) -> Run:
        """There the door counts the writes, so the process need not."""
        begun = threading.Event()
        door = Door(bucket.target)
        guard = _Guard(self, door, order.at, rule, begun)
        door.rule, door.end = guard.act, guard.end
        self.doors.append(door)
        guard.run = Run(replace(order, at=None, variables={**bucket.variables(door), **order.variables}))
        begun.set()
        return guard.run

    @property
    def storage(self) -> Storage:
        """Looked at from here, by no door."""
        return open_storage(self.out)

    def writes(self, number: int = -1) -> int:
        """How many the storage saw of a run."""
        return len(self.doors[number].writes) if self.doors else len(self.runs[number].writes)

    def committed(self) -> set[int]:
        """Shards."""
        names = [entry.key.rpartition("/")[2] for entry in self.storage.list("_commits/")]
        return {int(name.removesuffix(".json")) for name in names}

    def parts(self) -> set[str]:
        """Names of all files with rows, whoever left them."""
        return {entry.key for entry in self.storage.list("data/")}


class _Guard:
    """The rule of a door that ends or stops a process once."""

    def __init__(self, case: Case, door: Door, at: At | None, rule: Rule, begun: threading.Event) -> None:
        self._case, self._door, self._at, self._rule, self._begun = case, door, at, rule, begun
        self._lock = threading.Lock()
        self.run: Run | None = None

    def act(self, call: Call) -> Act:
        """What becomes of the call."""
        key = call.key.removeprefix(f"{self._case.name}/")
        with self._lock:
            at = self._at if call.write and self._at is not None and self._at.is_at(call.write, key) else None
            self._at = self._at if at is None else None
        if at is None:
            return self._rule(replace(call, key=key))
        self._begun.wait(PATIENCE_S)
        if at.sends == signal.SIGKILL:
            return at.moment
        self.run.send(at.sends)
        self._case.goes_on.wait(PATIENCE_S)
        return "pass"

    def end(self) -> None:
        """Kill, and answer nobody before the process is gone."""
        self.run.send(signal.SIGKILL)
        self.run.over.wait(PATIENCE_S)


# ------------------------------------------------------------------------------------------------ what is wrong


def faults_of(case: Case, truth: Truth) -> list[str]:
    """Why what is there now is not what an undisturbed run leaves; none if it is."""
    found = truth_of(case.storage)
    said = {
        "rows_digest": found.manifest.rows_digest == truth.manifest.rows_digest,
        "vectors_digest": found.manifest.vectors_digest == truth.manifest.vectors_digest,
        "table": found.table.equals(truth.table),
        "bytes of the parts": found.manifest.plan != truth.manifest.plan or found.parts == truth.parts,
        "dead letters": found.reasons == truth.reasons,
        "_SUCCESS": case.storage.entry("_SUCCESS") is not None,
    }
    wrong = [f"{what} differs" for what, is_right in said.items() if not is_right]
    return wrong + [problem.message for problem in verify(case.storage, deep=True).problems]


def rework_of(killed: Run, committed: set[int], resumed: Run) -> list[str]:
    """Why more was done again than was in hand; none if it was not.

    Args:
        committed: shards, when the first process was gone.
    """
    in_hand, again = set(killed.shards("took")) - committed, set(resumed.shards("took")) & committed
    twice = [shard for shard, times in Counter(resumed.shards("took")).items() if times > 1]
    found = {
        f"{len(in_hand)} shards were in hand": len(in_hand) > IN_HAND,
        f"shards {sorted(again)} were done although they were committed": bool(again),
        f"shards {twice} were done twice by one process": bool(twice),
    }
    return [what for what, is_so in found.items() if is_so]
