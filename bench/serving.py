"""The server from socket to socket, beside its own engine and beside Infinity's server, in one run.

    bench/peers.sh PEERS st infinity
    python bench/serving.py --peers PEERS --out bench/results/serving.json

Short queries, one to a request, over 1, 8 and 64 connections that each wait for their reply. The generator is
`sender.py`, a process of its own on the same processors; what it used stands beside every rate. `inside.py` is the
engine in a process without a server, asked by as many coroutines as there are connections. All have the same weights,
processors and threads, and no cache of vectors. The rounds go through all in turn, and who is not measured stands
still. Infinity's settings are chosen before the rounds, at 64 connections. `--quick` is for trying the script.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import serving_report
from compare import EXPORT
from contenders import Failed, environment
from embedstack.catalog import find
from embedstack.evals import sentences
from embedstack.inputs.text import TextInput
from embedstack.runtimes.processor import usable_threads
from embedstack.settings import DEFAULT_MODEL, read_settings
from embedstack.types import Text
from machine import hold_to, machine, spread
from served import Running, Together, cosine_to, vectors_of

HERE = Path(__file__).parent
QUERIES = 512
CONNECTIONS = (64, 8, 1)
BATCHES = (8, 32, 64)  # of Infinity; 32 is its default
SETTINGS = {"torch": ("",), "optimum": ("", " --no-onnx-disable-optimize")}
WARM_S = 1.0
ALIKE = 0.999  # cosine of a peer's vectors to ours; with another pooling it is about 0.7
INT8_ALIKE = 0.99
VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
def found(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
names = ("embedstack", "infinity_emb", "openvino", "onnxruntime", "optimum", "torch", "transformers", "tokenizers",
         "uvicorn", "uvloop", "httptools", "starlette", "fastapi", "orjson")
print(json.dumps({name: found(name) for name in names if found(name)}))
"""
Made = dict[str, object]


@dataclass
class Entry:
    """A server, or the engine without one, and what was measured of it."""

    name: str
    running: Running | Together
    about: Made = field(default_factory=dict)
    runs: dict[int, list[Made]] = field(default_factory=dict)  # by connections

    def measured(self) -> Made:
        return {**self.about, "connections": {str(count): _summary(runs) for count, runs in self.runs.items()}}


def _summary(runs: list[Made]) -> Made:
    """Over the rounds."""
    columns = ("requests_per_s", "p50_ms", "p99_ms", "cpu_ms", "generator_share", "batch_items")
    made: Made = {name: spread([run[name] for run in runs]) for name in columns if name in runs[0]}
    wrong: dict[str, int] = {}
    for run in runs:
        for status, count in run.get("wrong", {}).items():
            wrong[status] = wrong.get(status, 0) + count
    return {**made, "requests": sum(run["requests"] for run in runs), "not_200": wrong}


