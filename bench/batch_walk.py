"""A folder of pages -> the way of a user by the commands: plan and estimate, sample, run, kill, resume, verify.

The estimate is made before anything is encoded; afterwards each of its intervals should hold what was measured. The run
is killed (SIGKILL, with its processes left to find out) once half of its shards are committed.
"""

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from embedstack.jobs import layout
from embedstack.storage.opening import open_storage

SHARE = 0.5  # of the shards, when the run is killed
PRICE = 0.40  # dollars an hour, of the card in the question that an estimate answers
FOR = "200GB"
MACHINE_SENTENCES = 3  # of an output that are kept


@dataclass(slots=True)
class Step:
    """One command."""

    what: str
    command: str
    seconds: float
    said: str
    is_good: bool


class Walk:
    """The commands, in a folder of their own.

    Args:
        model: as `--model` takes it.
        shard_docs: so that a small corpus has several shards.
    """

    def __init__(self, folder: Path, pages: Path, model: str, *, shard_docs: int, chunk_tokens: int) -> None:
        self._folder, self._pages, self._model = folder, pages, model
        self._shard_docs, self._chunk_tokens = shard_docs, chunk_tokens
        self._steps: list[Step] = []

    def run(self, sample: int) -> dict[str, object]:
        """All of them; what each took and said, and the estimate beside what came."""
        planned = self._plan()
        self._command("sample", "job", "run", "out", "--sample", str(sample))
        killed_s = self._killed()
        resumed_s = self._command("resume", "job", "run", "out")
        status = json.loads(self._output("status", "job", "status", "out", "--json"))
        self._command("verify", "job", "verify", "out", "--deep")
        self._command("gc", "job", "gc", "out", "--older-than", "0")
        return {
            "steps": [asdict(step) for step in self._steps],
            "estimate": self._held(planned, status, killed_s + resumed_s),
            "for_200_gb": planned.get("for_200_gb"),
            "status": status,
        }

    def _plan(self) -> dict[str, object]:
        words = [
            *("job", "plan", str(self._pages), "--output", "out", "--model", self._model),
            *("--chunk-tokens", str(self._chunk_tokens), "--shard-docs", str(self._shard_docs)),
            *("--checkpoint-docs", str(10 * self._shard_docs), "--estimate", "--price", str(PRICE), "--json"),
        ]
        planned = json.loads(self._output("plan and estimate", *words))
        large = json.loads(self._output("the same for 200 GB", *words, "--for-bytes", FOR))
        return planned | {"for_200_gb": large["estimate"]}

    def _held(self, planned: dict, status: dict, seconds: float) -> dict[str, dict[str, float]]:
        """Hours are of both runs: what was in hand when the first was killed counts twice, and so does the start."""
        estimate = planned["estimate"]
        measured = {
            "tokens": status["tokens"],
            "chunks": status["rows"],
            "output_bytes": status["part_bytes"],
            "hours": seconds / 3600,
        }
        return {name: {**estimate[name], "measured": value} for name, value in measured.items()}

    def _killed(self) -> float:
        """Until half of the shards are committed; seconds."""
        words = ("job", "run", "out", "--json")
        shards = json.loads((self._folder / "out" / layout.PLAN).read_bytes())["shards"]
        began, done = time.monotonic(), 0
        process = subprocess.Popen(self._words(words), cwd=self._folder, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            done += json.loads(line).get("event") == "did"
            if done >= SHARE * shards:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
        process.stdout.close()
        took_s = time.monotonic() - began
        committed = sum(1 for _ in open_storage(self._folder / "out").list(layout.COMMITS))
        said = f"killed with {committed} of {shards} shards committed"
        is_good = process.returncode == -signal.SIGKILL
        self._steps.append(Step("run and kill", self._shown(words), took_s, said, is_good))
        return took_s

    def _command(self, what: str, *words: str) -> float:
        self._output(what, *words)
        return self._steps[-1].seconds

    def _output(self, what: str, *words: str) -> str:
        began = time.monotonic()
        done = subprocess.run(self._words(words), cwd=self._folder, capture_output=True, text=True, check=False)
        lines = [line for line in (done.stdout if "--json" not in words else done.stderr).splitlines() if line.strip()]
        said = "; ".join((lines or done.stderr.splitlines())[:MACHINE_SENTENCES])
        self._steps.append(Step(what, self._shown(words), time.monotonic() - began, said, done.returncode == 0))
        if done.returncode:
            raise RuntimeError(f"{self._shown(words)}: {done.returncode} {done.stderr[-2000:]}")
        return done.stdout

    def _words(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "embedstack", *words]

    def _shown(self, words: tuple[str, ...]) -> str:
        return " ".join(["embedstack", *words]).replace(str(self._pages), "pages")
