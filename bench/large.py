"""BGE-M3 and bge-reranker-v2-m3 at full size with drawn weights: start, one query, batches, pairs, memory.

    python bench/large.py --peers PEERS --scratch FOLDER --out bench/results/large.json

Speed and memory do not depend on what the weights are, so they are drawn and nothing is fetched: 2.3 GB for each model
in FOLDER, removed afterwards. PEERS holds the environment `st` for sentence-transformers on the same folders. Two cores
without native bfloat16 take about ten minutes. `--quick` makes two layers of 24, to try the script.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

import report
from contenders import Contender, Failed, Process, python_of
from drawn import WORDS, Folder, xlm_roberta
from embedstack.runtimes.processor import choose_precision, usable_threads
from machine import Limit, hold_to, machine, native_precisions, spread

LAYERS = 24
QUERY, TEXT, LONG, PAIR = 16, 128, 512, 256  # tokens
PAIRS = (25, 50, 100)
ROUNDS = 3  # of the smallest count, in turn with CrossEncoder
CLAIMS = {  # of the systems that embedstack replaces, in their own words
    "start": "3-5 s (a CPU pod)",
    "query": "20-50 ms (a CPU pod)",
    "memory": "about 2 GB (a CPU pod)",
    "texts": "100-200 ms (a 7900 XTX)",
    "pairs": {25: "40-80 ms (a 7900 XTX)", 50: "80-150 ms (a 7900 XTX)", 100: "150-300 ms (a 7900 XTX)"},
}
Made = dict


def texts_of(tokens: int, count: int) -> list[str]:
    """Texts of so many tokens each, the two special ones included."""
    draw = np.random.default_rng(1)
    return [" ".join(draw.choice(WORDS, tokens - 2)) for _ in range(count)]


# ------------------------------------------------------------------------------------------------ measuring


class Bench:
    """The models one after the other: no two of them are in memory together."""

    def __init__(self, peers: Path | None, scratch: Path, threads: int, layers: int) -> None:
        self.peers, self.scratch, self.threads, self.layers = peers, scratch, threads, layers
        self.default = choose_precision("auto")[0]
        self.skipped: dict[str, str] = {}
        pair = texts_of(PAIR - QUERY, max(PAIRS))  # joined to a query, both with their special tokens
        sets = {"query": texts_of(QUERY, 20), "texts": texts_of(TEXT, 32), "long": texts_of(LONG, 4), "pairs": pair}
        self.texts = scratch / "texts.json"
        self.texts.write_text(json.dumps(sets))

    def embedder(self) -> dict[str, Made]:
        """Per precision, and sentence-transformers' default."""
        folder, made = xlm_roberta(self.layers, is_reranker=False).write(self.scratch / "bge-m3"), {}
        for precision in (self.default, "int8"):
            row = Contender(f"bge-m3 {precision}", "embedstack", options=_options(precision))
            self._try(row, folder, lambda process, key=precision: made.update({key: self._encoded(process, key)}))
        row = Contender("bge-m3 sentence-transformers", "sentence_transformers", "st", options={"backend": "torch"})
        self._try(row, folder, lambda process: made.update({"sentence-transformers": _queries(process)}))
        shutil.rmtree(folder)
        return made

    def reranker(self) -> Made:
        folder, made = xlm_roberta(self.layers, is_reranker=True).write(self.scratch / "bge-reranker-v2-m3"), {}
        ours = Contender("bge-reranker-v2-m3", "embedstack_reranker", options=_options(self.default))
        theirs = Contender("bge-reranker-v2-m3 CrossEncoder", "cross_encoder", "st")

        def compare(one: Process, other: Process) -> None:
            rates: dict[str, list[float]] = {"ours": [], "cross_encoder": []}
            for _ in range(ROUNDS + 1):  # the first round warms both up
                for name, process in (("ours", one), ("cross_encoder", other)):
                    rates[name].append(PAIRS[0] * 1000 / _ms(process, "pairs", PAIRS[0]))
            made.update({name: {"pairs_per_s": spread(rate[1:], 3)} for name, rate in rates.items()})
            mine, other_s = (median(rate[1:]) for rate in rates.values())
            made["ratio_to_cross_encoder"] = round(mine / other_s, 2)

        def alone(process: Process) -> None:
            made["start_s"] = round(process.start_s, 2)
            self._try(theirs, folder, lambda other: compare(process, other))
            made["pairs_ms"] = {str(count): _ms(process, "pairs", count) for count in PAIRS}
            made.update(process.ask("memory"))

        self._try(ours, folder, alone)
        shutil.rmtree(folder)
        return made

    def _try(self, row: Contender, folder: Path, step) -> None:
        print(row.name, file=sys.stderr, flush=True)
        try:
            python = python_of(row, self.peers)
            # the first start reads the disk and makes the digests that later ones remember; it does not count
            Process(python, row, folder, self.threads, self.scratch / "log").close()
            process = Process(python, row, folder, self.threads, self.scratch / "log")
            try:
                process.loaded = process.ask("memory")
                process.ask("texts", path=str(self.texts))
                step(process)
            finally:
                process.close()
        except Failed as error:
            self.skipped[row.name] = str(error)
            print(f"{row.name}: skipped: {error}", file=sys.stderr, flush=True)

    def _encoded(self, process: Process, precision: str) -> Made:
        made = _queries(process)
        made["texts_ms"] = _ms(process, "texts", 32)
        alone = Limit(precision, self.threads) if precision in native_precisions() else None
        limits, long_s = [], []
        for _ in range(3):
            limits += [alone.measure()] if alone else []
            long_s.append(_ms(process, "long", 4) / 1000)
        limit = max(limits, default=None)
        folder = xlm_roberta(self.layers, is_reranker=False)
        gflops = folder.flop([LONG] * 4) / min(long_s) / 1e9
        weights_mb = _weights_mb(folder, precision)
        return {
            **made,
            "gflops": round(gflops, 1),
            "limit_gflops": limit and round(limit, 1),
            "share_of_limit": limit and round(gflops / limit, 3),
            "weights_mb": round(weights_mb),
            "peak_to_weights": round(made["peak_while_loading_mb"] / weights_mb, 2),
        }