class Bench:
    """The steps in order."""

    def __init__(self, given: argparse.Namespace, scratch: Path) -> None:
        self.given, self.scratch = given, scratch
        self.threads = given.threads or usable_threads()
        self.rounds, self.seconds = (2, 2.0) if given.quick else (given.rounds, given.seconds)
        self.environment = environment(self.threads, scratch)
        located = find(DEFAULT_MODEL, cache_dir=read_settings().cache_dir)
        self.folder = scratch / DEFAULT_MODEL  # the folder's name is the model's, for all servers
        shutil.copytree(located.folder, self.folder, symlinks=False)
        queries = sentences.questions(QUERIES)
        (scratch / "queries.json").write_text(json.dumps(queries))
        (scratch / "bodies.json").write_text(json.dumps([json.dumps({"model": DEFAULT_MODEL, "input": text})
                                                         for text in queries]))  # fmt: skip
        self.queries = queries
        lengths = [one.cost for one in TextInput(self.folder, located.spec).encode([Text(text) for text in queries])]
        self.entries: dict[str, Entry] = {}
        self.made: Made = {
            "machine": machine(),
            "command": "python bench/serving.py --peers PEERS --out bench/results/serving.json",
            "model": DEFAULT_MODEL,
            "threads": self.threads,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "quick": given.quick,
            "queries": {"count": len(queries), "distinct": len(set(queries)),
                        "mean_tokens": round(sum(lengths) / len(lengths), 1),
                        "least_tokens": min(lengths), "most_tokens": max(lengths)},
            "skipped": {},
        }  # fmt: skip

    # ------------------------------------------------------------------ who takes part

    def run(self) -> Made:
        ours = self._start("embedstack", self._ours(str(self.folder)), "/v1/embeddings")
        truth = vectors_of(ours.running, self.queries[:32], DEFAULT_MODEL)
        self._add(ours, truth, ALIKE)
        self.entries["engine"] = Entry("engine", self._inside(), {"what": "embedstack's engine, no server"})
        self._try("embedstack onnx int8", lambda name: self._add(
            self._start(name, self._ours(f"{DEFAULT_MODEL}={self.folder}@onnx:int8"), "/v1/embeddings"),
            truth, INT8_ALIKE,
        ))  # fmt: skip
        if self.threads > 1:
            self._try("embedstack, two processes", self._two_processes)
        for engine in ("torch", "optimum"):
            self._try(f"Infinity {engine}", lambda name, engine=engine: self._add(
                self._best_infinity(name, engine), truth, ALIKE
            ))  # fmt: skip
        self._rounds()
        return self.so_far()

    def so_far(self) -> Made:
        return {**self.made, "contenders": {name: entry.measured() for name, entry in self.entries.items()}}

    def close(self) -> None:
        for entry in self.entries.values():
            entry.running.close()

    def _try(self, name: str, step) -> None:
        try:
            step(name)
        except Failed as error:
            say(f"{name}: skipped: {error}")
            self.made["skipped"][name] = str(error)

    def _add(self, entry: Entry, truth: object, alike: float) -> None:
        """It takes part if it gives the vectors that the others give."""
        cosine = cosine_to(truth, vectors_of(entry.running, self.queries[:32], DEFAULT_MODEL))
        entry.about["cosine_to_embedstack"] = cosine
        if cosine < alike:
            entry.running.close()
            raise Failed(f"its vectors have a cosine of {cosine:.4f} to ours; another model or pooling")
        entry.running.stand_still()
        self.entries[entry.name] = entry

    def _ours(self, model: str, processes: int = 1) -> list[str]:
        threads = str(self.threads // processes)
        return [sys.executable, "-m", "embedstack", "serve", "--models", model, "--threads", threads]

    def _two_processes(self, name: str) -> None:
        """Whether replicas on one machine would pay: each with half of the threads and the model for itself."""
        command = self._ours(str(self.folder), processes=2)
        halves = [self._start(name, command, "/v1/embeddings") for _ in range(2)]
        together = Together([half.running for half in halves if isinstance(half.running, Running)])
        together.stand_still()
        self.entries[name] = Entry(name, together, halves[0].about)

    def _start(self, name: str, command: list[str], path: str) -> Entry:
        say(f"{name}: {' '.join(command[1:])}")
        log = self.scratch / f"{name.replace(' ', '_')}.log"
        running = Running.server(command, path, self.environment, log)
        versions = subprocess.run([command[0], "-c", VERSIONS], capture_output=True, text=True, check=True).stdout
        shown = " ".join(part or "''" for part in command[1:]).replace(str(self.scratch), "FOLDER")
        if self.given.peers:
            shown = shown.replace(str(self.given.peers), "PEERS")
        return Entry(name, running, {"command": shown, "versions": json.loads(versions)})

    def _inside(self) -> Running:
        command = [sys.executable, str(HERE / "inside.py"), str(self.folder), str(self.scratch / "queries.json")]
        return Running.inside(command, self.environment, self.scratch / "inside.log")

    # ------------------------------------------------------------------ Infinity

    def _best_infinity(self, name: str, engine: str) -> Entry:
        """With the settings that give most requests at 64 connections."""
        tried: dict[str, float] = {}
        batches = BATCHES[1:2] if self.given.quick else BATCHES
        for setting in (f"--batch-size {batch}{more}" for batch in batches for more in SETTINGS[engine]):
            entry = self._infinity(name, engine, setting)
            self._send(entry, CONNECTIONS[0], WARM_S)
            tried[setting] = median(self._send(entry, CONNECTIONS[0], 3.0)["requests_per_s"] for _ in range(3))
            entry.running.close()
        entry = self._infinity(name, engine, max(tried, key=lambda setting: tried[setting]))
        entry.about["tried"] = {setting: round(rate, 1) for setting, rate in tried.items()}
        return entry

    def _infinity(self, name: str, engine: str, setting: str) -> Entry:
        python = self.given.peers / "infinity/bin/python" if self.given.peers else None
        if python is None or not python.exists():
            raise Failed("no environment 'infinity'; make it with: bench/peers.sh FOLDER")
        folder = self.folder if engine == "torch" else self._exported()
        command = [str(python), str(python.with_name("infinity_emb")), "v2", "--model-id", str(folder)]
        command += ["--served-model-name", DEFAULT_MODEL, "--engine", engine, "--device", "cpu"]
        # mean: its ONNX engine would take the first token; and no line for each request
        command += ["--pooling-method", "mean", *setting.split(), "--log-level", "error"]
        command += ["--no-vector-disk-cache", "--url-prefix", ""]
        return self._start(name, command, "/embeddings")

    def _exported(self) -> Path:
        """The same weights as ONNX, by sentence-transformers; the limit of 256 tokens stands in its position table."""
        made = self.scratch / "infinity"
        if not made.exists():
            python = self.given.peers / "st/bin/python"
            if not python.exists():
                raise Failed("no environment 'st' that could export to ONNX; make it with: bench/peers.sh FOLDER")
            command = [str(python), "-c", EXPORT, str(self.folder), str(self.scratch)]
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Failed(f"no ONNX export: {done.stderr.strip().splitlines()[-1]}")
            shutil.copytree(self.scratch / "onnx", made)
            config = json.loads((made / "config.json").read_text())
            (made / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 256}))
        return made

    # ------------------------------------------------------------------ rounds

    def _rounds(self) -> None:
        for count in CONNECTIONS:
            for round_ in range(self.rounds):
                names = list(self.entries)
                by = round_ % len(names)
                for name in names[by:] + names[:by]:
                    entry = self.entries[name]
                    entry.running.go_on()
                    self._send(entry, count, WARM_S)
                    entry.runs.setdefault(count, []).append(self._send(entry, count, self.seconds))
                    entry.running.stand_still()
            say(f"{count} connections: " + ", ".join(
                f"{name} {_summary(entry.runs[count])['requests_per_s']['median']:.0f}/s"
                for name, entry in self.entries.items()
            ))  # fmt: skip

    def _send(self, entry: Entry, count: int, seconds: float) -> Made:
        """One run of the generator, or of the engine's own loop."""
        run = entry.running.run(count, seconds, self.scratch / "bodies.json")
        took, requests = sorted(run["took_ms"]), len(run["took_ms"])
        made: Made = {
            "requests": requests,
            "requests_per_s": requests / run["s"],
            "p50_ms": took[requests // 2],
            "p99_ms": took[requests * 99 // 100],
            "cpu_ms": run["used_s"] * 1000 / requests,
            "wrong": run.get("wrong", {}),
        }
        if "generator_s" in run:
            made["generator_share"] = run["generator_s"] / (run["s"] * self.threads)
        return made | ({"batch_items": run["batch_items"]} if "batch_items" in run else {})


def say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="the folder of their environments, made by bench/peers.sh")
    parser.add_argument("--out", type=Path, help="where to write the JSON; a page (.md) comes beside it")
    parser.add_argument("--threads", type=int, default=0, help="default: all that this process may use")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement in a round")
    parser.add_argument("--quick", action="store_true", help="few rounds, to try the script")
    given = parser.parse_args()
    hold_to(given.threads or usable_threads())
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(given, Path(scratch))
        try:
            made = bench.run()
        finally:
            bench.close()
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(made, indent=1) + "\n")
        serving_report.write(given.out)
    else:
        print(serving_report.page(made))


if __name__ == "__main__":
    main()
