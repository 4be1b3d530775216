"""A job by its commands, with a real engine over a tiny model, whose processes are killed from outside or by a text."""

import contextlib
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from embedstack.jobs.verifying import verify
from embedstack.storage.opening import open_storage
from support.cases import Truth, truth_of
from support.commands import COMMAND, settings_only
from support.corpus import POISON, library, poisoned
from support.faults import Outcome
from support.tiny import CASES, write

PATIENCE_S = 90.0
PAGES, TOKENS, SHARD_DOCS, CHECKPOINT_DOCS = 8, 32, 8, 16
CLOSE = 1e-5  # of a vector's numbers, where the shard that it is in was packed otherwise
TRAP = f"""
import embedstack.inputs.text as text

offsets, sources = text.TextInput.offsets, text.TextInput._sources

def look(told):
    if {POISON!r} in told:
        os.abort()

def trapped_offsets(self, texts):
    look(" ".join(texts))
    return offsets(self, texts)

def trapped_sources(self, item, place):
    look(getattr(item, "text", ""))
    return sources(self, item, place)

text.TextInput.offsets, text.TextInput._sources = trapped_offsets, trapped_sources
"""
"""What Python runs before anything else where it is found as `sitecustomize`: a word ends whoever reads it."""


class Commanded:
    """A library, a model, and what undisturbed commands make of them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.model = write(CASES["xlm-roberta-cls"], folder / "model")
        self.library = library(folder / "library", pages=PAGES)
        self._planned: Path | None = None
        self._truth: Truth | None = None
        self._numbers = iter(range(1000))

    def planned(self, over: Path | None = None) -> Path:
        """The place of a new job; over the library it is planned once and copied."""
        out = self.folder / f"job-{next(self._numbers)}"
        if over is None and self._planned is not None:
            return shutil.copytree(self._planned, out)
        done = self.command(
            *("plan", str(over or self.library), "--output", str(out), "--model", str(self.model)),
            *("--chunk-tokens", str(TOKENS), "--shard-docs", str(SHARD_DOCS)),
            *("--checkpoint-docs", str(CHECKPOINT_DOCS)),
        )
        assert done.returncode == 0, done.stderr
        if over is None:
            self._planned = shutil.copytree(out, self.folder / "planned")
        return out

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """`embedstack job ...`, to its end."""
        return subprocess.run(
            [*COMMAND, "job", *words],
            env=self.variables(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def variables(self) -> Mapping[str, str]:
        """One thread each, so that vectors have the same bits in all of them."""
        return settings_only(EMBEDSTACK_CACHE_DIR=str(self.folder / "cache"))

    def run(self, out: Path, processes: int = 1) -> "subprocess.CompletedProcess[str]":
        """To its end; however many documents fail."""
        return self.command("run", str(out), "--processes", str(processes), "--max-dead", "100%", "--json")

    @contextlib.contextmanager
    def running(self, out: Path, processes: int = 1, **variables: str) -> Iterator["Running"]:
        """While it runs."""
        words = ("run", str(out), "--processes", str(processes), "--max-dead", "100%", "--json")
        process = subprocess.Popen(
            [*COMMAND, "job", *words],
            env={**self.variables(), **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running = Running(process)
        try:
            yield running
        finally:
            running.close()

    @property
    def truth(self) -> Truth:
        """What nobody disturbed."""
        if self._truth is None:
            out = self.planned()
            done = self.run(out)
            assert done.returncode == 0, done.stderr
            self._truth = truth_of(open_storage(out))
        return self._truth


class Running:
    """A command that runs, with what it says."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process, self.lines = process, list[dict]()
        self.errors: list[str] = []
        self._spoken = threading.Condition()
        self._threads = [threading.Thread(target=listen, daemon=True) for listen in (self._listen, self._listen_errors)]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            with self._spoken:
                self.lines.append(json.loads(line))
                self._spoken.notify_all()

    def _listen_errors(self) -> None:
        self.errors.extend(self.process.stderr)

    def heard(self, is_it: Callable[[dict], bool]) -> None:
        """Wait until it says this."""
        with self._spoken:
            assert self._spoken.wait_for(lambda: any(map(is_it, self.lines)), PATIENCE_S), (self.lines, self.errors)

    def children(self) -> list[psutil.Process]:
        """The processes that it started."""
        return psutil.Process(self.process.pid).children()

    def ended(self) -> int:
        """Wait for its end."""
        code = self.process.wait(PATIENCE_S)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        return code

    def close(self) -> None:
        """Whatever is left of it ends."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in self.children():
                child.kill()
        self.process.kill()
        self.ended()
        self.process.stdout.close()
        self.process.stderr.close()


def is_event(name: str) -> Callable[[dict], bool]:
    """Of lines that say what happened."""
    return lambda line: line.get("event") == name


# ------------------------------------------------------------------------------------------------ faults


def killed_supervisor(on: Commanded) -> Outcome:
    """`job run` is killed after its first shard: its processes end, and the same command goes on."""
    return _ended_by(on, "`job run` is killed", signal.SIGKILL, -signal.SIGKILL)


def terminated(on: Commanded) -> Outcome:
    """The same with the signal of `docker stop`, and the exit code that shells give it."""
    return _ended_by(on, "`job run` is told to end", signal.SIGTERM, 128 + signal.SIGTERM)


def _ended_by(on: Commanded, name: str, number: int, wanted: int) -> Outcome:
    out = on.planned()
    with on.running(out, processes=2) as running:
        running.heard(is_event("did"))
        children = running.children()
        running.process.send_signal(number)
        code = running.ended()
        _, left = psutil.wait_procs(children, PATIENCE_S)
    wrong = [] if code == wanted else [f"exit code {code}: {running.errors}"]
    wrong += [f"{len(left)} of its processes live on"] if left else []
    return Outcome(name, "file", (*wrong, *_gone_on(on, out)))


def killed_child(on: Commanded) -> Outcome:
    """A process of `job run` is killed in the middle of a shard: another takes its place, and nobody does a thing."""
    out = on.planned()
    with on.running(out) as running:
        running.heard(is_event("took"))
        (child,) = running.children()
        child.kill()
        code = running.ended()
    wrong = [] if code == 0 else [f"exit code {code}: {running.errors}"]
    return Outcome("a process of `job run` is killed", "file", (*wrong, *_differences(on, out)))


def crashing(on: Commanded) -> Outcome:
    """A document that ends every process that reads it (abort) is found, and goes to the dead letters."""
    copied, trap = on.folder / "poisoned", on.folder / "trap"
    library(copied, pages=PAGES)
    doc_id = poisoned(copied)
    trap.mkdir()
    (trap / "sitecustomize.py").write_text(TRAP)
    out = on.planned(copied)
    with on.running(out, PYTHONPATH=str(trap)) as running:
        code = running.ended()
    if code:
        return Outcome("a document that aborts", "file", (f"exit code {code}: {running.errors}",))
    found = truth_of(open_storage(out))
    wrong = [] if found.reasons.get("crashed") == 1 else [f"dead: {dict(found.reasons)}"]
    wrong += _near(found.table, on.truth.table.filter(pc.not_equal(on.truth.table["doc_id"], doc_id)))
    return Outcome("a document that aborts", "file", tuple(wrong), {"dead": dict(found.reasons)})


def _gone_on(on: Commanded, out: Path) -> list[str]:
    done = on.run(out, processes=2)
    return [f"it did not go on: {done.returncode} {done.stderr}"] if done.returncode else _differences(on, out)


def _differences(on: Commanded, out: Path) -> list[str]:
    found, truth = truth_of(open_storage(out)), on.truth
    problems = verify(open_storage(out), deep=True).problems
    said = {
        "rows_digest": found.manifest.rows_digest == truth.manifest.rows_digest,
        "vectors_digest": found.manifest.vectors_digest == truth.manifest.vectors_digest,
        "table": found.table.equals(truth.table),
        "bytes of the parts": found.parts == truth.parts,
        f"what verify finds ({problems})": not problems,
    }
    return [f"{what} differs" for what, is_right in said.items() if not is_right]


def _near(found: pa.Table, wanted: pa.Table) -> list[str]:
    """The shard of the document was packed without it, so the last bits of its neighbours may differ."""
    columns = ["chunk_id", "text", "metadata"]
    if not found.select(columns).equals(wanted.select(columns)):
        return ["rows of other documents differ"]
    ours, theirs = (np.stack(table["embedding_vector"].to_numpy()) for table in (found, wanted))
    return [] if np.abs(ours - theirs).max() <= CLOSE else ["vectors of other documents differ"]