def _options(precision: str) -> dict[str, str]:
    return {"runtime": "onnx" if precision == "int8" else "openvino", "precision": precision}


def _weights_mb(folder: Folder, precision: str) -> float:
    """What the compiled weights should take: products in the precision, tables of embeddings in float32."""
    tables = sum(math.prod(shape) for name, shape in folder.shapes.items() if "_embeddings." in name)
    return (folder.products() * {"float32": 4, "bfloat16": 2, "int8": 1}[precision] + tables * 4) / 1e6


def _queries(process: Process) -> Made:
    """One at a time; the first five are for warming up."""
    took = process.ask("each", name="query", places=list(range(20)), batch=32)["s"][5:]
    return {
        "start_s": round(process.start_s, 2),
        "peak_while_loading_mb": process.loaded["peak_mb"],
        "anonymous_mb": process.ask("memory")["anonymous_mb"],
        "query_ms": spread([t * 1000 for t in took], 1),
    }


def _ms(process: Process, name: str, count: int) -> float:
    took = process.ask("run", name=name, places=list(range(count)), batch=32, is_sorted=False)["s"]
    return round(took * 1000, 1)


# ------------------------------------------------------------------------------------------------ the rows


def rows_of(default: str, embedder: dict[str, Made], reranker: Made) -> list[dict[str, str]]:
    """For the page: what was measured here beside what is claimed elsewhere."""
    made, theirs = embedder.get(default), embedder.get("sentence-transformers")
    rows = []
    if made:
        rows += [
            ("BGE-M3, start of the process to the first vector", f"{made['start_s']:.1f} s", CLAIMS["start"]),
            (f"BGE-M3, a query of {QUERY} tokens", f"{made['query_ms']['median']:.0f} ms", CLAIMS["query"]),
            ("BGE-M3, memory: anonymous; peak while loading",
             f"{made['anonymous_mb']:.0f} MB; {made['peak_while_loading_mb']:.0f} MB", CLAIMS["memory"]),
            (f"BGE-M3, 32 texts of {TEXT} tokens", f"{made['texts_ms']:.0f} ms", CLAIMS["texts"]),
        ]  # fmt: skip
    if theirs:
        query = f"{theirs['query_ms']['median']:.0f} ms"
        rows.append((f"the same query in sentence-transformers, {theirs['start_s']:.1f} s to start", query, ""))
    for count, took in reranker.get("pairs_ms", {}).items():
        rows.append((f"reranker, {count} pairs of {PAIR} tokens", f"{took:.0f} ms", CLAIMS["pairs"][int(count)]))
    if "ratio_to_cross_encoder" in reranker:
        mine, other = (reranker[name]["pairs_per_s"]["median"] for name in ("ours", "cross_encoder"))
        measured = f"{mine:.2f}, {reranker['ratio_to_cross_encoder']:.2f} x CrossEncoder's {other:.2f}"
        rows.append(("reranker, pairs/s", measured, ""))
    return [{"what": what, "measured": measured, "claim": claim} for what, measured, claim in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="the folder of their environments, made by bench/peers.sh")
    parser.add_argument("--scratch", type=Path, help="where 2.5 GB may lie for a while; default: the system's own")
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    parser.add_argument("--threads", type=int, default=0, help="default: all that this process may use")
    parser.add_argument("--quick", action="store_true", help="two layers of 24, to try the script")
    given = parser.parse_args()
    threads = given.threads or usable_threads()
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
    hold_to(threads)
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        bench = Bench(given.peers, Path(scratch), threads, 2 if given.quick else LAYERS)
        embedder, reranker = bench.embedder(), bench.reranker()
    made = {
        "machine": machine(),
        "command": "python bench/large.py --peers PEERS --scratch FOLDER --out bench/results/large.json",
        "threads": threads,
        "quick": given.quick,
        "default": bench.default,
        "bge-m3": embedder,
        "reranker": reranker,
        "skipped": bench.skipped,
        "rows": rows_of(bench.default, embedder, reranker),
    }
    text = json.dumps(made, indent=2) + "\n"
    given.out.write_text(text) if given.out else print(text)
    if given.out and (compared := given.out.with_name("compare.json")).exists():
        report.write(compared)


if __name__ == "__main__":
    main()
