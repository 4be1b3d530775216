"""A fault and a place -> what it did to a job, and what is wrong after the job went on; nothing should be."""

import itertools
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

import pyarrow.compute as pc

from support.buckets import Act, Call, Rule, passes
from support.cases import Case, Place, Truth, faults_of, rework_of, truth_of
from support.corpus import library, poisoned
from support.killing import At, Moment
from support.runs import Run

KILLED = -signal.SIGKILL
CONFIG, MISMATCH = 2, 3  # exit codes
SMALL_FILES = 16_384  # bytes: more than a commit or this log has, less than a part
LINE_MB = 2048
ONE_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job."""

    fault: str
    place: str
    wrong: tuple[str, ...]
    facts: dict[str, object] = field(default_factory=dict)


class Stage:
    """A library, a folder for jobs over it, and what undisturbed jobs over it leave.

    Args:
        given: what the orders of all jobs have.
    """

    def __init__(self, folder: Path, *, pages: int = 14, **given: object) -> None:
        self.folder, self._given = folder, given
        self.library = library(folder / "library", pages=pages)
        self._numbers = itertools.count()
        self._truths: dict[str, tuple[Truth, int]] = {}

    @contextmanager
    def case(self, place: Place, over: Path | None = None, **changes: object) -> Iterator[Case]:
        """A new job, in a place where nothing is."""
        name = f"{self.folder.name}-{next(self._numbers):04d}"
        given = {**self._given, **changes}
        with Case(place, self.folder / f"{place.name}-{name}", over or self.library, name, **given) as case:
            yield case

    def truth(self, place: Place) -> Truth:
        """What an undisturbed run leaves."""
        return self._undisturbed(place)[0]

    def writes(self, place: Place) -> int:
        """How many writes to storage it takes, planning among them."""
        return self._undisturbed(place)[1]

    def _undisturbed(self, place: Place) -> tuple[Truth, int]:
        if place.name not in self._truths:
            with self.case(place) as case:
                _expect(case.runs, case.run(), 0)
                self._truths[place.name] = truth_of(case.storage), case.writes()
        return self._truths[place.name]

    def copy(self) -> Path:
        """The library again, to be changed; files keep their times."""
        return shutil.copytree(self.library, self.folder / f"library-{next(self._numbers):04d}")


def _expect(runs: list[Run], code: int, wanted: int) -> None:
    assert code == wanted, f"exit code {code}, not {wanted}: {[run.said for run in runs]}"


def outcome(fault: str, case: Case, wrong: list[str], **facts: object) -> Outcome:
    """What is wrong, or how it ended."""
    return Outcome(fault, case.place.name, tuple(wrong), facts)


# ------------------------------------------------------------------------------------------------ killed


def killed_at(stage: Stage, place: Place, at: At, *, in_steps: bool = False) -> Outcome:
    """Kill at a write, go on."""
    name = f"killed {at.moment} {'step' if in_steps else 'write'} {at.write}"
    with stage.case(place) as case:
        killed = case.start(at=at, in_steps=in_steps)
        return _gone_on(name, stage, case, killed, must_be_killed=not in_steps)  # the number of steps differs by one


def killed_after(stage: Stage, place: Place, seconds: float) -> Outcome:
    """Kill from outside after so long, go on."""
    with stage.case(place) as case:
        killed = case.start()
        wait([killed.sentinel], seconds)
        killed.send(signal.SIGKILL)
        return _gone_on(f"killed after {seconds:.2f} s", stage, case, killed, must_be_killed=False)


def _gone_on(name: str, stage: Stage, case: Case, killed: Run, *, must_be_killed: bool) -> Outcome:
    code = killed.ended()
    committed = case.committed()
    resumed = case.start()
    again = resumed.ended()
    wrong = [] if code == KILLED or not must_be_killed else [f"it was not killed: {code} {killed.said}"]
    wrong += [f"it did not go on: {again} {resumed.said}"] if again else faults_of(case, stage.truth(case.place))
    wrong += rework_of(killed, committed, resumed)
    in_hand = set(killed.shards("took")) - committed
    return outcome(name, case, wrong, exit_code=code, committed=len(committed), in_hand=len(in_hand))


def every_write(stage: Stage, place: Place) -> list[At]:
    """Before and after each of them."""
    moments: tuple[Moment, ...] = ("before", "after")
    return [At(write=number, moment=moment) for number in range(1, stage.writes(place) + 1) for moment in moments]


def each_write_once(stage: Stage, place: Place) -> list[At]:
    """Before one, after the next, and so on: half of the moments, in which storage still meets each write of a job."""
    return [at for at in every_write(stage, place) if (at.moment == "before") == bool(at.write % 2)]


def every_step(stage: Stage, place: Place) -> list[At]:
    """Before and after each call of the system."""
    with stage.case(place, in_steps=True) as case:
        _expect(case.runs, case.run(), 0)
        count = len(case.runs[-1].writes)
    return [At(write=number, moment=moment) for number in range(1, count + 1) for moment in ("before", "after")]


# ------------------------------------------------------------------------------------------------ two of them


def two_runners(stage: Stage, place: Place) -> Outcome:
    """Begun at once, with no plan there: each shard is done by one of them."""
    with stage.case(place, run_s=0.02) as case:
        both = [case.start(), case.start()]
        codes = [run.ended() for run in both]
        done = Counter(shard for run in both for shard in run.shards("did"))
        lost = sum(len(run.shards("lost")) for run in both)
        wrong = [f"a runner failed: {codes} {[run.said for run in both]}"] if any(codes) else []
        wrong += [f"shards {twice} were committed twice" for twice in [_twice(done)] if twice]
        wrong += faults_of(case, stage.truth(place)) + _strangers(case)
        return outcome("two runners at once", case, wrong, done=[len(run.shards("did")) for run in both], lost=lost)


def zombie(stage: Stage, place: Place) -> Outcome:
    """A runner stands still before its first commit, another does everything, then the first one wakes up."""
    with stage.case(place) as case:
        sleeper = case.start(at=At(key="_commits/", sends=signal.SIGSTOP))
        sleeper.stopped()
        wrong = [f"the other failed: {case.runs[-1].said}"] if case.run() else []
        sleeper.send(signal.SIGCONT)
        case.goes_on.set()
        code = sleeper.ended()
        wrong += [f"it failed: {code} {sleeper.said}"] if code else []
        wrong += [] if sleeper.shards("lost") else ["it did not notice that it had lost"]
        wrong += faults_of(case, stage.truth(place)) + _strangers(case)
        return outcome("a runner wakes up too late", case, wrong, lost=len(sleeper.shards("lost")))


def _twice(done: Counter[int]) -> list[int]:
    return [shard for shard, times in done.items() if times > 1]


def _strangers(case: Case) -> list[str]:
    """Whoever loses takes its files away."""
    named = {part.key for part in truth_of(case.storage).manifest.parts}
    return [f"{key} is named by no commit" for key in sorted(case.parts() - named)]


# ------------------------------------------------------------------------------------------------ storage


def disk_full(stage: Stage, place: Place) -> Outcome:
    """No file may have as many bytes as a part; then it may."""
    with stage.case(place) as case:
        return _failed_then_went_on("disk full", stage, case, case.start(file_bytes=SMALL_FILES), says="cannot be")


def full_disk(stage: Stage, place: Place, grow: Callable[[], object], spool: Path | None = None) -> Outcome:
    """A disk of its own, for the output or the spool, has no room left; then it has.

    Args:
        place: on that disk, or another if its spool is there.
        grow: makes room.
        spool: on that disk.
    """
    changes = {"spool": spool} if spool else {}
    with stage.case(place, **changes) as case:
        run = case.start()
        run.ended()
        grow()
        return _failed_then_went_on("no space left on device", stage, case, run, says="No space left on device")


def refusing_bucket(stage: Stage, place: Place, status: int, says: str) -> Outcome:
    """From its first commit on, whatever would change something is refused; then it is not."""

    def refuses(call: Call) -> Act:
        return status if call.write and call.key.startswith("_commits/") else "pass"

    with stage.case(place) as case:
        run = case.start(refuses)
        return _failed_then_went_on(f"the bucket refuses with {status}", stage, case, run, says=says)


def stumbling_bucket(stage: Stage, place: Place, status: int = 503) -> Outcome:
    """Every third call fails the first time."""
    numbers, refused = itertools.count(1), set[tuple[str, str]]()

    def stumbles(call: Call) -> Act:
        one = call.method, call.key
        if next(numbers) % 3 or one in refused:
            return "pass"
        refused.add(one)
        return status

    with stage.case(place) as case:
        code = case.run(stumbles)
        wrong = [f"it failed: {code} {case.runs[-1].said}"] if code else faults_of(case, stage.truth(place))
        return outcome(f"every third call gets {status} once", case, wrong, refused=len(refused))


def truncated_part(stage: Stage, place: Place, *, is_gone: bool = False) -> Outcome:
    """A committed part loses its end, or all, before the manifest is written."""
    with stage.case(place) as case:
        killed = case.start(at=At(key="_manifest"))
        killed.ended()
        key = sorted(case.parts())[1]
        data = case.storage.get(key)
        case.storage.delete(key)
        if not is_gone:
            case.storage.put(key, data[:-100])
        code = case.run()
        again = case.runs[-1].shards("took")
        wrong = [f"it did not go on: {code} {case.runs[-1].said}"] if code else faults_of(case, stage.truth(place))
        wrong += [f"shards {again} were done again, not one"] if len(set(again)) != 1 else []
        return outcome(f"a committed part is {'gone' if is_gone else 'shorter'}", case, wrong, again=again)


def _failed_then_went_on(name: str, stage: Stage, case: Case, run: Run, *, says: str, rule: Rule = passes) -> Outcome:
    code = run.ended()
    committed = case.committed()
    wrong = [] if code in (2, 4, 5) and says in run.said else [f"exit code {code}: {run.said!r}, without {says!r}"]
    wrong += ["its message holds the secret"] if "a-secret" in run.order.log.read_text() else []
    again = case.run(rule)
    resumed = case.runs[-1]
    wrong += [f"it did not go on: {again} {resumed.said}"] if again else faults_of(case, stage.truth(case.place))
    wrong += rework_of(run, committed, resumed)
    return outcome(name, case, wrong, exit_code=code, message=run.said)


# ------------------------------------------------------------------------------------------------ clock, input, model


def jumping_clock(stage: Stage, place: Place) -> Outcome:
    """The wall clock goes back and forth by a day whenever somebody looks."""
    with stage.case(place, jumps=True) as case:
        code = case.run()
        run = case.runs[-1]
        took = [line["took_s"] for line in run.lines if line.get("event") == "did"]
        wrong = [f"it failed: {code} {run.said}"] if code else faults_of(case, stage.truth(place))
        wrong += [f"a shard took {seconds} s" for seconds in took if not 0 <= seconds < 3600]
        return outcome("the clock jumps", case, wrong)


def changed_input(stage: Stage, place: Place, *, is_gone: bool = False) -> Outcome:
    """A page changes after it was planned; nothing is written. It changes back; the job goes on."""
    copied = stage.copy()
    page = copied / "pages/page-003.md"
    kept, times = page.read_bytes(), page.stat()
    with stage.case(place, copied) as case:
        case.start(at=At(key="_commits/", moment="after")).ended()
        page.write_bytes(kept + b"\n\nOne more.\n")
        if is_gone:
            page.unlink()
        return _refused(
            "an input file changed" if not is_gone else "an input file is gone",
            stage,
            case,
            "page-003.md",
            lambda: (page.write_bytes(kept), os.utime(page, ns=(times.st_atime_ns, times.st_mtime_ns))),
        )


def changed_model(stage: Stage, place: Place) -> Outcome:
    """Another revision of the model; nothing is written."""
    with stage.case(place) as case:
        case.start(at=At(key="_commits/", moment="after")).ended()
        return _refused("the model changed", stage, case, "'other'", lambda: None, model="other", plans=False)


def _refused(name: str, stage: Stage, case: Case, says: str, mend: Callable[[], object], **changes: object) -> Outcome:
    before = [(entry.key, entry.version) for entry in case.storage.list() if not entry.key.startswith("_probe/")]
    code = case.run(plans=False, **{name: value for name, value in changes.items() if name != "plans"})
    refused = case.runs[-1]
    after = [(entry.key, entry.version) for entry in case.storage.list() if not entry.key.startswith("_probe/")]
    wrong = [] if code == MISMATCH and says in refused.said else [f"exit code {code}: {refused.said!r}"]
    wrong += ["something was written"] if before != after else []
    mend()
    again = case.run(plans=False)
    wrong += [f"it did not go on: {again} {case.runs[-1].said}"] if again else faults_of(case, stage.truth(case.place))
    return outcome(name, case, wrong, message=refused.said)


# ------------------------------------------------------------------------------------------------ documents


def poison(stage: Stage, place: Place, how: str) -> Outcome:
    """One document makes the model fail: it goes to the dead letters, and the rows of all others are as they were."""
    copied = stage.copy()
    doc_id = poisoned(copied)
    with stage.case(place, copied, model=how) as case:
        code = case.run()
        if code:
            return outcome(f"a document that {how}", case, [f"it failed: {code} {case.runs[-1].said}"])
        found, truth = truth_of(case.storage), stage.truth(place)
        others = truth.table.filter(pc.not_equal(truth.table["doc_id"], doc_id))
        columns = ["chunk_id", "embedding_vector", "metadata"]
        wrong = [] if found.table.select(columns).equals(others.select(columns)) else ["rows of other documents differ"]
        wrong += [] if sum(found.reasons.values()) == sum(truth.reasons.values()) + 1 else [f"dead: {found.reasons}"]
        return outcome(f"a document that {how}", case, wrong, dead=dict(found.reasons))


def long_line(stage: Stage, place: Place, megabytes: int = LINE_MB) -> Outcome:
    """A line of gigabytes between two rows: it is dead, the rows are not, and memory does not grow with it."""
    folder = stage.folder / f"long-{next(stage._numbers):04d}"
    folder.mkdir()
    with (folder / "rows.jsonl").open("wb") as file:
        file.write(b'{"id": "first", "text": "the one before"}\n')
        file.seek(megabytes * ONE_MB, os.SEEK_CUR)
        file.write(b'\n{"id": "last", "text": "the one behind"}\n')
    with stage.case(place, stage.library) as plain:
        plain.run()
    with stage.case(place, folder, max_document_bytes=ONE_MB) as case:
        code = case.run()
        (folder / "rows.jsonl").unlink()
        if code:
            return outcome("a long line", case, [f"it failed: {code} {case.runs[-1].said}"])
        found = truth_of(case.storage)
        more_mb = (case.runs[-1].peak_bytes - plain.runs[-1].peak_bytes) / ONE_MB
        around = ["rows.jsonl#id=first", "rows.jsonl#id=last"]
        wrong = [] if found.table["doc_id"].to_pylist() == around else ["the rows around it are not there"]
        wrong += [] if found.reasons == {"too_large": 1} else [f"dead: {found.reasons}"]
        wrong += [f"it took {more_mb:.0f} MB more memory"] if more_mb > 64 else []
        return outcome(f"a line of {megabytes} MB", case, wrong, more_mb=round(more_mb, 1))
