"""The default model beside every peer at its best, in one run: speed, latency, start, memory, fidelity.

    bench/peers.sh PEERS
    python bench/compare.py --peers PEERS --data DATA --out bench/results/compare.json

PEERS holds the peers' environments; what is absent is skipped, and the result says why. DATA holds
xquad/xquad.en.json and xquad.ru.json; without it the texts are our own words. `--quick` is for trying the script.
Beside the JSON a table (.md) and a picture (.svg) of the same name are written.

All contenders have the same weights, processors and threads. A peer's batch size and order of the input are chosen
before the rounds, on fewer texts; then the rounds go through all contenders in turn, so that a noisy minute hits all.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

import embedstack
import report
from contenders import BATCHES, Contender, Failed, Process, chosen, environment, python_of
from embedstack.catalog import Located, find
from embedstack.inputs.text import TextInput
from embedstack.runtimes.processor import usable_threads
from embedstack.settings import DEFAULT_MODEL, read_settings
from embedstack.types import Text
from machine import Limit, hold_to, machine, native_precisions, spread, work_flop
from started import bare_imports, server_memory
from texts import places, sources, text_sets

GRID_TEXTS = 64  # for batches up to it; a larger batch is tried on one batch of its size
GRID_S = 8.0  # a setting that would take longer is tried on fewer texts
CAPS_S = {"mixed": 8.0, "short": 2.0, "long": 4.0, "russian": 4.0, "shuffled": 4.0}  # for one contender in one round
EXPORT = """
import sys
from sentence_transformers import SentenceTransformer
for backend in ("onnx", "openvino"):
    SentenceTransformer(sys.argv[1], device="cpu", backend=backend).save_pretrained(f"{sys.argv[2]}/{backend}")
