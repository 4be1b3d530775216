"""A folder of environments -> the contenders: what each is, where it runs, and a process of it that obeys.

Each runs `contender.py` in an environment of its own. A process whose turn it is not is stopped, so that nothing spins
beside the one that is measured.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE_S = 240  # for one answer; the slowest set takes a tenth of it
BATCHES = (1, 8, 32, 128, 256)


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Args:
        environment: its folder below the peers' folder; empty for the Python that runs the benchmark.
        files: model for the weights' own folder; onnx, openvino or infinity for what was exported from it.
        sorts: it groups texts by length itself, so that the order of the input cannot matter.
        packs: it pads nothing in its products and has no batch size to choose.
    """

    name: str
    kind: str
    environment: str = ""
    files: str = "model"
    options: dict[str, str] = field(default_factory=dict)
    sorts: bool = False
    packs: bool = False

    @property
    def is_ours(self) -> bool:
        return self.kind == "embedstack"

    def settings(self, batches: tuple[int, ...]) -> list[tuple[int, bool]]:
        """The grid: (batch, whether the input is sorted by length)."""
        if self.packs:
            return [(32, False)]
        return [(batch, is_sorted) for batch in batches for is_sorted in ((False,) if self.sorts else (False, True))]


def _ours(runtime: str, precision: str) -> Contender:
    options = {"runtime": runtime, "precision": precision}
    environment = "torch" if runtime == "torch" else ""
    return Contender(f"embedstack {runtime} {precision}", "embedstack", environment, options=options, packs=True)


def _theirs(name: str, files: str = "model", **options: str) -> Contender:
    return Contender(f"sentence-transformers {name}", "sentence_transformers", "st", files, options, sorts=True)


TABLE = (
    *(_ours("openvino", precision) for precision in ("float32", "bfloat16")),
    *(_ours("onnx", precision) for precision in ("float32", "int8")),
    *(_ours("torch", precision) for precision in ("float32", "bfloat16")),
    _theirs("default", backend="torch"),
    _theirs("bfloat16", backend="torch", dtype="bfloat16"),
    _theirs("onnx", "onnx", backend="onnx"),
    _theirs("openvino", "openvino", backend="openvino"),
    Contender("FastEmbed", "fastembed", "fastembed", "onnx"),
    Contender("Infinity torch", "infinity", "infinity", "model", {"engine": "torch"}, sorts=True),
    Contender("Infinity onnx", "infinity", "infinity", "infinity", {"engine": "optimum"}, sorts=True),
    Contender("ONNX Runtime by hand", "onnxruntime", "fastembed", "onnx"),
    Contender("TEI (over HTTP)", "tei"),
)


class Failed(Exception):
    """The contender is not here, does not start, or stopped; the message says why."""


class Process:
    """A contender that runs; `ask` gives its answer, and it stands still between two questions.

    Args:
        log: where what it prints goes; the reason of a failure is looked for there.
    """

    def __init__(self, python: Path, contender: Contender, folder: Path, threads: int, log: Path) -> None:
        self.log = log
        options = json.dumps({**contender.options, "threads": threads})
        began = time.perf_counter()
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [str(python), str(HERE / "contender.py"), contender.kind, str(folder), options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(threads, log.parent),
                start_new_session=True,  # a group of its own: what it started stands still and ends with it
            )
        self.loaded: dict[str, float] = {}
        said = self._answer()
        self.start_s = time.perf_counter() - began
        self.versions: dict[str, str] = said["versions"]
        self._signal(signal.SIGSTOP)

    def ask(self, do: str, **asked: object) -> dict:
        self._signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps({"do": do, **asked}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed(self._reason()) from None
        answer = self._answer()
        self._signal(signal.SIGSTOP)
        return answer

    def close(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.communicate()

    def _signal(self, which: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself; its log says why
            os.killpg(self._process.pid, which)

    def _answer(self) -> dict:
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self.close()
            raise Failed(self._reason() if ready else f"no answer within {PATIENCE_S} s")
        return json.loads(line)

    def _reason(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return (
            lines[-1].removeprefix("embedstack.errors.")[:200] if lines else f"ended with code {self._process.wait()}"
        )


def environment(threads: int, scratch: Path) -> dict[str, str]:
    """No network, and the same number of threads for every library that asks the environment."""
    asked = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    others = {name: value for name, value in os.environ.items() if not name.startswith("EMBEDSTACK_")}
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "DO_NOT_TRACK": "1"}
    kept = {"HF_HOME": str(scratch / "hub"), "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    ours = {"EMBEDSTACK_ALLOW_UNPROVEN": "true"}  # drawn weights have no truth; how near int8 is, is measured here
    return {**others, **asked, **quiet, **kept, **ours, "TOKENIZERS_PARALLELISM": "true"}


def python_of(contender: Contender, peers: Path | None) -> Path:
    """Its Python.

    Raises:
        Failed: the environment is not there.
    """
    if not contender.environment:
        return Path(sys.executable)
    path = peers / contender.environment / "bin/python" if peers else None
    if path is None or not path.exists():
        raise Failed(f"no environment {contender.environment!r}; make it with: bench/peers.sh FOLDER")
    return path


def chosen(only: str) -> list[Contender]:
    """The rows whose names hold one of these words, separated by commas; all of them for an empty string."""
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    return [row for row in TABLE if not words or any(word in row.name.lower() for word in words)]