"""
Made = dict[str, object]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    batches: tuple[int, ...]
    judged: int  # texts compared with float64
    queries: int  # sent alone, for the latency
    starts: int

    @staticmethod
    def of(*, quick: bool) -> "Plan":
        return Plan(2, (8, 32), 8, 20, 1) if quick else Plan(5, BATCHES, 64, 200, 3)


@dataclass
class Entry:
    """A contender with its process and what is known about it so far."""

    row: Contender
    folder: Path
    python: Path
    process: Process
    best: dict[str, tuple[int, bool]] = field(default_factory=dict)  # per set
    rates: dict[str, float] = field(default_factory=dict)  # texts per second of the best, on few texts
    starts: list[float] = field(default_factory=list)
    made: Made = field(default_factory=dict)

    def run(self, name: str, which: list[int], save: Path | None = None) -> float:
        batch, is_sorted = self.best[name]
        asked = {"name": name, "places": which, "batch": batch, "is_sorted": is_sorted}
        return self.process.ask("run", **asked, **({"save": str(save)} if save else {}))["s"]


class Bench:
    """The steps in order; a contender that fails in one of them is left out of the rest, and the result says why."""

    def __init__(self, given: argparse.Namespace, scratch: Path) -> None:
        self.given, self.scratch = given, scratch
        self.plan = Plan.of(quick=given.quick)
        self.threads = given.threads or usable_threads()
        self.model: Located = find(DEFAULT_MODEL, cache_dir=read_settings().cache_dir)
        self.sets = text_sets(given.data, quick=given.quick)
        reader = TextInput(self.model.folder, self.model.spec)
        self.lengths = {
            name: [encoding.cost for encoding in reader.encode([Text(text, "none") for text in texts])]
            for name, texts in self.sets.items()
        }
        self.texts = scratch / "texts.json"
        self.texts.write_text(json.dumps(self.sets))
        self.entries: dict[str, Entry] = {}
        self.limits = {precision: Limit(precision, self.threads) for precision in native_precisions()}
        self.made: Made = {
            "machine": machine(),
            "command": "python bench/compare.py --peers PEERS --data DATA --out bench/results/compare.json",
            "model": self.model.spec.name,
            "threads": self.threads,
            "rounds": self.plan.rounds,
            "quick": given.quick,
            "sets": {name: self._about(name) for name in self.sets},
            "skipped": {},
        }

    def _about(self, name: str) -> Made:
        lengths = self.lengths[name]
        whole = {"texts": len(lengths), "tokens": sum(lengths), "mean_tokens": round(float(np.mean(lengths)), 1)}
        return {
            **whole,
            "least_tokens": min(lengths),
            "most_tokens": max(lengths),
            "from": sources(self.given.data)[name],
        }

    # ------------------------------------------------------------------ steps

    def run(self) -> Made:
        folders = self._export()
        for row in chosen(self.given.only):
            self._try(row.name, lambda row=row: self._open(row, folders))
        for name in list(self.entries):
            self._try(name, lambda name=name: self._choose(self.entries[name]))
        self._say_how_long()
        for name in list(self.entries):  # afresh, so that memory and shapes of the grid are gone
            self._try(name, lambda name=name: self._restart(self.entries[name]))
        self._rounds()
        truth = self._truth()
        for name in list(self.entries):
            self._try(name, lambda name=name: self._finish(self.entries[name], truth))
        for _ in range(self.plan.starts - 1):
            for name in list(self.entries):
                self._try(name, lambda name=name: self._restart(self.entries[name]))
        for entry in self.entries.values():
            entry.made["start_s"] = spread(entry.starts)
        self.close()
        self.made["bare_imports_s"] = bare_imports(self.plan.rounds, environment(self.threads, self.scratch))
        self.made["server"] = server_memory(
            self.sets["mixed"], self.model.folder, environment(self.threads, self.scratch)
        )
        return self.so_far()

    def so_far(self) -> Made:
        return {**self.made, "contenders": {name: entry.made for name, entry in self.entries.items()}}

    def close(self) -> None:
        """No contender outlives the benchmark, also not one that stands still."""
        for entry in self.entries.values():
            entry.process.close()

    def _try(self, name: str, step) -> None:
        try:
            step()
        except Failed as error:
            self._drop(name, str(error))

    def _drop(self, name: str, reason: str) -> None:
        say(f"{name}: skipped: {reason}")
        self.made["skipped"][name] = reason
        if name in self.entries:
            self.entries.pop(name).process.close()

    def _export(self) -> dict[str, Path]:
        """The weights' folder, and what sentence-transformers itself exports from it: the same weights for all."""
        copy = self.scratch / "model"
        shutil.copytree(self.model.folder, copy, symlinks=False)
        folders = {"model": copy}
        python = self.given.peers / "st/bin/python" if self.given.peers else None
        rows = [row for row in chosen(self.given.only) if row.files != "model"]
        if not rows or python is None or not python.exists():
            return folders
        say("exporting to ONNX and OpenVINO with sentence-transformers")
        command = [str(python), "-c", EXPORT, str(copy), str(self.scratch)]
        done = subprocess.run(
            command, env=environment(self.threads, self.scratch), capture_output=True, text=True, check=False
        )
        if done.returncode:
            say(done.stderr)
            return folders
        folders |= {"onnx": self.scratch / "onnx", "openvino": self.scratch / "openvino"}
        # FastEmbed takes the lesser of two limits, Infinity's ONNX engine that of the position table: 256 for all
        _change(folders["onnx"] / "tokenizer_config.json", max_length=256, model_max_length=256)
        folders["infinity"] = shutil.copytree(folders["onnx"], self.scratch / "infinity")
        _change(folders["infinity"] / "config.json", max_position_embeddings=256)
        return folders

    def _open(self, row: Contender, folders: dict[str, Path]) -> None:
        if row.files not in folders:
            raise Failed(f"no {row.files} export; it is made in the environment 'st': bench/peers.sh FOLDER")
        if row.kind == "tei" and not shutil.which("text-embeddings-router"):
            raise Failed("no binary text-embeddings-router on the path")
        python = python_of(row, self.given.peers)
        process = self._start(row, python, folders[row.files])
        self.entries[row.name] = Entry(row, folders[row.files], python, process)
        say(f"{row.name}: {process.start_s:.2f} s to the first vector")

    def _start(self, row: Contender, python: Path, folder: Path) -> Process:
        log = self.scratch / f"{row.name.replace(' ', '_').replace('/', '_')}.log"
        process = Process(python, row, folder, self.threads, log)
        process.ask("texts", path=str(self.texts))
        return process

    def _restart(self, entry: Entry) -> None:
        """A new process; the first start of all, which reads the disk, does not count."""
        entry.process.close()
        entry.process = self._start(entry.row, entry.python, entry.folder)
        entry.starts.append(entry.process.start_s)
        entry.made["versions"] = entry.process.versions

    def _choose(self, entry: Entry) -> None:
        """The fastest of the grid for short texts, and for all others that for the mixed ones."""
        grid = []
        for name in ("mixed", "short"):
            entry.best[name] = (BATCHES[2], False)
            entry.run(name, places(len(self.sets[name]), 16))  # warm
            for setting in entry.row.settings(self.plan.batches):
                grid.append(self._tried(entry, name, setting, grid))
            fastest = max((one for one in grid if one["set"] == name), key=lambda one: one["texts_per_s"])
            entry.best[name] = (fastest["batch"], fastest["sorted"])
            entry.rates[name] = fastest["texts_per_s"]
        others = {name: entry.best["mixed"] for name in self.sets if name not in entry.best}
        entry.best |= others
        entry.made["grid"] = grid
        entry.made["best"] = {name: {"batch": b, "sorted": s} for name, (b, s) in entry.best.items()}
        say(f"{entry.row.name}: {entry.rates['mixed']:.0f} texts/s mixed at {entry.made['best']['mixed']}")

    def _tried(self, entry: Entry, name: str, setting: tuple[int, bool], grid: list[Made]) -> Made:
        batch, is_sorted = setting
        rates = [one["texts_per_s"] for one in grid if one["set"] == name]
        count = max(GRID_TEXTS, batch)
        if rates:
            count = max(16, min(count, int(rates[-1] * GRID_S)))
        which = places(len(self.sets[name]), count)
        entry.best[name] = setting
        if entry.row.kind == "infinity":
            entry.run(name, which[:1])  # its engine is made for one batch size; making it is not counted
        rate = len(which) / entry.run(name, which)
        return {"set": name, "batch": batch, "sorted": is_sorted, "texts": len(which), "texts_per_s": round(rate, 2)}

    def _amount(self, entry: Entry, name: str) -> list[int]:
        """The texts of a round: all, or so many, spread evenly, as the slow manage in the time."""
        known = "short" if name == "short" else "mixed"
        per_token = sum(self.lengths[known]) / len(self.lengths[known]) * entry.rates[known]
        rate = per_token / (sum(self.lengths[name]) / len(self.lengths[name]))
        return places(len(self.sets[name]), max(16, int(rate * CAPS_S[name])))

    def _expected_s(self, entry: Entry, name: str) -> float:
        known = "short" if name == "short" else "mixed"
        tokens = sum(self.lengths[name][place] for place in self._amount(entry, name))
        return tokens / (entry.rates[known] * sum(self.lengths[known]) / len(self.lengths[known]))

    def _say_how_long(self) -> None:
        rounds = sum(self._expected_s(entry, name) for entry in self.entries.values() for name in self.sets)
        whole = rounds * (self.plan.rounds + 0.3) + len(self.entries) * (8 * self.plan.starts + 15)
        say(f"{self.plan.rounds} rounds of {rounds:.0f} s; about {whole / 60:.0f} minutes from here")

    def _rounds(self) -> None:
        limits: dict[str, list[float]] = {precision: [] for precision in self.limits}
        times: dict[tuple[str, str], list[float]] = {}
        for name in self.sets:
            for round_ in range(self.plan.rounds + 1):  # the first only warms up
                for precision, limit in self.limits.items():
                    limits[precision].append(limit.measure())
                for one in _rotated(list(self.entries), round_):
                    self._try(one, lambda name=name, one=one, n=round_: self._timed(name, one, n, times))
            say(f"{name}: done")
        self.made["limit_gflops"] = {precision: spread(values, 1) for precision, values in limits.items()}
        for entry in self.entries.values():
            entry.made["speed"] = {name: self._speed(entry, name, times[name, entry.row.name]) for name in self.sets}

    def _timed(self, name: str, one: str, round_: int, times: dict[tuple[str, str], list[float]]) -> None:
        which = self._amount(self.entries[one], name)
        took = self.entries[one].run(name, which if round_ else which[:: max(1, len(which) // 32)])
        if round_:
            times.setdefault((name, one), []).append(took)

    def _speed(self, entry: Entry, name: str, took: list[float]) -> Made:
        lengths = [self.lengths[name][place] for place in self._amount(entry, name)]
        flop = work_flop(self.model.spec.architecture, lengths)
        items = spread([len(lengths) / t for t in took])
        precision = entry.row.options.get("precision", entry.row.options.get("dtype", "float32"))
        limit = self.made["limit_gflops"].get(precision, {}).get("median")
        gflops = flop * items["median"] / len(lengths) / 1e9
        return {
            "texts": len(lengths),
            "texts_per_s": items,
            "tokens_per_s": spread([sum(lengths) / t for t in took], 0),
            "gflops": round(gflops, 1),
            "share_of_limit": round(gflops / limit, 3) if limit else None,
            "padding": self._padding(entry, name, lengths),
        }

    def _padding(self, entry: Entry, name: str, lengths: list[int]) -> float | None:
        """The share of places that hold no token, where a batch is as wide as its longest text."""
        if entry.row.packs or entry.row.kind == "tei":
            return 0.0 if entry.row.is_ours else None
        batch, is_sorted = entry.best[name]
        ordered = sorted(lengths) if is_sorted or entry.row.sorts else lengths
        rows = iter(ordered)
        wide = sum(max(part) * len(part) for part in iter(lambda: list(islice(rows, batch)), []))
        return round(1 - sum(lengths) / wide, 3)

    def _truth(self) -> np.ndarray:
        say("float64, the truth")
        texts = [self.sets["mixed"][place] for place in places(len(self.sets["mixed"]), self.plan.judged)]
        with embedstack.load(str(self.model.folder), runtime="numpy") as truth:
            return truth.encode(texts).dense.astype(np.float64)

    def _finish(self, entry: Entry, truth: np.ndarray) -> None:
        """Memory first, before anything else is asked for; then fidelity and latency."""
        entry.made["memory"] = entry.process.ask("memory")
        judged = places(len(self.sets["mixed"]), self.plan.judged)
        batched, alone = self.scratch / "batched.npy", self.scratch / "alone.npy"
        entry.run("mixed", judged, batched)
        batch, _ = entry.best["mixed"]
        entry.process.ask("each", name="mixed", places=judged, batch=batch, save=str(alone))
        cosines, neighbours = _cosines(np.load(batched), truth), _cosines(np.load(batched), np.load(alone))
        entry.made["fidelity"] = {
            "texts": len(judged),
            "cosine_to_float64": {"min": float(cosines.min()), "mean": float(cosines.mean())},
            "cosine_alone_to_in_batch": {"min": float(neighbours.min()), "mean": float(neighbours.mean())},
        }
        which = places(len(self.sets["short"]), self.plan.queries)
        took = entry.process.ask("each", name="short", places=which, batch=batch)["s"]
        p50, p99 = np.percentile(np.array(took) * 1000, (50, 99))
        entry.made["latency_ms"] = {"queries": len(took), "p50": round(float(p50), 2), "p99": round(float(p99), 2)}


def _rotated(names: list[str], by: int) -> list[str]:
    """Another one begins each round."""
    by %= len(names) or 1
    return names[by:] + names[:by]


def _cosines(made: np.ndarray, judged: np.ndarray) -> np.ndarray:
    made, judged = made.astype(np.float64), judged.astype(np.float64)
    return (made * judged).sum(axis=1) / np.linalg.norm(made, axis=1) / np.linalg.norm(judged, axis=1)


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _write(path: Path | None, made: Made) -> None:
    text = json.dumps(made, indent=2) + "\n"
    path.write_text(text) if path else print(text)


def say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="the folder of their environments, made by bench/peers.sh")
    parser.add_argument("--data", type=Path, help="the folder of labelled sets")
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    parser.add_argument(
        "--only", default="", help="contenders whose names hold one of these words: embedstack,fastembed"
    )
    parser.add_argument("--threads", type=int, default=0, help="default: all that this process may use")
    parser.add_argument("--quick", action="store_true", help="few texts and rounds, to try the script")
    given = parser.parse_args()
    hold_to(given.threads or usable_threads())
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(given, Path(scratch))
        try:
            made = bench.run()
        except BaseException:
            _write(given.out and given.out.with_suffix(".part.json"), bench.so_far())
            raise
        finally:
            bench.close()
    say(f"took {(time.monotonic() - began) / 60:.1f} minutes")
    _write(given.out, made)
    if given.out:
        report.write(given.out)


if __name__ == "__main__":
    main()
